"""The study card: one description of a study, made once and shown alike everywhere."""

from datetime import date, datetime, time
from uuid import UUID

from fastapi import APIRouter, Response

from api_gateway.auth import FilmReader, TextReader, UsesLedger, UsesServices
from api_gateway.image_responses import PICTURE, IfNoneMatch, picture_answer
from api_gateway.schemas import Answer
from xraygpt_core.ledger.studies.card import study_card
from xraygpt_core.ledger.studies.pictures import deep_image_of_study, image_of_study
from xraygpt_core.states import Flag, ImageState, Lane, ReasonCode, ReviewState, Role, StudyState

router = APIRouter(prefix="/v1/studies", tags=["studies"])


class CardImageAnswer(Answer):
    """One image: ``rows`` and ``columns`` of the film as it is read, ``spacing_mm`` between these rows and columns,
    true within the ``patient`` or on the ``detector`` (``spacing_at``).

    Where a 16-bit copy is kept, ``deep_scale`` is the film's value at its code 0 and what each further code adds, and
    ``deep_window`` centre and width, in the film's values, of the window that the normalised image has.
    """

    image_id: UUID
    state: ImageState
    reason_code: ReasonCode | None
    view: str | None
    modality: str | None
    laterality: str | None
    rows: int | None
    columns: int | None
    spacing_mm: tuple[float, float] | None
    spacing_at: str | None
    acquired_on: date | None
    acquired_time: time | None
    deep_scale: tuple[float, float] | None
    deep_window: tuple[float, float] | None
    flags: list[Flag]
    chosen: bool


class CardLabelAnswer(Answer):
    """A finding that the text names: ``present``, ``absent`` or ``uncertain``; its words are [start, end) of the text
    as it stands, in characters."""

    finding: str
    side: str | None
    zone: str | None
    status: str
    start: int
    end: int


class PriorStudyAnswer(Answer):
    """The same patient's latest study that was acquired earlier; ``acquired_on`` for readers and leads alone."""

    study_id: UUID
    acquired_on: date | None
    image_id: UUID | None
    summary_id: UUID | None


class CardTextAnswer(Answer):
    """The current summary: who wrote it, what that took, how it stands, and the labels of the text that stands
    (null where no labeller has read it)."""

    summary_id: UUID
    bundle: str
    bundle_sha256: str
    device: str | None
    tokens: int
    batch_size: int
    waited_seconds: float | None
    generate_seconds: float | None
    summarised_at: datetime
    flags: list[Flag]
    review_state: ReviewState
    reviewed_by: str | None
    reviewed_at: datetime | None
    labels: list[CardLabelAnswer] | None
    asserted: list[str] | None
    uncertain: list[str] | None


class StudyCardAnswer(Answer):
    """A study; day and time of acquisition are null for all but readers and leads."""

    study_id: UUID
    lane: Lane
    state: StudyState
    reason_code: ReasonCode | None
    view: str | None
    views: list[str]
    modality: str | None
    flags: list[Flag]
    acquired_on: date | None
    acquired_time: time | None
    received_at: datetime
    finished_at: datetime | None
    images: list[CardImageAnswer]
    text: CardTextAnswer | None
    prior: PriorStudyAnswer | None


@router.get("/{study_id}/card")
def get_card(study_id: UUID, ledger: UsesLedger, caller: TextReader) -> StudyCardAnswer:
    """A study in one description, by its own id or by the provisional id of its submission."""
    dates = caller.has(Role.READER) or caller.has(Role.LEAD)
    return StudyCardAnswer.model_validate(study_card(ledger, study_id, dates=dates))


@router.get("/{study_id}/images/{image_id}.png", response_class=Response, responses=PICTURE)
def get_image_of_study(
    study_id: UUID, image_id: UUID, services: UsesServices, _: FilmReader, cached: IfNoneMatch = None
) -> Response:
    """Any image of a study, normalised: 8 bit grey, long side at most 2048 pixels."""
    return picture_answer(services, image_of_study(services.ledger, study_id, image_id), cached)


@router.get("/{study_id}/images/{image_id}/16-bit.png", response_class=Response, responses=PICTURE)
def get_deep_image_of_study(
    study_id: UUID, image_id: UUID, services: UsesServices, _: FilmReader, cached: IfNoneMatch = None
) -> Response:
    """Any image of a study, 16 bit grey, of the size of its normalised form: the film's own values, before any window.

    404 where no such copy is kept. The card says what its codes mean.
    """
    return picture_answer(services, deep_image_of_study(services.ledger, study_id, image_id), cached)

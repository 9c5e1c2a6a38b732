"""Studies: read one and its timeline, cancel its work, purge it."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import JsonValue

from api_gateway.auth import Admin, FilmReader, LeadOrOperator, TextReader, UsesLedger, UsesServices
from api_gateway.idempotency import RunsOnce
from api_gateway.image_responses import PICTURE, IfNoneMatch, picture_answer, thumbnail_answer
from api_gateway.reviews import ReviewAnswer, SummaryAnswer
from api_gateway.schemas import Answer
from xraygpt_core.ledger.studies.cancel import cancel_study
from xraygpt_core.ledger.studies.pictures import preview
from xraygpt_core.ledger.studies.purge import purge_study
from xraygpt_core.ledger.studies.read import study, timeline
from xraygpt_core.states import Flag, ImageState, Lane, ReasonCode, StudyState

router = APIRouter(prefix="/v1/studies", tags=["studies"])


class StudyImageAnswer(Answer):
    """One image of a study; ``chosen`` is the one that is summarised."""

    image_id: UUID
    state: ImageState
    reason_code: ReasonCode | None
    view: str | None
    flags: list[Flag]
    chosen: bool


class StudyAnswer(Answer):
    """A study, its images, and its current summary; ``reviewed`` is the one before it that a clinician reviewed,
    while the current one is a draft. ``reviews`` has all reviews of its summaries, by summary, the oldest first.
    """

    study_id: UUID
    state: StudyState
    reason_code: ReasonCode | None
    lane: Lane
    revision: int
    view: str | None
    flags: list[Flag]
    received_at: datetime
    images: list[StudyImageAnswer]
    summary: SummaryAnswer | None
    reviewed: SummaryAnswer | None
    reviews: list[ReviewAnswer]


class Step(Answer):
    """One step of a study's timeline."""

    at: datetime
    what: str
    who: str
    image_id: UUID | None
    job_id: UUID | None
    attempt: int | None
    epoch: int | None
    detail: JsonValue


class Timeline(Answer):
    """Every step of a study, oldest first."""

    study_id: UUID
    steps: list[Step]


@router.get("/{study_id}")
def get_study(study_id: UUID, ledger: UsesLedger, _: TextReader) -> StudyAnswer:
    """A study, by its own id or by the provisional id of its submission."""
    return StudyAnswer.model_validate(study(ledger, study_id))


@router.delete("/{study_id}", status_code=204)
def delete_study(study_id: UUID, services: UsesServices, _: Admin) -> Response:
    """Purge a study: texts, turns and derived objects go, a content-free tombstone keeps it from coming back."""
    purge_study(services.ledger, study_id, services.store.delete)
    return Response(status_code=204)


@router.post("/{study_id}/cancel", status_code=204)
def post_cancel(study_id: UUID, once: RunsOnce, _: LeadOrOperator) -> Response:
    """Stop all open work of a study. 409 if it is over already."""
    return once.empty(lambda ledger: cancel_study(ledger, study_id))


@router.get("/{study_id}/timeline")
def get_timeline(study_id: UUID, ledger: UsesLedger, _: TextReader) -> Timeline:
    """The timeline of a study."""
    return Timeline(study_id=study_id, steps=[Step.model_validate(step) for step in timeline(ledger, study_id)])


@router.get("/{study_id}/preview.png", response_class=Response, responses=PICTURE)
def get_preview(study_id: UUID, services: UsesServices, _: FilmReader, cached: IfNoneMatch = None) -> Response:
    """The chosen image, 8 bit grey, long side at most 1024 pixels."""
    return picture_answer(services, preview(services.ledger, study_id), cached)


@router.get("/{study_id}/thumbnail.png", response_class=Response, responses=PICTURE)
def get_thumbnail(study_id: UUID, services: UsesServices, _: FilmReader, cached: IfNoneMatch = None) -> Response:
    """The chosen image as a list shows it, long side at most 96 pixels: to find a study by, not to read it."""
    return thumbnail_answer(services, preview(services.ledger, study_id, form="thumbnail"), cached)

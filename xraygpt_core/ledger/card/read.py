"""The study card: a study described once, for the page, the command line and the export alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any
from uuid import UUID

from xraygpt_core.ledger.card.prior import PRIOR, TAKEN
from xraygpt_core.ledger.card.study_state import STUDY_STATE
from xraygpt_core.ledger.transaction import Work
from xraygpt_core.states import Lane


@dataclass(frozen=True)
class CardImage:
    """One image of a study.

    Attributes:
        rows, columns: of the film as it is read.
        spacing_mm: millimetres between these rows and between these columns; None where the header does not say.
        spacing_at: ``patient`` or ``detector``: where they are true.
        acquired_on, acquired_time: None unless dates were asked for.
        deep_scale, deep_window: of its 16-bit copy; None where it has none.
        chosen: it is the one that is summarised.
    """

    image_id: UUID
    state: str
    reason_code: str | None
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
    flags: tuple[str, ...]
    chosen: bool


@dataclass(frozen=True)
class CardLabel:
    """One finding that the text names which stands; its words are ``text[start:end]`` of that text, in characters."""

    finding: str
    side: str | None
    zone: str | None
    status: str
    start: int
    end: int


@dataclass(frozen=True)
class PriorStudy:
    """The same patient's latest study that was acquired earlier, its film and its current text.

    Attributes:
        acquired_on: None unless dates were asked for.
        image_id, summary_id: None where it has none.
    """

    study_id: UUID
    acquired_on: date | None
    image_id: UUID | None
    summary_id: UUID | None


@dataclass(frozen=True)
class CardText:
    """The current summary: who wrote it, what that took, and how it stands.

    Attributes:
        waited_seconds, generate_seconds: in the engine, before and while it was written; None where nobody noted it.
        flags: what the GPU worker found out about film and text.
        labels: of the text as it stands, a correction included; None where no labeller has read it.
        asserted, uncertain: the findings of these labels, each once; none where a person rejected the text.
    """

    summary_id: UUID
    bundle: str
    bundle_sha256: str
    device: str | None
    tokens: int
    batch_size: int
    waited_seconds: float | None
    generate_seconds: float | None
    summarised_at: datetime
    flags: tuple[str, ...]
    review_state: str
    reviewed_by: str | None
    reviewed_at: datetime | None
    labels: tuple[CardLabel, ...] | None
    asserted: tuple[str, ...] | None
    uncertain: tuple[str, ...] | None


@dataclass(frozen=True)
class StudyCard:
    """A study.

    Attributes:
        view: of the chosen image.
        views, modality: of all its images that are accepted.
        acquired_on, acquired_time: of the chosen image, else of the first that says; None unless dates were asked for.
        text: None before there is a summary.
        prior: None where the patient or either day is not known, or where there is none.
    """

    study_id: UUID
    lane: str
    state: str
    reason_code: str | None
    view: str | None
    views: tuple[str, ...]
    modality: str | None
    flags: tuple[str, ...]
    acquired_on: date | None
    acquired_time: time | None
    received_at: datetime
    finished_at: datetime | None
    images: tuple[CardImage, ...]
    text: CardText | None
    prior: PriorStudy | None


_CARDS = f"""
    SELECT s.id AS study_id, s.lane_rank, {STUDY_STATE} AS state, s.reason_code, s.view, s.flags, s.received_at,
           s.finished_at, taken.acquired_on, taken.acquired_time, shown.images,
           m.id AS summary_id, m.bundle, m.bundle_sha256, m.provenance #>> '{{software,device}}' AS device, m.tokens,
           m.batch_size, CAST(m.provenance ->> 'waited_seconds' AS float) AS waited_seconds,
           CAST(m.provenance ->> 'generate_seconds' AS float) AS generate_seconds, m.summarised_at,
           m.flags AS text_flags, m.review_state, m.reviewed_by, m.reviewed_at, m.asserted, m.uncertain, read.labels,
           prior.id AS prior_id, prior.acquired_on AS prior_on, prior.image_id AS prior_image,
           prior.summary_id AS prior_summary
    FROM studies s
    LEFT JOIN summaries m ON m.study_id = s.id AND m.superseded_at IS NULL
    {TAKEN}
    LEFT JOIN LATERAL (
        SELECT jsonb_agg(jsonb_build_object(
            'image_id', i.id, 'state', i.state, 'reason_code', i.reason_code, 'view', i.view, 'modality', i.modality,
            'laterality', i.laterality, 'rows', i.rows, 'columns', i.columns, 'spacing_mm', i.spacing_mm,
            'spacing_at', i.spacing_at, 'acquired_on', i.acquired_on, 'acquired_time', i.acquired_time,
            'deep_scale', i.deep_scale, 'deep_window', i.deep_window, 'flags', i.flags,
            'chosen', COALESCE(i.id = s.chosen_image, false))
            ORDER BY i.id) AS images
        FROM images i WHERE i.study_id = s.id AND i.duplicate_of IS NULL
    ) shown ON true
    LEFT JOIN LATERAL (
        SELECT CASE WHEN m.edited_summary IS NULL THEN 'draft' ELSE 'review' END AS source,
               CASE WHEN m.edited_summary IS NULL THEN m.id ELSE (
                   SELECT r.id FROM reviews r WHERE r.summary_id = m.id AND r.text = m.edited_summary
                   ORDER BY r.position DESC LIMIT 1) END AS source_id
    ) standing ON true
    LEFT JOIN labelled_texts t ON t.source = standing.source AND t.source_id = standing.source_id
    LEFT JOIN LATERAL (
        SELECT COALESCE(jsonb_agg(jsonb_build_object(
            'finding', l.finding, 'side', l.side, 'zone', l.zone, 'status', l.status, 'start', l.words_from,
            'end', l.words_to) ORDER BY l.position), '[]') AS labels
        FROM finding_labels l WHERE l.source = t.source AND l.source_id = t.source_id
        HAVING t.source_id IS NOT NULL
    ) read ON true
    {PRIOR}
    WHERE s.id = ANY(CAST(:ids AS uuid[])) AND s.alias_of IS NULL
"""


def cards(work: Work, study_ids: Sequence[UUID], *, dates: bool) -> list[StudyCard]:
    """The cards of these studies, in the order of their ids here; an id that is no study's is left out.

    Args:
        study_ids: studies' own ids, not provisional ones.
        dates: whether its reader may see the days on which films were taken: readers and leads may, nobody else.
    """
    found = {row["study_id"]: _card(dict(row), dates=dates) for row in work.rows(_CARDS, {"ids": list(study_ids)})}
    return [found[study_id] for study_id in study_ids if study_id in found]


def _card(row: dict[str, Any], *, dates: bool) -> StudyCard:
    images = tuple(_image(image, dates=dates) for image in row["images"] or ())
    accepted = [image for image in images if image.state == "accepted"]
    chosen = sorted(accepted, key=lambda image: not image.chosen)
    return StudyCard(
        study_id=row["study_id"],
        lane=Lane.of_rank(row["lane_rank"]),
        state=row["state"],
        reason_code=row["reason_code"],
        view=row["view"],
        views=tuple(sorted({image.view for image in accepted if image.view is not None})),
        modality=next((image.modality for image in chosen if image.modality), None),
        flags=tuple(row["flags"]),
        acquired_on=row["acquired_on"] if dates else None,
        acquired_time=row["acquired_time"] if dates else None,
        received_at=row["received_at"],
        finished_at=row["finished_at"],
        images=images,
        text=_text(row) if row["summary_id"] is not None else None,
        prior=_prior(row, dates=dates) if row["prior_id"] is not None else None,
    )


def _image(document: dict[str, Any], *, dates: bool) -> CardImage:
    day, moment = (document[name] for name in ("acquired_on", "acquired_time"))
    pairs = {name: document[name] for name in ("spacing_mm", "deep_scale", "deep_window")}
    return CardImage(
        **document
        | {
            "image_id": UUID(document["image_id"]),
            "flags": tuple(document["flags"]),
            **{name: pair and (pair[0], pair[1]) for name, pair in pairs.items()},
            "acquired_on": date.fromisoformat(day) if dates and day else None,
            "acquired_time": time.fromisoformat(moment) if dates and moment else None,
        }
    )


_OF_THE_TEXT = (
    "summary_id", "bundle", "bundle_sha256", "device", "tokens", "batch_size", "waited_seconds", "generate_seconds",
    "summarised_at", "review_state", "reviewed_by", "reviewed_at",
)  # fmt: skip


def _text(row: dict[str, Any]) -> CardText:
    lists: dict[str, Any] = {
        name: None if row[name] is None else tuple(row[name]) for name in ("asserted", "uncertain")
    }
    labels = None if row["labels"] is None else tuple(CardLabel(**label) for label in row["labels"])
    as_stored: dict[str, Any] = {name: row[name] for name in _OF_THE_TEXT}
    return CardText(**as_stored, **lists, flags=tuple(row["text_flags"]), labels=labels)


def _prior(row: dict[str, Any], *, dates: bool) -> PriorStudy:
    return PriorStudy(row["prior_id"], row["prior_on"] if dates else None, row["prior_image"], row["prior_summary"])

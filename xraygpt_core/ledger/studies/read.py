"""Reading the ledger: studies, images, timelines, what is dead. Nothing here changes anything."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy.engine import RowMapping

from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.card.study_state import STUDY_STATE
from xraygpt_core.ledger.studies.review_history import Review, reviews_of_study, reviews_of_summary
from xraygpt_core.ledger.studies.summaries import Summary
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.report.sections import split_report
from xraygpt_core.states import TERMINAL_STUDY_STATES, Lane


@dataclass(frozen=True)
class StudyImage:
    """One image of a study."""

    image_id: UUID
    state: str
    reason_code: str | None
    view: str | None
    flags: list[str]
    chosen: bool


@dataclass(frozen=True)
class Study:
    """A study with its images and its current summary; ``reviewed`` is the one it replaced, while it is a draft.

    ``reviews`` are all of them, of any of its summaries: also those that were taken back.
    """

    study_id: UUID
    state: str
    reason_code: str | None
    lane: str
    revision: int
    view: str | None
    flags: list[str]
    received_at: datetime
    images: list[StudyImage]
    summary: Summary | None
    reviewed: Summary | None
    reviews: list[Review]


# A clinician's correction takes the place of the whole text; its sections are those that it has itself (sections_of).
TEXT = """COALESCE(m.edited_summary, m.summary) AS summary,
           CASE WHEN m.edited_summary IS NULL THEN m.findings END AS findings,
           CASE WHEN m.edited_summary IS NULL THEN m.impression END AS impression"""

# By their own names, all but the id and the text; the notice is no column.
_AS_STORED = ", ".join(
    field.name
    for field in fields(Summary)
    if field.name not in ("summary_id", "summary", "findings", "impression", "notice")
)
_SUMMARY = f"SELECT id AS summary_id, {TEXT}, {_AS_STORED} FROM summaries m"

_STUDY = f"""
    SELECT s.id AS study_id, {STUDY_STATE} AS state, reason_code, lane_rank, revision, view, flags, received_at,
           chosen_image
    FROM studies s WHERE id = :id
"""

# A text that a clinician reviewed is shown beside a newer draft.
_REVIEWED = f"""
    {_SUMMARY} WHERE study_id = :id AND superseded_at IS NOT NULL AND review_state <> 'draft'
    AND NOT EXISTS (SELECT FROM summaries c
                    WHERE c.study_id = :id AND c.superseded_at IS NULL AND c.review_state <> 'draft')
    ORDER BY superseded_at DESC LIMIT 1
"""

# The ids are worked out once, as an array: of "this one or one of those" the planner would walk through the table. And
# the lines are sorted apart: for their order alone it would walk through the index of all of them.
_TIMELINE = """
    WITH lines AS MATERIALIZED (
        SELECT id, at, what, who, image_id, job_id, attempt, epoch, detail FROM timeline
        WHERE study_id = ANY (ARRAY(SELECT CAST(:id AS uuid) UNION ALL SELECT id FROM studies WHERE alias_of = :id))
    )
    SELECT at, what, who, image_id, job_id, attempt, epoch, detail FROM lines ORDER BY id
"""

_DEAD = """
    SELECT id AS job_id, kind, subject, attempts, last_error, created_at, finished_at FROM jobs
    WHERE state = 'dead' AND (CAST(:reason AS text) IS NULL OR strpos(last_error, :reason) > 0)
      AND (CAST(:after AS uuid) IS NULL OR id > :after)
    ORDER BY id LIMIT :limit
"""

# One pseudonym never stands for two kinds of thing, so all the others share a column; nearly every study has none.
_LOOKUP = """
    SELECT id FROM studies WHERE {column} = :value
    UNION SELECT id FROM studies
    WHERE other_pseudonyms @> ARRAY[CAST(:value AS text)] AND other_pseudonyms <> '{{}}'
    ORDER BY id DESC LIMIT 1000
"""
# A film that was rejected while it was read: nothing else of its study was ever read, so that it is no other patient's.
_LOOKUP_REJECTED = """
    SELECT DISTINCT i.study_id AS id FROM rejected_names n JOIN images i ON i.id = n.image_id
    WHERE n.pseudonym = :value AND i.state = 'rejected' AND NOT EXISTS (
        SELECT FROM images o WHERE o.study_id = i.study_id AND o.pixel_sha256 IS NOT NULL)
    ORDER BY id DESC LIMIT 1000
"""
_PSEUDONYM_COLUMNS = {"study": "uid_pseudonym", "patient": "patient_pseudonym", "accession": "accession_pseudonym"}


def resolve(work: Work, study_id: UUID) -> UUID:
    """The study behind a provisional id, or the id itself.

    Raises:
        NotFound: there is no such study.
    """
    sql = "SELECT COALESCE(alias_of, id) AS id FROM studies WHERE id = :id"
    resolved: UUID = work.found(sql, {"id": study_id}, f"there is no study {study_id}")["id"]
    return resolved


def study(ledger: Ledger, study_id: UUID) -> Study:
    """A study with its images and current summary, under its own id or a provisional one.

    Raises:
        NotFound: there is none.
    """
    with ledger.work() as work:
        home = resolve(work, study_id)
        row = work.found(_STUDY, {"id": home}, f"there is no study {study_id}")
        images = work.rows(
            "SELECT id, state, reason_code, view, flags FROM images WHERE study_id = :id ORDER BY id", {"id": home}
        )
        summary = work.row(f"{_SUMMARY} WHERE study_id = :id AND superseded_at IS NULL", {"id": home})
        reviewed = work.row(_REVIEWED, {"id": home})
        reviews = reviews_of_study(work, home)
        record(work, "study read", study=home)
    values = dict(row)
    chosen, lane_rank = values.pop("chosen_image"), values.pop("lane_rank")
    if values["state"] not in TERMINAL_STUDY_STATES:
        values["reason_code"] = None
    return Study(
        **values,
        lane=Lane.of_rank(lane_rank),
        images=[
            StudyImage(one["id"], one["state"], one["reason_code"], one["view"], one["flags"], one["id"] == chosen)
            for one in images
        ],
        summary=_as_read(summary) if summary else None,
        reviewed=_as_read(reviewed) if reviewed else None,
        reviews=reviews,
    )


def summary(ledger: Ledger, summary_id: UUID) -> Summary:
    """One summary, current or superseded.

    Raises:
        NotFound: there is none.
    """
    with ledger.work() as work:
        found = _summary(work, summary_id)
        record(work, "summary read", study=found.study_id, subject=summary_id)
    return found


def reviews(ledger: Ledger, summary_id: UUID) -> tuple[Summary, list[Review]]:
    """A summary, and every act of a person on it, the first one first.

    Raises:
        NotFound: there is no such summary.
    """
    with ledger.work() as work:
        about, found = _summary(work, summary_id), reviews_of_summary(work, summary_id)
        record(work, "reviews read", study=about.study_id, subject=summary_id)
    return about, found


def _summary(work: Work, summary_id: UUID) -> Summary:
    return _as_read(work.found(f"{_SUMMARY} WHERE id = :id", {"id": summary_id}, f"there is no summary {summary_id}"))


def _as_read(row: RowMapping) -> Summary:
    return Summary(**sections_of(dict(row)))


def sections_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with the sections of its text, where none are stored: a correction's, as its headings say."""
    if row["summary"] is None or row["findings"] is not None or row["impression"] is not None:
        return dict(row)
    return {**row, **split_report(row["summary"])._asdict()}


def timeline(ledger: Ledger, study_id: UUID) -> list[dict[str, Any]]:
    """Every step of a study, oldest first: at, what, who, image_id, job_id, attempt, epoch, detail.

    Raises:
        NotFound: no such study.
    """
    with ledger.work() as work:
        home = resolve(work, study_id)
        work.by_index()
        rows = work.rows(_TIMELINE, {"id": home})
        record(work, "timeline read", study=home)
    return [dict(row) for row in rows]


def dead(
    ledger: Ledger, *, reason: str | None = None, after: UUID | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    """Jobs that failed for the last time, oldest first; ``after`` is the last id of the page before."""
    with ledger.work() as work:
        return [dict(row) for row in work.rows(_DEAD, {"reason": reason, "after": after, "limit": limit})]


def lookup(ledger: Ledger, kind: Literal["study", "patient", "accession"], pseudonym: str) -> list[UUID]:
    """The studies of a pseudonym, newest first (at most 1000); of a StudyInstanceUID, those of every patient.

    Behind them come those of films that were rejected while they were read, in the same order.
    """
    statements = (_LOOKUP.format(column=_PSEUDONYM_COLUMNS[kind]), _LOOKUP_REJECTED)
    with ledger.work() as work:
        found = [row["id"] for sql in statements for row in work.rows(sql, {"value": pseudonym})][:1000]
        record(work, "number looked up", studies=found, detail={"kind": kind, "hits": len(found)})
    return found


def rejections(ledger: Ledger, study_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Why those of these studies that were rejected have no draft: reason codes."""
    sql = "SELECT id, reason_code FROM studies WHERE id = ANY(CAST(:ids AS uuid[])) AND state = 'rejected'"
    with ledger.work() as work:
        return {row["id"]: row["reason_code"] for row in work.rows(sql, {"ids": list(study_ids)}) if row["reason_code"]}

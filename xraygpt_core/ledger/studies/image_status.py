"""Where many images stand, for the one who submitted them: each with its text, and what to know about that."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.card.study_state import STUDY_STATE
from xraygpt_core.ledger.studies.read import TEXT, sections_of
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.scope import scope_of
from xraygpt_core.states import TERMINAL_STUDY_STATES, Lane


@dataclass(frozen=True)
class ImageStatus:
    """One object as its submitter sees it: its own state if it ended alone, its study's otherwise.

    ``seconds`` is the time from its arrival to its end, None before. ``flags`` are the image's and, where there is a
    text, the text's; ``scope`` and ``consistency`` are the text's.
    ``waits`` is the job that it waits for, if it has not ended: ``kind``, ``state``, ``attempts``, ``since_seconds``
    (since it was queued, or since a worker took it), ``later_seconds`` (until it may be taken, where that is not yet),
    ``paused`` (with its backlog) and ``at``, its place among all jobs of this kind: lane, place, id.
    """

    image_id: UUID
    study_id: UUID
    state: str
    reason_code: str | None
    lane: str
    view: str | None
    flags: list[str]
    seconds: float | None
    age_seconds: float
    waits: dict[str, Any] | None
    summary_id: UUID | None
    summary: str | None
    findings: str | None
    impression: str | None
    scope: dict[str, Any] | None
    consistency: list[dict[str, str]]


_STATUS = f"""
    SELECT i.id AS image_id, s.id AS study_id,
           CASE WHEN i.state IN ('rejected', 'dead', 'cancelled') THEN i.state
                WHEN i.state = 'received' AND s.state <> 'cancelled' THEN CASE WHEN EXISTS (
                    SELECT FROM jobs j WHERE j.subject = i.id AND j.kind = 'ingest' AND j.state = 'running')
                    THEN 'ingesting' ELSE 'received' END
                ELSE {STUDY_STATE} END AS state,
           CASE i.state WHEN 'accepted' THEN s.reason_code ELSE i.reason_code END AS reason_code,
           s.lane_rank, COALESCE(i.view, s.view) AS view,
           i.flags || COALESCE(m.flags, '{{}}') AS flags, COALESCE(m.consistency, '[]') AS consistency,
           CASE WHEN m.id IS NOT NULL THEN jsonb_build_object('scope', m.provenance -> 'scope') END AS provenance,
           extract(epoch FROM CASE i.state
               WHEN 'accepted' THEN GREATEST(COALESCE(m.summarised_at, s.finished_at), i.finished_at)
               ELSE i.finished_at END - i.received_at)::float8 AS seconds,
           extract(epoch FROM clock_timestamp() - i.received_at)::float8 AS age_seconds, j.waits, m.id AS summary_id,
           {TEXT}
    FROM images i JOIN studies s ON s.id = i.study_id
    LEFT JOIN summaries m ON m.study_id = s.id AND m.superseded_at IS NULL
        AND i.state = 'accepted'
    LEFT JOIN LATERAL (
        SELECT jsonb_build_object(
                   'kind', o.kind, 'state', o.state, 'attempts', o.attempts,
                   'since_seconds', extract(epoch FROM clock_timestamp()
                       - CASE o.state WHEN 'running' THEN o.started_at ELSE o.created_at END)::float8,
                   'later_seconds', extract(epoch FROM CASE WHEN o.state = 'queued' AND o.not_before < 'infinity'
                       AND o.not_before > clock_timestamp() THEN o.not_before - clock_timestamp() END)::float8,
                   'paused', o.state = 'queued' AND o.not_before IS NOT NULL AND o.not_before = 'infinity',
                   'at', jsonb_build_array(o.lane_rank, o.place, o.id)) AS waits
        FROM jobs o
        WHERE (i.state = 'received' OR i.state = 'accepted' AND s.state IN ('waiting', 'queued'))
          AND o.subject = CASE i.state WHEN 'received' THEN i.id ELSE s.id END AND o.state IN ('queued', 'running')
        ORDER BY o.id DESC LIMIT 1
    ) j ON true
    WHERE i.id = ANY(CAST(:ids AS uuid[]))
"""


def images_status(ledger: Ledger, image_ids: Sequence[UUID], *, texts: bool = True) -> list[ImageStatus]:
    """Where these objects stand, in the order asked; unknown ids are left out.

    Args:
        texts: does the caller see the texts? The audit records it.
    """
    with ledger.work() as work:
        rows = {row["image_id"]: dict(row) for row in work.rows(_STATUS, {"ids": list(image_ids)})}
        shown = list(dict.fromkeys(row["study_id"] for row in rows.values() if texts and row["summary"] is not None))
        record(work, "images read", studies=shown, detail={"images": len(rows)})
    return [_status(rows[image_id]) for image_id in image_ids if image_id in rows]


def _status(row: dict[str, Any]) -> ImageStatus:
    shown = {
        name: value for name, value in sections_of(row).items() if name not in ("lane_rank", "provenance", "flags")
    }
    if row["state"] not in TERMINAL_STUDY_STATES:
        shown["seconds"] = None
    return ImageStatus(
        **shown,
        lane=Lane.of_rank(row["lane_rank"]),
        flags=list(dict.fromkeys(row["flags"])),
        scope=None if row["provenance"] is None else scope_of(row["provenance"]),
    )

"""Summaries that people ask for a second time, with another bundle. Repeating it does nothing.

A model that is promoted means a million at a time: they are gone through in the order of their ids, ten thousand a
transaction. Asked for again, a change that was interrupted goes on.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from xraygpt_core.errors import Conflict
from xraygpt_core.ids import new_id
from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.jobs.claims import insert_jobs
from xraygpt_core.ledger.jobs.fence import repeating
from xraygpt_core.ledger.jobs.kinds import key_sql
from xraygpt_core.ledger.studies.companions import note_companions
from xraygpt_core.ledger.studies.read import resolve
from xraygpt_core.ledger.studies.refuse import restore_refused
from xraygpt_core.ledger.training.serving import served_in
from xraygpt_core.ledger.transaction import Ledger, Values, Work
from xraygpt_core.states import Lane

_WINDOW = 10_000  # stands in the statements, so that the planner knows it

_SETTLE_KEY = key_sql("s.id", "s.revision")
_SUMMARISE_KEY = key_sql("s.id", "s.revision", "CAST(:bundle AS text)")

# Of these studies, those that need a new summary. A worker may still write with the former bundle after another was
# promoted: the job's key then names the summary that is current now, and a second job is made. Every look is by key,
# study by study.
_CANDIDATES = f"""
    SELECT s.id, s.state, s.revision, CAST(:bundle AS text) || CASE WHEN EXISTS (
               SELECT FROM jobs j WHERE j.kind = 'summarise' AND j.key = {_SUMMARISE_KEY} AND j.state = 'done'
           ) THEN COALESCE(':' || m.id, '') ELSE '' END AS bundle
    FROM (SELECT * FROM studies WHERE {{which}}) s
    LEFT JOIN LATERAL (
        SELECT id, bundle FROM summaries WHERE study_id = s.id AND superseded_at IS NULL LIMIT 1
    ) m ON true
    LEFT JOIN LATERAL (
        SELECT id FROM jobs WHERE kind = 'settle' AND key = {_SETTLE_KEY} AND state = 'dead' LIMIT 1
    ) unsettled ON true
    WHERE s.alias_of IS NULL AND s.chosen_image IS NOT NULL AND s.state IN ('summarised', 'dead')
      AND m.bundle IS DISTINCT FROM :bundle AND unsettled.id IS NULL
      AND (CAST(:from_bundle AS text) IS NULL OR m.bundle = :from_bundle)
      AND (CAST(:since AS timestamptz) IS NULL OR s.received_at >= :since)
      AND (CAST(:until AS timestamptz) IS NULL OR s.received_at < :until)
      AND (CAST(:view AS text) IS NULL OR s.view = :view)
    ORDER BY s.id
"""
_NAMED_CANDIDATES = _CANDIDATES.format(which="id = ANY(CAST(:ids AS uuid[]))")
_WINDOW_CANDIDATES = _CANDIDATES.format(which=f"id > :after ORDER BY id LIMIT {_WINDOW}")
_WINDOW_END = f"SELECT id FROM studies WHERE id > :after ORDER BY id OFFSET {_WINDOW - 1} LIMIT 1"

# Behind all jobs that wait now: a study that has a summary is less urgent than one that has none.
_LAST_PLACE = """
    (SELECT COALESCE(max(place), 0) FROM (
        SELECT place FROM jobs WHERE state = 'queued' AND not_before IS NULL
           AND (kind, lane_rank) >= ('summarise', :rank) AND (kind, lane_rank) <= ('summarise', :rank)
        ORDER BY kind DESC, lane_rank DESC, place DESC, id DESC LIMIT 1
    ) AS behind)
"""
_CHOSEN = """
    unnest(CAST(:jobs AS uuid[]), CAST(:studies AS uuid[]), CAST(:revisions AS int[]), CAST(:bundles AS text[]))
    AS n (job_id, study, revision, bundle)
"""
_SUMMARISE = insert_jobs(
    _CHOSEN,
    "'summarise'",
    subject="study",
    revision="n.revision",
    bundle="bundle",
    lane_rank=":rank",
    place=_LAST_PLACE,
    returning="subject",
)

# A dead study goes on, if it still has this revision.
_GO_ON = """
    UPDATE studies SET state = 'queued', finished_at = NULL
    WHERE id = ANY (CAST(:ids AS uuid[])) AND state = 'dead'
      AND (id, revision) IN (SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:revisions AS int[])))
"""


def resummarise(
    ledger: Ledger,
    *,
    study_ids: Sequence[UUID] | None,
    bundle: str | None,
    from_bundle: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    view: str | None = None,
) -> int:
    """Queue new summaries on the backlog lane, once per (study, revision, bundle). Returns how many were queued.

    Of studies that are named, images that a chest check refused are looked at again.

    Raises:
        Conflict: another bundle than the served one is asked for.
        NotFound: there is no study of one of these ids.
    """
    filters = {"from_bundle": from_bundle, "since": since, "until": until, "view": view}
    if study_ids is not None:
        return repeating(ledger, lambda work: _resummarise_named(ledger, work, study_ids, bundle, filters))

    def window(after: UUID) -> tuple[int, UUID | None]:
        return repeating(ledger, lambda work: _resummarise_window(ledger, work, after, bundle, filters))

    count, after = window(UUID(int=0))
    while after is not None:
        queued, after = window(after)
        count += queued
    return count


def _resummarise_named(
    ledger: Ledger, work: Work, study_ids: Sequence[UUID], bundle: str | None, filters: Values
) -> int:
    values = {**filters, "bundle": _served(work, bundle)}
    ids = [resolve(work, study_id) for study_id in study_ids]
    refused = restore_refused(ledger, work, ids)
    values["ids"] = [study_id for study_id in ids if study_id not in refused]
    queued = len(refused) + _queue(ledger, work, _NAMED_CANDIDATES, values)
    record(work, "studies resummarised", studies=ids, detail={"queued": queued})
    return queued


def _resummarise_window(
    ledger: Ledger, work: Work, after: UUID, bundle: str | None, filters: Values
) -> tuple[int, UUID | None]:
    """Of the studies behind ``after``: how many were queued, and the last one; None if no more follow."""
    values = {**filters, "bundle": _served(work, bundle), "after": after}
    queued = _queue(ledger, work, _WINDOW_CANDIDATES, values)
    if queued or not after.int:
        record(work, "studies resummarised", detail={"queued": queued})
    end = work.row(_WINDOW_END, {"after": after})
    return queued, None if end is None else end["id"]


def _served(work: Work, bundle: str | None) -> str:
    served = served_in(work).name
    if bundle is not None and bundle != served:
        raise Conflict(f"the workers serve {served!r}: promote {bundle!r} first, then ask again")
    return served


def _queue(ledger: Ledger, work: Work, candidates: str, values: Values) -> int:
    rows = work.rows(candidates, values)
    if not rows:
        return 0
    jobs: dict[str, Any] = {
        "jobs": [new_id() for _ in rows],
        "studies": [row["id"] for row in rows],
        "revisions": [row["revision"] for row in rows],
        "bundles": [row["bundle"] for row in rows],
        "rank": Lane.BACKLOG.rank,
        "max_attempts": ledger.settings.max_attempts,
    }
    note_companions(work, jobs["studies"])
    added = {row["subject"] for row in work.rows(_SUMMARISE, jobs)}
    dead = [row for row in rows if row["state"] == "dead" and row["id"] in added]
    if dead:
        work.run(_GO_ON, {"ids": [row["id"] for row in dead], "revisions": [row["revision"] for row in dead]})
    return len(added)

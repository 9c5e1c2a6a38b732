"""Why queued work is not begun: its backlog is paused, no worker lives that could do it, or other work comes first."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any
from uuid import UUID

from xraygpt_core.ledger.jobs.kinds import KINDS
from xraygpt_core.ledger.operations.presence import SeenWorker, seen_in
from xraygpt_core.ledger.studies.image_status import ImageStatus, images_status
from xraygpt_core.ledger.training.serving import served_in
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.states import JobState

MOST_AHEAD = 1000  # more are not counted

# In the index of what is ready, as claims find it.
_AHEAD = f"""
    SELECT count(*) AS jobs FROM (
        SELECT FROM jobs
        WHERE state = 'queued' AND not_before IS NULL AND (kind, lane_rank) >= (:kind, CAST(0 AS smallint))
          AND (kind, lane_rank, place, id) < (:kind, CAST(:rank AS smallint), CAST(:place AS bigint), CAST(:id AS uuid))
        ORDER BY kind, lane_rank, place, id LIMIT {MOST_AHEAD}
    ) AS first
"""


class Blocked(StrEnum):
    """Why no worker begins."""

    PAUSED = "paused"  # its backlog is
    NO_WORKER = "no_worker"  # none that does such jobs was seen within a minute
    STARTING = "starting"  # all that were seen are, and take nothing yet
    OTHER_BUNDLE = "other_bundle"  # all that were seen have loaded another bundle than the one that is served


def images_and_waits(ledger: Ledger, image_ids: Sequence[UUID], *, texts: bool = True) -> list[ImageStatus]:
    """As :func:`images_status`; what is queued also says why.

    ``waits`` has ``blocked`` (a :class:`Blocked`, or None) in place of ``paused``, and in place of ``at`` how many jobs
    of its kind are ``ahead``: of those that could be begun, the first of each kind says so, at most
    :data:`MOST_AHEAD`, and the others None.
    """
    found = images_status(ledger, image_ids, texts=texts)
    queued = [one.waits for one in found if one.waits and one.waits["state"] == JobState.QUEUED]
    blocked: Mapping[str, Blocked | None] = {}
    ahead: Mapping[str, int] = {}
    if queued:
        with ledger.work() as work:
            blocked = _blocked(work)
            ahead = _ahead(work, queued)
    return [one if one.waits is None else replace(one, waits=_said(one.waits, blocked, ahead)) for one in found]


def _said(waits: Mapping[str, Any], blocked: Mapping[str, Blocked | None], ahead: Mapping[str, int]) -> dict[str, Any]:
    why = None
    if waits["paused"]:
        why = Blocked.PAUSED
    elif waits["state"] == JobState.QUEUED:
        why = blocked.get(waits["kind"])
    shown = {name: value for name, value in waits.items() if name not in ("paused", "at")}
    return {**shown, "blocked": why, "ahead": ahead.get(waits["at"][2])}


def _blocked(work: Work) -> dict[str, Blocked | None]:
    """By kind of job."""
    seen, served = seen_in(work), served_in(work).name
    roles = {name: kind.worker for name, kind in KINDS.items() if kind.worker}
    return {name: _why([one for one in seen if one.kind == role], served) for name, role in roles.items()}


def _why(workers: Sequence[SeenWorker], served: str) -> Blocked | None:
    if not workers:
        return Blocked.NO_WORKER
    ready = [one for one in workers if one.slots]
    if not ready:
        return Blocked.STARTING
    return None if any(one.bundle in (None, served) for one in ready) else Blocked.OTHER_BUNDLE


def _ahead(work: Work, queued: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """How many jobs come before the first of each kind, by its id."""
    ready = [waits for waits in queued if not waits["paused"] and waits["later_seconds"] is None]
    first: dict[str, list[Any]] = {}
    for waits in ready:
        first[waits["kind"]] = min(waits["at"], first.get(waits["kind"], waits["at"]))
    found = {}
    work.by_index()
    for kind, (rank, place, job_id) in first.items():
        row = work.found(_AHEAD, {"kind": kind, "rank": rank, "place": place, "id": job_id}, "")
        found[job_id] = row["jobs"]
    return found

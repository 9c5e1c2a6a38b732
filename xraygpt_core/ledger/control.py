"""Dispatch and reconcile: what keeps the promise when workers, messages or the broker's memory are lost.

One leader at a time, by an advisory lock; every statement is safe to run twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import RowMapping

from xraygpt_core.ledger.core import Ledger, Work
from xraygpt_core.ledger.fallout import bury
from xraygpt_core.ledger.fence import repeating
from xraygpt_core.queue import Ring, queue_name
from xraygpt_core.states import JobKind, Lane

# Any constant that nothing else in this database uses: "XRAY" in ASCII.
_LEADER = 0x58524159
# A message just sent may be on its way to the broker, or in a worker's hands before its claim. Do not ring twice.
_GRACE_SECONDS = 5.0
_EXPIRED_BATCH = 1000


@dataclass(frozen=True)
class Ticked:
    """What one tick did. ``leader`` is False if another process holds the lock."""

    leader: bool
    requeued: int = 0
    buried: int = 0
    rung: int = 0


_EXPIRED = """
    UPDATE jobs SET state = 'queued', lease_until = NULL, rung_at = NULL,
           last_error = COALESCE(last_error, 'the worker was lost')
    WHERE id IN (
        SELECT id FROM jobs WHERE state = 'running' AND lease_until < clock_timestamp() AND attempts < max_attempts
        ORDER BY lease_until LIMIT :limit FOR UPDATE SKIP LOCKED
    ) AND state = 'running' AND lease_until < clock_timestamp()
    RETURNING id
"""

_EXHAUSTED = """
    SELECT id, attempts, last_error FROM jobs
    WHERE state = 'running' AND lease_until < clock_timestamp() AND attempts >= max_attempts
    ORDER BY lease_until LIMIT :limit FOR UPDATE SKIP LOCKED
"""

_RUNG = """
    SELECT kind, lane_rank, count(*) AS rung FROM jobs
    WHERE state = 'queued' AND rung_at IS NOT NULL GROUP BY kind, lane_rank
"""

_AGAIN = """
    SELECT id FROM jobs
    WHERE state = 'queued' AND kind = :kind AND lane_rank = :lane_rank AND rung_at IS NOT NULL
      AND rung_at < clock_timestamp() - make_interval(secs => :age)
    ORDER BY rung_at LIMIT :limit FOR UPDATE SKIP LOCKED
"""

_DUE = """
    SELECT id FROM jobs
    WHERE state = 'queued' AND kind = :kind AND lane_rank = :lane_rank AND rung_at IS NULL
      AND (not_before IS NULL OR not_before <= clock_timestamp())
    ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED
"""

_MARK = "UPDATE jobs SET rung_at = clock_timestamp() WHERE id = ANY(CAST(:ids AS uuid[]))"


def tick(ledger: Ledger) -> Ticked:
    """Re-queue what lost its worker, bury what failed for the last time, and ring for what is due.

    Raises:
        Unavailable: PostgreSQL or the broker does not answer; the next tick does the work.
    """
    lengths = ledger.doorbell.lengths(queue_name(kind, lane) for kind in JobKind for lane in Lane)

    def body(work: Work) -> Ticked:
        if not _lead(work):
            return Ticked(leader=False)
        requeued = work.run(_EXPIRED, {"limit": _EXPIRED_BATCH})
        buried = _bury_exhausted(work)
        rung = {(row["kind"], row["lane_rank"]): row["rung"] for row in work.rows(_RUNG)}
        for lane in Lane:
            for kind in JobKind:
                length = lengths[queue_name(kind, lane)]
                work.rings += _due(ledger, work, kind, lane, length, rung.get((kind, lane.rank), 0))
        return Ticked(True, requeued, buried, len(work.rings))

    return repeating(ledger, body)


def _lead(work: Work) -> bool:
    row = work.row("SELECT pg_try_advisory_xact_lock(:key) AS mine", {"key": _LEADER})
    return row is not None and bool(row["mine"])


def _bury_exhausted(work: Work) -> int:
    exhausted = work.rows(_EXHAUSTED, {"limit": _EXPIRED_BATCH})
    for row in exhausted:
        cause = f"; before that: {row['last_error']}" if row["last_error"] else ""
        bury(work, row["id"], f"the worker was lost in attempt {row['attempts']} of as many{cause}")
    return len(exhausted)


def _due(ledger: Ledger, work: Work, kind: JobKind, lane: Lane, length: int, rung: int) -> list[Ring]:
    """What to ring in one queue, so that it never holds more than its window."""
    room = ledger.settings.window - length
    if room <= 0:
        return []
    values: dict[str, Any] = {"kind": kind, "lane_rank": lane.rank}
    # Fewer messages than rung jobs: so many doorbells were lost (a worker died holding them, or the broker forgot).
    lost = rung - length
    age = _GRACE_SECONDS if lost > 0 else ledger.settings.rering_seconds
    limit = min(room, lost) if lost > 0 else room
    again = work.rows(_AGAIN, values | {"age": age, "limit": limit}) if rung else []
    due: Sequence[RowMapping] = work.rows(_DUE, values | {"limit": room - len(again)}) if room > len(again) else []
    ids = [row["id"] for row in (*again, *due)]
    if ids:
        work.run(_MARK, {"ids": ids})
    return [Ring(job_id, kind, lane) for job_id in ids]

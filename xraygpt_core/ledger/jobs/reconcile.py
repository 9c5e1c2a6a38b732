"""Dispatch and reconcile: what keeps the promise when workers, messages or the broker's memory are lost.

One leader at a time, by an advisory lock; every statement is safe to run twice.
"""

from dataclasses import dataclass

from xraygpt_core.ledger.jobs.claims import ready_in
from xraygpt_core.ledger.jobs.fence import repeating
from xraygpt_core.ledger.jobs.outcomes import bury
from xraygpt_core.ledger.jobs.timeline import job_steps
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.queue import Queue, Ring, queue_name, queue_of, queues_of
from xraygpt_core.states import JobKind, Lane

# Any constant that nothing else in this database uses: "XRAY" in ASCII.
_LEADER = 0x58524159
_BATCH = 1000  # stands in the statements, so that the planner knows it


@dataclass(frozen=True)
class Ticked:
    """The result of one tick. ``leader`` is False if another process holds the lock.

    Attributes:
        rung: messages that were missing in the queues of ready jobs.
    """

    leader: bool
    requeued: int = 0
    buried: int = 0
    rung: int = 0


# Running jobs are few, and are all looked at: a lease in an index would cost every heartbeat an entry in every index.
# Waiting jobs may be a paused backlog, which waits for infinity: only a clock that stands still during a statement can
# be looked up in the index.
_LOST = "jsonb_build_object('worker', c.claimed_by)"
_EXPIRED = f"""
    WITH expired AS (
        UPDATE jobs SET state = 'queued', lease_until = NULL, last_error = COALESCE(last_error, 'the worker was lost')
        WHERE id = ANY (ARRAY(
            SELECT id FROM jobs
            WHERE state = 'running' AND lease_until < statement_timestamp() AND attempts < max_attempts
            ORDER BY lease_until LIMIT {_BATCH} FOR UPDATE SKIP LOCKED
        )) AND state = 'running' AND lease_until < clock_timestamp()
        RETURNING id, kind, subject, attempts, lease_epoch, claimed_by
    )
    {job_steps("expired", "lease ended", who="'control'", detail=_LOST)}
"""

_EXHAUSTED = f"""
    SELECT id, attempts, last_error FROM jobs
    WHERE state = 'running' AND lease_until < clock_timestamp() AND attempts >= max_attempts
    ORDER BY lease_until LIMIT {_BATCH} FOR UPDATE SKIP LOCKED
"""

_DUE = f"""
    UPDATE jobs SET not_before = NULL
    WHERE id = ANY (ARRAY(
        SELECT id FROM jobs WHERE state = 'queued' AND not_before <= statement_timestamp()
        ORDER BY not_before LIMIT {_BATCH} FOR UPDATE SKIP LOCKED
    )) AND state = 'queued'
"""

# How many are ready, up to the window of a queue. They are counted in the index's own order: without one the planner
# may look for them through the whole table.
_READY = f"""
    SELECT q.kind, q.lane_rank, ready.jobs
    FROM unnest(CAST(:kinds AS text[]), CAST(:ranks AS smallint[])) AS q (kind, lane_rank)
    CROSS JOIN LATERAL (
        SELECT count(*) AS jobs FROM (
            SELECT id FROM jobs WHERE {ready_in("q")} LIMIT {{window}}
        ) AS counted
    ) AS ready WHERE ready.jobs > 0
"""


def tick(ledger: Ledger) -> Ticked:
    """Queue jobs that lost their worker, bury those without attempts left, and wake workers for what is ready.

    Raises:
        Unavailable: PostgreSQL or the broker does not answer; the next tick does the work.
    """
    names = queues_of(*JobKind)
    queues = [queue_of(name) for name in names]
    lengths = ledger.doorbell.lengths(names)

    def body(work: Work) -> Ticked:
        if not _lead(work):
            return Ticked(leader=False)
        requeued = work.run(_EXPIRED)
        buried = _bury_exhausted(work)
        work.run(_DUE)
        ready = _ready(work, queues, ledger.settings.window)
        work.rings += ready
        missing = (ring.jobs - lengths[queue_name(ring.kind, ring.lane)] for ring in ready)
        return Ticked(True, requeued, buried, sum(count for count in missing if count > 0))

    return repeating(ledger, body)


def _lead(work: Work) -> bool:
    row = work.row("SELECT pg_try_advisory_xact_lock(:key) AS mine", {"key": _LEADER})
    return row is not None and bool(row["mine"])


def _bury_exhausted(work: Work) -> int:
    exhausted = work.rows(_EXHAUSTED)
    for row in exhausted:
        cause = f"; before that: {row['last_error']}" if row["last_error"] else ""
        bury(work, row["id"], f"the worker was lost in attempt {row['attempts']} of as many{cause}", who="control")
    return len(exhausted)


def _ready(work: Work, queues: list[Queue], window: int) -> list[Ring]:
    values = {"kinds": [kind for kind, _ in queues], "ranks": [lane.rank for _, lane in queues]}
    rows = work.rows(_READY.format(window=window), values)
    return [Ring(JobKind(row["kind"]), Lane.of_rank(row["lane_rank"]), row["jobs"]) for row in rows]

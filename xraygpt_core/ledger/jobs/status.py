"""How many jobs there are, and which workers hold them: scraped every few seconds, however long the table is."""

import threading
import time
from typing import Any

from xraygpt_core.ledger.jobs.claims import Claim, claim_of, ready_in
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import Lane

# Each state is counted in its own index: together they would be looked for in the whole table, finished jobs included.
# What is ready may be a million: it is counted in the index alone, and the oldest of a queue is the first (ids grow).
_COUNTS = f"""
    SELECT kind, lane_rank, state, sum(jobs)::bigint AS jobs,
           extract(epoch FROM clock_timestamp() - min(oldest))::float8 AS oldest_seconds
    FROM (
        SELECT kind, lane_rank, 'queued' AS state, jobs,
               (SELECT created_at FROM jobs WHERE {ready_in("r")} LIMIT 1) AS oldest
        FROM (SELECT kind, lane_rank, count(*) AS jobs FROM jobs
              WHERE state = 'queued' AND not_before IS NULL GROUP BY kind, lane_rank) AS r
        UNION ALL
        SELECT kind, lane_rank, 'queued', count(*), min(created_at) FROM jobs
        WHERE state = 'queued' AND not_before IS NOT NULL GROUP BY kind, lane_rank
        UNION ALL
        SELECT kind, lane_rank, 'running', count(*), min(created_at) FROM jobs
        WHERE state = 'running' GROUP BY kind, lane_rank
        UNION ALL
        SELECT kind, lane_rank, 'dead', count(*), min(created_at) FROM jobs
        WHERE state = 'dead' GROUP BY kind, lane_rank
    ) AS parts
    GROUP BY kind, lane_rank, state ORDER BY lane_rank, kind, state
"""

_WORKERS = """
    SELECT claimed_by AS worker, kind, count(*) AS jobs,
           extract(epoch FROM clock_timestamp() - min(started_at))::float8 AS oldest_seconds,
           extract(epoch FROM min(lease_until) - clock_timestamp())::float8 AS lease_seconds
    FROM jobs WHERE state = 'running' GROUP BY claimed_by, kind ORDER BY claimed_by, kind
"""

# By its index; now() stands still in a transaction, so the index is of use.
_LATELY = """
    SELECT count(*) AS texts FROM summaries WHERE summarised_at > now() - make_interval(secs => :seconds)
"""

_LAST_DEAD = """
    SELECT id, kind, subject, revision, lane_rank, attempts, lease_epoch, last_error FROM jobs
    WHERE state = 'dead' ORDER BY finished_at DESC LIMIT :limit
"""

_LONG_SECONDS = 0.05
_SHARE = 20


def status_counts(ledger: Ledger) -> list[dict[str, Any]]:
    """Open and dead jobs by kind, lane and state, with the age of the oldest in seconds."""
    with ledger.work() as work:
        rows = work.rows(_COUNTS)
    return [{**row, "lane": Lane.of_rank(row["lane_rank"])} for row in rows]


def workers(ledger: Ledger) -> list[dict[str, Any]]:
    """The workers that hold claims, by kind: how many, the age of the oldest, and how long the first lease still lasts.

    Below zero the worker was lost, and its work is about to go to another one. Idle workers hold nothing and are not
    listed. Times are in seconds.
    """
    with ledger.work() as work:
        return [dict(row) for row in work.rows(_WORKERS)]


def summarised_within(ledger: Ledger, seconds: float) -> int:
    """How many summaries the last so many seconds brought."""
    with ledger.work() as work:
        row = work.row(_LATELY, {"seconds": seconds})
    assert row is not None
    return int(row["texts"])


def last_dead(ledger: Ledger, limit: int) -> list[tuple[Claim, str]]:
    """The jobs that died last, by their last claims, and the error of each; the latest first."""
    with ledger.work() as work:
        rows = work.rows(_LAST_DEAD, {"limit": limit})
    return [(claim_of(row), row["last_error"]) for row in rows]


def is_cancelled(ledger: Ledger, claim: Claim) -> bool:
    """Was the job cancelled after this claim?"""
    with ledger.work() as work:
        sql = "SELECT id FROM jobs WHERE id = :id AND lease_epoch = :epoch AND state = 'cancelled'"
        return work.row(sql, {"id": claim.job_id, "epoch": claim.epoch}) is not None


class Counts:
    """The counts, for a process that is asked at any rate.

    A count that took long is kept for twenty times as long, so it costs the database at most a twentieth of a core.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._counted: list[dict[str, Any]] = []
        self._good_until = 0.0

    def __call__(self) -> list[dict[str, Any]]:
        """As :func:`status_counts`."""
        with self._lock:
            began = time.monotonic()
            if began >= self._good_until:
                self._counted = status_counts(self._ledger)
                now = time.monotonic()
                self._good_until = now + _SHARE * (now - began) if now - began > _LONG_SECONDS else now
            return self._counted

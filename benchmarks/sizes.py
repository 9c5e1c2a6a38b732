"""What the ledger's own statements cost with many jobs in the table: claim, dispatch and reconcile stay flat.

Most rows are done, as after months of work; some thousands wait, and a paused backlog waits for infinity.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import psycopg

from benchmarks.figures import Row, say, tell
from benchmarks.stack import BenchmarkStack
from xraygpt_core.ledger.jobs.claims import claim_next, heartbeat
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.ledger.jobs.reconcile import tick
from xraygpt_core.ledger.transaction import Ledger, open_ledger
from xraygpt_core.settings import Settings
from xraygpt_core.states import JobKind, Lane

_REPEATS = 20
TABLES = "studies, images, object_keys, jobs, timeline, summaries, backlogs, backlog_images"
_QUEUES = [(kind, lane) for lane in Lane for kind in (JobKind.SETTLE, JobKind.INGEST)]

# A tenth is paused, a tenth waits in the backlog lane, the rest is done.
_FILL = """
    INSERT INTO jobs (id, kind, subject, key, lane_rank, state, attempts, max_attempts, lease_epoch, not_before,
                      finished_at)
    SELECT gen_random_uuid(), 'ingest', gen_random_uuid(), 'filled-' || n, 2,
           CASE WHEN n %% 10 < 2 THEN 'queued' ELSE 'done' END, CASE WHEN n %% 10 < 2 THEN 0 ELSE 1 END, 5,
           CASE WHEN n %% 10 < 2 THEN 0 ELSE 1 END, CASE WHEN n %% 10 = 0 THEN 'infinity'::timestamptz END,
           CASE WHEN n %% 10 >= 2 THEN now() END
    FROM generate_series(%s::bigint, %s::bigint) AS n
"""


def measure(running: BenchmarkStack, sizes: list[int]) -> list[Row]:
    """Median milliseconds of each operation at each size, the smallest size being the baseline of the others."""
    rows: list[Row] = []
    first: dict[str, float] = {}
    with running.connect() as connection, ledger_of(running) as ledger:
        connection.execute(f"TRUNCATE {TABLES} CASCADE")
        filled = 0
        for size in sizes:
            say(f"filling the table to {size} jobs")
            fill(connection, filled + 1, size)
            filled = size
            for name, act in operations(ledger).items():
                took = timed(act)
                rows.append(tell(Row(f"jobs.{size}.{name}", took, "ms", first.setdefault(name, took))))
        connection.execute(f"TRUNCATE {TABLES} CASCADE")
    return rows


def fill(connection: "psycopg.Connection", first: int, last: int) -> None:
    """Add rows, a hundred thousand at a time, and let the planner know."""
    for begin in range(first, last + 1, 100_000):
        connection.execute(_FILL, [begin, min(begin + 99_999, last)])
    connection.execute("VACUUM (ANALYZE) jobs")


def operations(ledger: Ledger) -> dict[str, Callable[[], object]]:
    """What workers and control do all day."""

    held: list[Claim] = []
    return {
        "claim_16": lambda: held.extend(claim_next(ledger, _QUEUES, "benchmark", limit=16, in_turn=True)),
        "claim_1": lambda: held.extend(claim_next(ledger, _QUEUES, "benchmark")),
        "heartbeat": lambda: heartbeat(ledger, held[-64:]),
        "dispatch_and_reconcile": lambda: tick(ledger),
    }


def timed(act: Callable[[], object]) -> float:
    """Median milliseconds, connections and plans being warm."""
    for _ in range(6):
        act()
    took = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        act()
        took.append(1000 * (time.perf_counter() - began))
    return median(took)


@contextmanager
def ledger_of(running: BenchmarkStack) -> Iterator[Ledger]:
    """The ledger of the benchmark's own process."""
    given: dict[str, Any] = {n.removeprefix("XRAYGPT_").lower(): v for n, v in running.environment.items()}
    ledger = open_ledger(Settings(**given))
    try:
        yield ledger
    finally:
        ledger.close()

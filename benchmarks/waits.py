"""How long a stat study waits for a worker, with nothing ahead of it and with a backlog of any size."""

import time
from uuid import uuid4

import psycopg

from benchmarks.figures import Row, say, tell
from benchmarks.path import COMMANDS
from benchmarks.sizes import TABLES, ledger_of
from benchmarks.stack import BenchmarkStack, wait_until_quiet
from xraygpt_core.ledger.studies.register import ObjectRef, register_objects
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import Lane

_WARM = 5
_STUDIES = 40
_PAUSE_SECONDS = 0.1
_PAGE = 1000

# From registration to the start of each of its jobs: all the waiting a study does in queues.
_WAITS = """
    SELECT sum(extract(epoch FROM j.started_at - j.created_at)) AS waited
    FROM jobs j JOIN studies s ON s.id = j.subject OR s.id = (SELECT study_id FROM images i WHERE i.id = j.subject)
    WHERE s.lane_rank = 0 AND s.received_at > %s GROUP BY s.id ORDER BY waited
"""


def measure(running: BenchmarkStack, ahead: list[int]) -> list[Row]:
    """Median and 95th percentile of the queue wait of stat studies, with so many backlog jobs ahead."""
    rows: list[Row] = []
    alone: tuple[float, float] | None = None
    for count in ahead:
        say(f"stat studies with {count} backlog jobs ahead")
        with running.connect() as connection, ledger_of(running) as ledger:
            connection.execute(f"TRUNCATE {TABLES} CASCADE")
            _register(ledger, count, Lane.BACKLOG)
            connection.execute("VACUUM (ANALYZE) jobs, studies, images")
            with running.processes(COMMANDS, settle_seconds="0"):
                if count:
                    wait_until_quiet(connection, "EXISTS (SELECT FROM jobs WHERE state = 'done')", 120)
                found = _stat_waits(connection, ledger)
        alone = alone or found
        rows += [
            tell(Row(f"stat_wait.{count}_ahead.{name}", value, "ms", base))
            for name, value, base in zip(("p50", "p95"), found, alone, strict=True)
        ]
    return rows


def _stat_waits(connection: "psycopg.Connection", ledger: Ledger) -> tuple[float, float]:
    _send(connection, ledger, _WARM)  # until every process is up and has its connections
    warm = connection.execute("SELECT clock_timestamp()").fetchone()
    _send(connection, ledger, _STUDIES)
    waits = [1000 * float(row[0]) for row in connection.execute(_WAITS, warm)]
    return waits[len(waits) // 2], waits[len(waits) * 95 // 100]


def _send(connection: "psycopg.Connection", ledger: Ledger, count: int) -> None:
    """So many stat studies, one after the other, and the wait for their summaries."""
    for _ in range(count):
        _register(ledger, 1, Lane.STAT)
        time.sleep(_PAUSE_SECONDS)
    wait_until_quiet(connection, "NOT EXISTS (SELECT FROM studies WHERE lane_rank = 0 AND state <> 'summarised')", 300)


def _register(ledger: Ledger, count: int, lane: Lane) -> None:
    left = count
    while left > 0:
        some = [ObjectRef("source", uuid4().hex, "e") for _ in range(min(left, _PAGE))]
        register_objects(ledger, some, lane, actor="benchmark")
        left -= len(some)

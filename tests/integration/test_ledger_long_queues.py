"""A long queue slows nobody down: whoever asks for work in an empty one does not walk past the jobs of the others."""

import re
from typing import Any

import pytest

from xraygpt_core.ledger import control, jobs, status
from xraygpt_core.ledger.core import Ledger
from xraygpt_core.queue import queue_of, queues_of
from xraygpt_core.states import JobKind, Lane

LONG = 20_000
QUEUES = [queue_of(name) for name in queues_of(*JobKind)]
VALUES = {"kinds": [kind for kind, _ in QUEUES], "ranks": [lane.rank for _, lane in QUEUES]}


@pytest.fixture
def long_queue(ledger: Ledger) -> Ledger:
    """Twenty thousand jobs wait in one queue, and the planner knows it."""
    with ledger.work() as work:
        work.run(
            "INSERT INTO jobs (id, kind, subject, key, lane_rank, max_attempts) "
            "SELECT gen_random_uuid(), 'ingest', gen_random_uuid(), n::text, :rank, 5 FROM generate_series(1, :n) AS n",
            {"rank": Lane.BACKLOG.rank, "n": LONG},
        )
        work.run("ANALYZE jobs")
    return ledger


def plan(ledger: Ledger, sql: str, values: dict[str, Any]) -> str:
    with ledger.work() as work:
        return "\n".join(str(row["QUERY PLAN"]) for row in work.rows(f"EXPLAIN (ANALYZE) {sql}", values))


@pytest.mark.parametrize(
    ("sql", "values"),
    [
        pytest.param(jobs._NEXT.format(limit=16, which=jobs._ALL) + "SELECT id FROM due", VALUES, id="claim"),
        pytest.param(control._READY.format(window=32), VALUES, id="dispatch"),
        pytest.param(status._COUNTS, {}, id="status"),
    ],
)
def test_each_queue_is_found_in_the_index_of_what_is_ready(
    long_queue: Ledger, sql: str, values: dict[str, Any]
) -> None:
    found = plan(long_queue, sql, values)
    assert "ix_jobs_ready" in found
    assert "pk_jobs" not in found
    assert max(map(int, re.findall(r"Rows Removed by Filter: (\d+)", found)), default=0) < len(QUEUES)


def test_an_urgent_job_is_claimed_before_all_of_them(long_queue: Ledger) -> None:
    with long_queue.work() as work:
        work.run("UPDATE jobs SET lane_rank = 0 WHERE key = '777'")
    claims = jobs.claim_next(long_queue, QUEUES, "test", limit=2)
    assert [claim.lane for claim in claims] == [Lane.STAT, Lane.BACKLOG]
    assert claims[0].key == "777"

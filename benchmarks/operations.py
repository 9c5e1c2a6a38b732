"""What the operators' page costs with many studies and jobs: the document behind it, and a round of the rollups."""

import os
import time
from collections.abc import Callable

from api_gateway.ops import OverviewAnswer
from benchmarks.cpu import core_seconds
from benchmarks.figures import Row, say, tell
from benchmarks.queries import fill
from benchmarks.sizes import ledger_of, timed
from benchmarks.stack import BenchmarkStack
from workers.rollups import Rollups
from xraygpt_core.ledger.jobs.status import status_counts
from xraygpt_core.ledger.operations.gauges import note_backlogs
from xraygpt_core.ledger.operations.history import Hours
from xraygpt_core.ledger.operations.overview import overview
from xraygpt_core.ledger.operations.rollup import roll_up
from xraygpt_core.ledger.transaction import Ledger

_CALLS = 100

# A week of work; two of a hundred wait, one of five hundred died, of some dozen causes.
_JOBS = """
    INSERT INTO jobs (id, kind, subject, key, lane_rank, state, attempts, max_attempts, lease_epoch, claimed_by,
                      created_at, started_at, finished_at, last_error)
    SELECT uuidv7(at - now()), kind, gen_random_uuid(), 'filled-' || n, n %% 3, state, 1, 5, 1, 'worker-' || n %% 16,
           at, at + interval '3 seconds', CASE WHEN state <> 'queued' THEN at + interval '5 seconds' END,
           CASE WHEN state = 'dead' THEN 'CodecCrashed: signal ' || n || repeat(' again', (n %% 12)::int) END
    FROM (
        SELECT n, now() - n * interval '0.6 seconds' AS at,
               (ARRAY['ingest', 'settle', 'summarise', 'chat'])[1 + n %% 4] AS kind,
               CASE WHEN n %% 50 = 0 THEN 'queued' WHEN n %% 500 = 1 THEN 'dead' ELSE 'done' END AS state
        FROM generate_series(%s::bigint, %s::bigint) AS n
    ) AS made
"""


def measure(running: BenchmarkStack, studies: int, jobs: int) -> list[Row]:
    """Milliseconds: the index that the rollups need, catching up, a round, and the document's 95th percentile."""
    rows = []
    with running.connect() as connection, ledger_of(running) as ledger:
        fill(connection, studies)
        say(f"filling {jobs} jobs")
        for first in range(1, jobs + 1, 100_000):
            connection.execute(_JOBS, [first, min(first + 99_999, jobs)])
        connection.execute("VACUUM (ANALYZE)")
        connection.execute("DROP INDEX ix_jobs_finished")
        index = "CREATE INDEX ix_jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL"
        rows.append(tell(Row(f"operations.{jobs}.index", once(lambda: connection.execute(index)), "ms")))
        rows.append(tell(Row(f"operations.{jobs}.catch_up", once(lambda: catch_up(ledger)), "ms")))
        rows.append(tell(Row(f"operations.{jobs}.roll_up", timed(lambda: roll_up(ledger)), "ms")))
        rows.append(tell(Row(f"operations.{studies}.backlogs", once(lambda: note_backlogs(ledger)), "ms")))
        for hours in Hours:
            spent = cpu_ms()
            took = p95(lambda hours=hours: document(ledger, hours))
            spent = (cpu_ms() - spent) / (_CALLS + 1)
            rows.append(tell(Row(f"operations.{jobs}.document_{int(hours)}h_p95", took, "ms")))
            rows.append(tell(Row(f"operations.{jobs}.document_{int(hours)}h_cpu", spent, "core-ms")))
    return rows


def catch_up(ledger: Ledger) -> None:
    """Count the week."""
    while not Rollups(ledger, lambda: 0.0).round():
        pass


def document(ledger: Ledger, hours: Hours) -> str:
    """What the route answers."""
    return OverviewAnswer.model_validate(overview(ledger, hours, status_counts(ledger))).model_dump_json()


def once(act: Callable[[], object]) -> float:
    """Milliseconds of one call."""
    began = time.perf_counter()
    act()
    return 1000 * (time.perf_counter() - began)


def cpu_ms() -> float:
    """Core-milliseconds of this process and PostgreSQL, which is its child: a busy machine does not change them."""
    return 1000 * core_seconds({"all": os.getpid()})["all"]


def p95(act: Callable[[], object]) -> float:
    """The 95th percentile of a hundred calls in a row."""
    act()
    return sorted(once(act) for _ in range(_CALLS))[_CALLS * 95 // 100]

"""The queue: what a study costs beside its pixels and its model, and how the ledger grows.

A stock Celery runs beside it in the same run. Parts, for ``--only``: cost, throughput, listing, operations, sizes,
waits, stat, pages, queries.
"""

from pathlib import Path

from benchmarks import listing, operations, path, queries, sizes, stat, stock, waits, worklist
from benchmarks.figures import Row, arguments, report, say, tell
from benchmarks.stack import BenchmarkStack, services

_PLANS = Path(__file__).with_name("query-plans.md")


def cost(running: BenchmarkStack, studies: int) -> list[Row]:
    """``core_ms_per_study``, ours and stock, and where ours goes; with and without the quiet time of a study."""
    say("stock Celery")
    theirs = stock.core_ms_per_study(running.broker.url, running.broker.pid, studies, running.directory)
    stocks = sum(theirs.values())
    ours, quiet = _run(running, studies, settle_seconds="0"), _run(running, studies)
    rows = [Row("core_ms_per_study", ours.core_ms_per_study, "ms", stocks)]
    rows += [Row(f"core_ms_per_study.{name}", value, "ms") for name, value in ours.core_ms.items()]
    rows += [Row(f"core_ms_per_study.stock_{name}", value, "ms") for name, value in theirs.items()]
    return [*rows, Row("core_ms_per_study.with_quiet_time", quiet.core_ms_per_study, "ms", stocks)]


def throughput(running: BenchmarkStack, sizes: list[int]) -> list[Row]:
    """Studies per second through the whole path; the smallest number is the baseline of the others."""
    rows: list[Row] = []
    for studies in sizes:
        run = _run(running, studies, settle_seconds="0")
        per_second = studies / run.seconds
        baseline = rows[0].value if rows else None
        rows += [
            tell(Row(f"studies_per_second.{studies}", per_second, "1/s", baseline)),
            Row(f"longest_queue.{studies}", run.longest_queue, "messages"),
        ]
    return rows


def _run(running: BenchmarkStack, studies: int, **settings: str) -> path.PathRun:
    say(f"{studies} studies, {settings or 'default settings'}")
    with running.processes(path.COMMANDS, **settings) as children:
        pids = {name: child.pid for name, child in children.items()}
        path.warm(running)
        return path.measure(running, pids | {"postgres": running.postgres.pid, "broker": running.broker.pid}, studies)


def main() -> int:
    """Run what was asked for."""
    asked = arguments(__doc__)
    full: bool = asked.full
    parts = {
        "cost": lambda stack: cost(stack, 1000),
        "throughput": lambda stack: throughput(stack, [1000, 10_000, 100_000] if full else [1000, 10_000]),
        "listing": lambda stack: [
            row
            for keys in ([10_000, 100_000, 1_000_000] if full else [10_000, 100_000])
            for row in listing.measure(stack, keys)
        ],
        "operations": lambda stack: operations.measure(stack, 200_000, 1_000_000),
        "sizes": lambda stack: sizes.measure(stack, [10_000, 1_000_000, 10_000_000] if full else [10_000, 1_000_000]),
        "waits": lambda stack: waits.measure(stack, [0, 1000, 100_000]),
        "pages": lambda stack: [
            row for studies in ([200_000, 1_000_000] if full else [20_000]) for row in worklist.measure(stack, studies)
        ],
        "stat": lambda stack: stat.measure(stack, 40 if full else 12),
        "queries": lambda stack: queries.measure(stack, 1_000_000 if full else 100_000, _PLANS if full else None),
    }
    rows: list[Row] = []
    for name in asked.only or parts:
        with services() as running:
            rows += parts[name](running)
    report(rows, as_json=asked.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

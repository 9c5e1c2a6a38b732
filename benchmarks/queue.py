"""The queue: what a study costs beside its pixels and its model, next to a stock Celery in the same run."""

from benchmarks import path, stock
from benchmarks.figures import Row, arguments, report, say
from benchmarks.stack import Services, services


def cost(running: Services, studies: int) -> list[Row]:
    """``core_ms_per_study``, ours and stock, and where ours goes."""
    say("stock Celery")
    theirs = stock.core_ms_per_study(running.broker.url, running.broker.pid, studies, running.directory)
    with running.processes(path.COMMANDS, settle_seconds="0") as children:
        say("our own path")
        pids = {name: child.pid for name, child in children.items()}
        pids |= {"postgres": running.postgres.pid, "broker": running.broker.pid}
        path.warm(running)
        ours = path.measure(running, pids, studies)
    rows = [Row("core_ms_per_study", ours.core_ms_per_study, "ms", sum(theirs.values()))]
    rows += [Row(f"core_ms_per_study.{name}", value, "ms") for name, value in ours.core_ms.items()]
    rows += [Row(f"core_ms_per_study.stock_{name}", value, "ms") for name, value in theirs.items()]
    return [*rows, Row("studies_per_second", studies / ours.seconds, "1/s")]


def main() -> int:
    """Run what was asked for."""
    asked = arguments(__doc__)
    with services() as running:
        rows = cost(running, 1000)
    report(rows, as_json=asked.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

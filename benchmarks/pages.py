"""A page of the reading room's lists, with and without filters, in front of many studies."""

from benchmarks.figures import Row, say, tell
from benchmarks.queries import fill
from benchmarks.sizes import ledger_of, timed
from benchmarks.stack import BenchmarkStack
from xraygpt_core.ledger.studies.worklist import WorklistView, worklist
from xraygpt_core.states import Lane, StudyState

_ROWS = 50
_NOTHING = [StudyState.DEAD]  # a state that no filled study has


def measure(running: BenchmarkStack, summaries: int) -> list[Row]:
    """Median milliseconds of a first page and of the one behind it; of filters, one that finds nothing."""
    say(f"filling {summaries} summaries")
    rows = []
    with running.connect() as connection, ledger_of(running) as ledger:
        connection.execute("TRUNCATE studies, images, object_keys, jobs, timeline, summaries, backlogs CASCADE")
        fill(connection, summaries)
        for listing in WorklistView:
            after = worklist(ledger, listing, limit=_ROWS).after
            pages = {
                "first": lambda listing=listing: worklist(ledger, listing, limit=_ROWS),
                "next": lambda listing=listing, after=after: worklist(ledger, listing, limit=_ROWS, after=after),
                "lane": lambda listing=listing: worklist(ledger, listing, limit=_ROWS, lane=Lane.BACKLOG),
                "nothing": lambda listing=listing: worklist(ledger, listing, limit=_ROWS, states=_NOTHING),
            }
            for name, page in pages.items():
                rows.append(tell(Row(f"pages.{summaries}.{listing}.{name}", timed(page), "ms")))
    return rows

"""Pages of the reading room's lists over many studies: every filter, every order, while a backlog is written."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.figures import Row, say, tell
from benchmarks.sizes import ledger_of
from benchmarks.stack import BenchmarkStack
from xraygpt_core.ledger.lists.assign import Reader
from xraygpt_core.ledger.lists.filters import Filters
from xraygpt_core.ledger.lists.orders import ORDERS, Sorting, WorklistView, own_sorting
from xraygpt_core.ledger.lists.worklist import count, worklist
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import Flag, Lane, ReviewState, StudyState

_ROWS = 50
_EACH = 12
_MANY = 1_000_000
TABLES = "studies, images, summaries, assignments, reading_claims"

_FILL = Path(__file__).with_name("worklist_fill.sql").read_text()


def measure(running: BenchmarkStack, studies: int) -> list[Row]:
    """The slowest of twelve, in milliseconds: of each first page, of the one behind it, and of the counts.

    With a million studies, only in the order in which each list opens.
    """
    with running.connect() as connection, ledger_of(running) as ledger:
        fill(connection, studies)
        with _backlog(connection, studies):
            acts = cases(ledger, every_order=studies < _MANY)
            return [row for name, act in acts.items() for row in _timed(f"worklist.{studies}.{name}", act)]


def fill(connection: "psycopg.Connection", studies: int) -> None:
    """Only these studies, one every seven seconds back from now."""
    say(f"filling {studies} studies")
    connection.execute(f"TRUNCATE {TABLES} CASCADE")
    for first in range(1, studies + 1, 25_000):
        last = min(first + 24_999, studies)
        connection.execute(_FILL, {"first": first, "last": last, "half": studies // 2})
    connection.execute(
        "INSERT INTO assignments (study_id, name, assigned_by) SELECT id, 'Dr. A', 'Dr. A' FROM studies "
        "ORDER BY received_at LIMIT 400"
    )
    connection.execute("VACUUM (ANALYZE)")


def filters() -> dict[str, Filters]:
    """Every kind of filter, common and rare, alone and together."""
    today = datetime.now(UTC)
    return {
        "none": Filters(),
        "lane": Filters(lane=Lane.STAT),
        "view": Filters(views=["PA"]),
        "view_rare": Filters(views=["LL"]),
        "finding": Filters(findings=["effusion"]),
        "finding_tenth": Filters(findings=["consolidation"]),
        "finding_rare": Filters(findings=["pneumothorax"]),
        "finding_none": Filters(findings=["unheard"]),
        "findings": Filters(findings=["effusion", "consolidation"], views=["AP"]),
        "uncertain": Filters(uncertain=["nodule"]),
        "words": Filters(text="pleural effusion"),
        "words_rare": Filters(text="situs inv"),
        "words_some": Filters(text="large pneumoth"),
        "words_none": Filters(text="zebra"),
        "words_short": Filters(text="a"),
        "flag": Filters(flags=[Flag.BURNED_IN_UNCHECKED]),
        "flag_rare": Filters(flags=[Flag.CHEST_UNCERTAIN]),
        "flag_text": Filters(flags=[Flag.CONSISTENCY]),
        "bundle_far": Filters(bundle="newer"),
        "bundle_none": Filters(bundle="unheard"),
        "reviewer": Filters(reviewer="Dr. B"),
        "reviewer_rare": Filters(reviewer="Dr. Rare"),
        "received": Filters(received_from=today - timedelta(days=2), received_until=today - timedelta(days=1)),
        "received_far": Filters(received_until=today - timedelta(days=15)),
        "acquired": Filters(acquired_from=date.today() - timedelta(days=3), acquired_until=date.today()),
        "mine": Filters(mine=Reader(None, "Dr. A")),
        "rejected": Filters(states=[StudyState.REJECTED]),
        "edited": Filters(reviews=[ReviewState.EDITED]),
        "all": Filters(
            lane=Lane.ROUTINE, views=["PA"], findings=["effusion"], text="small left", bundle="newer",
            received_from=today - timedelta(days=9), flags=[Flag.BURNED_IN_UNCHECKED],
        ),
    }  # fmt: skip


def cases(ledger: Ledger, *, every_order: bool = True) -> dict[str, Callable[[], object]]:
    """A page for each list, order and filter; the page behind it; and the counts beside the filters."""
    found: dict[str, Callable[[], object]] = {}
    for listing in WorklistView:
        for order in ORDERS[listing] if every_order else ORDERS[listing][:1]:
            sorting = own_sorting(listing) if order is ORDERS[listing][0] else Sorting(order, descending=True)
            for name, chosen in filters().items():
                given: dict[str, Any] = {"limit": _ROWS, "filters": chosen, "sorting": sorting}
                found[f"{listing}.{order}.{name}.first"] = lambda g=given, w=listing: worklist(ledger, w, **g)
                after = worklist(ledger, listing, **given).after
                if after is not None:
                    given = given | {"after": after}
                    found[f"{listing}.{order}.{name}.next"] = lambda g=given, w=listing: worklist(ledger, w, **g)
                if order is ORDERS[listing][0]:
                    found[f"{listing}.{name}.counts"] = lambda c=chosen, w=listing: count(ledger, w, filters=c)
    return found


def _timed(name: str, act: Callable[[], object]) -> list[Row]:
    act()
    return [tell(Row(f"{name}.most", max(_milliseconds(act) for _ in range(_EACH)), "ms"))]


def _milliseconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return 1000 * (time.perf_counter() - began)


@contextmanager
def _backlog(connection: "psycopg.Connection", studies: int) -> Iterator[None]:
    """Fifty summaries a second are written meanwhile, as a backlog does."""
    ended = threading.Event()
    number = studies

    def write() -> None:
        nonlocal number
        while not ended.wait(0.02):
            number += 1
            connection.execute(_FILL, {"first": number, "last": number, "half": 0})

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()

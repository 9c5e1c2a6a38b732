"""A worker process is seen while it lives, and what it says is what it is at."""

import threading
from typing import Any

from tests.support.ledger_tools import one, rows
from workers.executor import attempt
from workers.presence import Announcer
from xraygpt_core.errors import Unavailable
from xraygpt_core.ledger.operations.presence import Presence, SeenWorker, announce, forget_gone, leave, seen_in
from xraygpt_core.ledger.transaction import Ledger


def seen_workers(ledger: Ledger) -> list[SeenWorker]:
    with ledger.work() as work:
        return seen_in(work)


def test_a_worker_says_how_busy_it_is_and_how_fast_it_writes(ledger: Ledger) -> None:
    now, tokens = [0.0], [100.0]
    announcer = Announcer(ledger, "gpu-1@h", "gpu", tokens=lambda: tokens[0], clock=lambda: now[0])
    announcer.say()
    (loading,) = seen_workers(ledger)
    assert (loading.slots, loading.busy, loading.tokens_per_s, loading.bundle) == (0, 0, None, None)
    announcer.slots, announcer.busy = 4, lambda: 9
    announcer.bundle = "demo", "ab" * 32, {"says": "Synthetic films."}
    now[0], tokens[0] = 10.0, 350.0
    announcer.say()
    (working,) = seen_workers(ledger)
    assert (working.slots, working.busy, working.tokens_per_s) == (4, 4, 25.0)
    assert (working.bundle, working.scope, working.devices) == ("demo", {"says": "Synthetic films."}, None)
    assert working.started_at == loading.started_at
    assert 0 <= working.age_seconds < 60


def test_a_worker_that_ends_in_good_order_is_gone_at_once(ledger: Ledger) -> None:
    announcer = Announcer(ledger, "ingest-1@h", "ingest")
    said = threading.Event()

    def tell(act: Any) -> tuple[None, Exception | None]:
        result = attempt(act)
        said.set()
        return result

    announcer.start(tell)
    assert said.wait(60)
    assert [worker.name for worker in seen_workers(ledger)] == ["ingest-1@h"]
    announcer.close(attempt)
    assert seen_workers(ledger) == []


def test_whatever_goes_wrong_the_thread_goes_on_and_the_end_is_orderly(ledger: Ledger) -> None:
    tried = threading.Event()

    def fails(act: Any) -> tuple[None, Exception | None]:
        tried.set()
        return None, Unavailable("PostgreSQL does not answer")

    announcer = Announcer(ledger, "ingest-1@h", "ingest")
    announcer.start(fails)
    assert tried.wait(60)
    announcer.close(fails)
    assert rows(ledger, "SELECT name FROM workers") == []


def test_workers_that_ended_without_a_word_are_forgotten(ledger: Ledger) -> None:
    for name in ("a-1@h", "b-2@h"):
        announce(ledger, Presence(name, "ingest", 1, 0))
    with ledger.work() as work:
        work.run("UPDATE workers SET seen_at = seen_at - interval '2 minutes' WHERE name = 'a-1@h'")
    assert [worker.name for worker in seen_workers(ledger)] == ["b-2@h"]
    assert forget_gone(ledger) == 1
    leave(ledger, "nobody")
    assert one(ledger, "SELECT name FROM workers") == "b-2@h"

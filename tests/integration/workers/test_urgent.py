"""While all threads of a process are at work, one more does what somebody waits for, and no error ends it."""

import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from tests.support.consumer_tools import QUEUES, Reader, fill, jobs
from tests.support.postgres_errors import DISK_FULL, server_error
from tests.support.worker_bench import Bench, eventually
from workers.consumer import Consumer
from xraygpt_core.errors import Unavailable
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.states import JobKind, Lane


@pytest.fixture
def stuck(bench: Bench) -> Iterator[tuple[Consumer, Reader]]:
    """A process whose only thread is at work on a backlog, until the test is over."""
    fill(bench, 3)
    began, released = threading.Event(), threading.Event()

    def wait(claim: Claim) -> None:
        if claim.lane is Lane.BACKLOG:
            began.set()
            assert released.wait(250)

    reader = Reader(bench, wait)
    work = Consumer(bench.context, QUEUES, {JobKind.INGEST: reader})
    threads = [threading.Thread(target=work), threading.Thread(target=work.serve_urgent, args=(1,))]
    for thread in threads:
        thread.start()
    assert began.wait(60)
    yield work, reader
    bench.context.draining.set()
    released.set()
    for thread in threads:
        thread.join(60)


def test_what_is_urgent_does_not_wait_for_threads_that_are_all_at_work(
    bench: Bench, stuck: tuple[Consumer, Reader]
) -> None:
    urgent = fill(bench, 2, Lane.STAT)
    eventually(lambda: jobs(bench).get("done") == 2, "both urgent jobs are done")
    assert stuck[1].seen[-2:] == urgent
    assert bench.value("SELECT count(*) FROM jobs WHERE state = 'running' AND lane_rank > 0") == 1


def test_nobody_but_the_urgent_is_let_past(bench: Bench, stuck: tuple[Consumer, Reader]) -> None:
    fill(bench, 2, Lane.ROUTINE)
    stuck[0].do_urgent()
    assert jobs(bench) == {"running": 1, "queued": 4}


def test_while_a_thread_is_free_the_doorbell_is_left_to_it(bench: Bench) -> None:
    work = Consumer(bench.context, QUEUES, {JobKind.INGEST: Reader(bench)})
    looked: list[int] = []
    work.do_urgent = lambda: bool(looked.append(1))  # type: ignore[method-assign,func-returns-value]

    class Clock:
        def __init__(self, looks: int) -> None:
            self.left = looks

        def wait(self, _pause: float) -> bool:
            self.left -= 1
            return self.left < 0

    work._context = replace(bench.context, draining=Clock(5))  # type: ignore[arg-type]
    work.serve_urgent(1)
    assert looked == []


@pytest.mark.parametrize(
    "error", [Unavailable("down"), OperationalError("SELECT", {}, server_error(DISK_FULL)), ZeroDivisionError()]
)
def test_no_error_ends_the_thread_that_does_what_is_urgent(
    bench: Bench, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody would start it again. It says what is the matter when it begins, not every second."""
    done = threading.Event()
    urgent = fill(bench, 1, Lane.STAT)
    reader = Reader(bench, lambda _: done.set())
    work = Consumer(bench.context, QUEUES, {JobKind.INGEST: reader})
    asked: list[int] = []

    class Clock:
        def wait(self, _pause: float) -> bool:
            return done.is_set()

        def is_set(self) -> bool:
            return False

    class Failing:
        """The ledger, once it was asked three times."""

        def __getattr__(self, name: str) -> Any:
            if name == "work":
                asked.append(1)
                if len(asked) <= 3:
                    raise error
            return getattr(bench.ledger, name)

    work._context = replace(bench.context, draining=Clock(), ledger=Failing())  # type: ignore[arg-type]
    work.serve_urgent(0)
    assert reader.seen == urgent
    assert sum(record.levelno >= logging.WARNING for record in caplog.records) == 1

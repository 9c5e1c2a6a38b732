"""From one doorbell to an empty queue: what a thread does, in which order, and what becomes of what goes wrong."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from tests.ledger_tools import film
from tests.worker_bench import Bench, eventually
from workers.context import Context
from workers.drain import Drain
from workers.edge import HandedBack
from workers.heartbeat import Pulse
from xraygpt_core.errors import Refused, Unavailable
from xraygpt_core.ledger.fence import Claim
from xraygpt_core.ledger.ingest import complete_ingests, reject_image
from xraygpt_core.queue import queues_of
from xraygpt_core.states import JobKind, Lane, ReasonCode

QUEUES = queues_of(JobKind.INGEST)


class Reader:
    """Reads images in no time; ``meanwhile`` is called for each."""

    def __init__(self, bench: Bench, meanwhile: Callable[[Claim], None] = lambda _: None) -> None:
        self._bench = bench
        self._meanwhile = meanwhile
        self.batches: list[int] = []
        self.seen: list[UUID] = []

    def prepare(self, claims: Sequence[Claim]) -> dict[UUID, Any]:
        self.batches.append(len(claims))
        return {}

    def do(self, claim: Claim, _pulse: Pulse, _given: Any) -> Any:
        self.seen.append(claim.subject)
        self._meanwhile(claim)
        return film(f"study-{claim.subject}")

    def finish(self, done: Sequence[tuple[Claim, Any]]) -> set[UUID]:
        return complete_ingests(self._bench.ledger, done)


def fill(bench: Bench, count: int, lane: Lane = Lane.BACKLOG) -> list[UUID]:
    return [bench.register(f"{lane}/{number}", b"film", lane).image_id for number in range(count)]


def jobs(bench: Bench) -> dict[str, int]:
    rows = bench.rows("SELECT state, count(*) AS jobs FROM jobs WHERE kind = 'ingest' GROUP BY state")
    return {row["state"]: row["jobs"] for row in rows}


def drain(bench: Bench, reader: Any) -> None:
    Drain(bench.context, QUEUES, {JobKind.INGEST: reader})()


def test_one_doorbell_is_enough_for_everything_that_is_ready(bench: Bench) -> None:
    images = fill(bench, 30)
    reader = Reader(bench)
    drain(bench, reader)
    assert reader.seen == images
    assert jobs(bench) == {"done": 30}
    assert max(reader.batches) > 1, "short jobs are taken several at a time"


def test_what_is_urgent_comes_first_even_if_it_comes_later(bench: Bench) -> None:
    fill(bench, 8)
    late: list[UUID] = []

    def register_once(_claim: Claim) -> None:
        if not late:
            late.extend(fill(bench, 1, Lane.STAT))

    reader = Reader(bench, register_once)
    drain(bench, reader)
    assert reader.seen.index(late[0]) == reader.batches[0], "right after the batch that was running"


def test_a_job_that_fails_fails_alone(bench: Bench) -> None:
    images = fill(bench, 12)

    def fail(claim: Claim) -> None:
        if claim.subject == images[5]:
            raise Unavailable("no answer")

    drain(bench, Reader(bench, fail))
    assert jobs(bench) == {"done": 11, "queued": 1}
    assert bench.value("SELECT subject FROM jobs WHERE last_error IS NOT NULL") == images[5]


def test_a_result_that_cannot_be_written_fails_alone(bench: Bench) -> None:
    images = fill(bench, 12)

    class Careless(Reader):
        def do(self, claim: Claim, pulse: Pulse, given: Any) -> Any:
            read = super().do(claim, pulse, given)
            return film("\0") if claim.subject == images[7] else read

    drain(bench, Careless(bench))
    assert jobs(bench) == {"done": 11, "queued": 1}
    assert bench.value("SELECT subject FROM jobs WHERE last_error IS NOT NULL") == images[7]


def test_a_job_whose_lease_went_to_another_is_not_written_with_the_others(bench: Bench) -> None:
    images = fill(bench, 12)

    def lose(claim: Claim) -> None:
        if claim.subject == images[6]:
            with bench.ledger.work() as work:
                work.run("UPDATE jobs SET lease_epoch = lease_epoch + 1 WHERE id = :id", {"id": claim.job_id})

    drain(bench, Reader(bench, lose))
    assert jobs(bench) == {"done": 11, "running": 1}
    assert bench.value("SELECT state FROM images WHERE id = :id", id=images[6]) == "received"


def test_a_job_that_was_tried_before_is_taken_alone(bench: Bench) -> None:
    images = fill(bench, 20)
    with bench.ledger.work() as work:
        work.run(
            "UPDATE jobs SET attempts = 1, lease_epoch = 1 WHERE subject = ANY(CAST(:ids AS uuid[]))",
            {"ids": images[8:10]},
        )
    reader = Reader(bench)
    drain(bench, reader)
    sizes, place = [], 0
    for size in reader.batches:
        sizes += [(image, size) for image in reader.seen[place : place + size]]
        place += size
    assert [size for image, size in sizes if image in images[8:10]] == [1, 1]
    assert jobs(bench) == {"done": 20}


def test_a_draining_process_hands_back_what_it_has_not_begun(bench: Bench) -> None:
    fill(bench, 20)
    reader = Reader(bench, lambda _: len(reader.seen) == 7 and bench.context.draining.set())
    drain(bench, reader)
    assert jobs(bench) == {"done": len(reader.seen), "queued": 20 - len(reader.seen)}
    assert bench.value("SELECT max(attempts) FROM jobs WHERE state = 'queued'") == 0


def test_a_process_that_drains_takes_nothing(bench: Bench) -> None:
    fill(bench, 2)
    bench.context.draining.set()
    drain(bench, Reader(bench))
    assert jobs(bench) == {"queued": 2}


def test_threads_with_one_job_each_share_what_is_ready(bench: Bench) -> None:
    fill(bench, 12)
    at_once, most, lock = [0], [0], threading.Lock()

    def body(claim: Claim, _pulse: Pulse) -> None:
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        reject_image(bench.ledger, claim, ReasonCode.EMPTY, "empty")
        with lock:
            at_once[0] -= 1

    work = Drain(bench.context, QUEUES, {JobKind.INGEST: body})
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert jobs(bench) == {"done": 12}
    assert most[0] > 1
    assert bench.value("SELECT max(attempts) FROM jobs") == 1, "none was done twice"


def test_a_job_handed_back_does_not_come_again_to_a_process_that_ends(bench: Bench) -> None:
    fill(bench, 1)

    def body(_claim: Claim, _pulse: Pulse) -> None:
        bench.context.draining.set()
        raise HandedBack("stopping")

    drain(bench, body)
    assert jobs(bench) == {"queued": 1}


def test_the_next_message_goes_on_when_a_task_has_run_for_long(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.drain.TASK_SECONDS", 0.0)
    fill(bench, 3)
    bench.ledger.doorbell.app.control.purge()
    reader = Reader(bench)
    drain(bench, reader)
    assert reader.batches == [1]
    assert bench.ledger.doorbell.lengths(["ingest.backlog"]) == {"ingest.backlog": 1}


@pytest.fixture
def stuck(bench: Bench) -> Iterator[tuple[Drain, Reader]]:
    """A process whose only thread is at work on a backlog, until the test is over."""
    fill(bench, 3)
    began, released = threading.Event(), threading.Event()

    def wait(claim: Claim) -> None:
        if claim.lane is Lane.BACKLOG:
            began.set()
            assert released.wait(60)

    reader = Reader(bench, wait)
    work = Drain(bench.context, QUEUES, {JobKind.INGEST: reader})
    threads = [threading.Thread(target=work), threading.Thread(target=work.attend, args=(1,))]
    for thread in threads:
        thread.start()
    assert began.wait(60)
    yield work, reader
    bench.context.draining.set()
    released.set()
    for thread in threads:
        thread.join(60)


def test_what_is_urgent_does_not_wait_for_threads_that_are_all_at_work(
    bench: Bench, stuck: tuple[Drain, Reader]
) -> None:
    urgent = fill(bench, 2, Lane.STAT)
    eventually(lambda: jobs(bench).get("done") == 2, "both urgent jobs are done")
    assert stuck[1].seen[-2:] == urgent
    assert bench.value("SELECT count(*) FROM jobs WHERE state = 'running' AND lane_rank > 0") == 1


def test_nobody_but_the_urgent_is_let_past(bench: Bench, stuck: tuple[Drain, Reader]) -> None:
    fill(bench, 2, Lane.ROUTINE)
    stuck[0].urgent()
    assert jobs(bench) == {"running": 1, "queued": 4}


def test_while_a_thread_is_free_the_doorbell_is_left_to_it(bench: Bench) -> None:
    work = Drain(bench.context, QUEUES, {JobKind.INGEST: Reader(bench)})
    looked: list[int] = []
    work.urgent = lambda: bool(looked.append(1))  # type: ignore[method-assign,func-returns-value]

    class Clock:
        def __init__(self, looks: int) -> None:
            self.left = looks

        def wait(self, _pause: float) -> bool:
            self.left -= 1
            return self.left < 0

    work._context = replace(bench.context, draining=Clock(5))  # type: ignore[arg-type]
    work.attend(1)
    assert looked == []


def test_a_database_that_is_away_is_not_asked_again_at_once(bench: Bench) -> None:
    class Away:
        def __getattr__(self, _name: str) -> Any:
            raise Unavailable("PostgreSQL does not answer")

    pauses: list[float] = []

    class Clock:
        def wait(self, pause: float) -> bool:
            pauses.append(pause)
            return len(pauses) > 3

        def is_set(self) -> bool:
            return False

    context = replace(bench.context, ledger=Away(), draining=Clock())  # type: ignore[arg-type]
    Drain(context, QUEUES, {JobKind.INGEST: Reader(bench)}).attend(0)
    assert pauses[1:] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    "error", [Unavailable("down"), OperationalError("SELECT", {}, psycopg.errors.DiskFull()), ZeroDivisionError()]
)
def test_no_error_ends_the_thread_that_does_what_is_urgent(
    bench: Bench, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody would start it again. It says what is the matter when it begins, not every second."""
    done = threading.Event()
    urgent = fill(bench, 1, Lane.STAT)
    reader = Reader(bench, lambda _: done.set())
    work = Drain(bench.context, QUEUES, {JobKind.INGEST: reader})
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
    work.attend(0)
    assert reader.seen == urgent
    assert sum(record.levelno >= logging.WARNING for record in caplog.records) == 1


def test_results_that_are_refused_together_are_written_one_by_one(bench: Bench) -> None:
    images = fill(bench, 12)

    class Crowded(Reader):
        def finish(self, done: Sequence[tuple[Claim, Any]]) -> set[UUID]:
            if len(done) > 1 or done[0][0].subject == images[3]:
                raise Refused("PostgreSQL cannot do this now: LockNotAvailable")
            return super().finish(done)

    drain(bench, Crowded(bench))
    assert jobs(bench) == {"done": 11, "queued": 1}
    assert bench.value("SELECT subject FROM jobs WHERE last_error IS NOT NULL") == images[3]


def test_a_database_that_is_away_ends_the_task_and_nothing_else(bench: Bench) -> None:
    class Away:
        def __getattr__(self, _name: str) -> Any:
            raise Unavailable("PostgreSQL does not answer")

    context = Context(bench.settings, Away(), bench.store, bench.context.heart, "test")  # type: ignore[arg-type]
    Drain(context, QUEUES, {JobKind.INGEST: Reader(bench)})()

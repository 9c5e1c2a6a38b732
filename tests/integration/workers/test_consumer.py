"""From one doorbell to an empty queue: what a thread does, in which order, and what becomes of what goes wrong."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Any
from uuid import UUID

import pytest

from tests.support.consumer_tools import QUEUES, Reader, drain, fill, jobs
from tests.support.ledger_tools import film
from tests.support.worker_bench import Bench
from workers.consumer import Consumer
from workers.context import Context
from workers.executor import HandedBack
from workers.heartbeat import JobProgress
from xraygpt_core.errors import Refused, Unavailable
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.ledger.studies.end_image import reject_image
from xraygpt_core.ledger.training.runs import create_run
from xraygpt_core.queue import queues_of
from xraygpt_core.states import JobKind, Lane, ReasonCode


def test_one_doorbell_is_enough_for_everything_that_is_ready(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.pace.BATCH_SECONDS", 60.0)  # these jobs are short, on however slow a machine
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
        def do(self, claim: Claim, progress: JobProgress, given: Any) -> Any:
            read = super().do(claim, progress, given)
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
    four_at_once, begun = threading.Barrier(4, timeout=60), count()

    def body(claim: Claim, _progress: JobProgress) -> None:
        if next(begun) < 4:
            four_at_once.wait()
        reject_image(bench.ledger, claim, ReasonCode.EMPTY, "empty")

    work = Consumer(bench.context, QUEUES, {JobKind.INGEST: body})
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not four_at_once.broken, "each thread has a job"
    assert jobs(bench) == {"done": 12}
    assert bench.value("SELECT max(attempts) FROM jobs") == 1, "none was done twice"


def test_a_job_handed_back_does_not_come_again_to_a_process_that_ends(bench: Bench) -> None:
    fill(bench, 1)

    def body(_claim: Claim, _progress: JobProgress) -> None:
        bench.context.draining.set()
        raise HandedBack("stopping")

    drain(bench, body)
    assert jobs(bench) == {"queued": 1}


def test_the_next_message_goes_on_when_a_task_has_run_for_long(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.consumer.TASK_SECONDS", 0.0)
    fill(bench, 3)
    bench.ledger.doorbell.app.control.purge()
    reader = Reader(bench)
    drain(bench, reader)
    assert reader.batches == [1]
    assert bench.ledger.doorbell.lengths(["ingest.backlog"]) == {"ingest.backlog": 1}


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
    Consumer(context, QUEUES, {JobKind.INGEST: Reader(bench)}).serve_urgent(0)
    assert pauses[1:] == [1.0, 1.0, 1.0]


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

    context = Context(bench.settings, Away(), bench.store, bench.context.heartbeat, "test")  # type: ignore[arg-type]
    Consumer(context, QUEUES, {JobKind.INGEST: Reader(bench)})()


def test_consumers_of_one_process_take_their_own_kinds_and_no_other(bench: Bench) -> None:
    """One that does its work beside another may be the first to look."""
    create_run(bench.ledger, "stage1", {}, None)
    located = {"mixture": {"sets": [{"name": "a", "reader": "table", "path": "a.jsonl"}]}}
    create_run(bench.ledger, "stage1", located, None)
    done: dict[JobKind, list[JobKind]] = {JobKind.PLAN: [], JobKind.TRAIN: []}
    for kind, seen in done.items():
        body = Consumer(
            bench.context,
            queues_of(kind),
            {kind: lambda claim, _, seen=seen: seen.append(claim.kind)},  # type: ignore[misc]
        )
        body()
    assert done == {JobKind.PLAN: [JobKind.PLAN], JobKind.TRAIN: [JobKind.TRAIN]}

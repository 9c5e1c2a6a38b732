"""Flower's own API beside real workers: each claimed job is a task with its true state, and nothing else is one."""

import ast
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from tests.support.consumer_tools import QUEUES, Reader, fill
from tests.support.flower_process import FlowerProcess, running_flower
from tests.support.worker_bench import Bench, make_film
from workers.consumer import Consumer
from workers.context import Context
from workers.control import Control
from workers.executor import HandedBack
from workers.task_events import EventPublisher, TaskEvents
from xraygpt.stack.servers.broker import Broker
from xraygpt_core.errors import InvalidRequest, Unavailable
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.ledger.jobs.reconcile import tick
from xraygpt_core.ledger.jobs.replay import replay_dead
from xraygpt_core.ledger.studies.cancel import cancel_study
from xraygpt_core.ledger.studies.objects import ObjectRef
from xraygpt_core.ledger.studies.register import register_objects
from xraygpt_core.queue import make_celery
from xraygpt_core.states import JobKind, Lane

STATES = {"done": "SUCCESS", "dead": "FAILURE", "cancelled": "REVOKED", "queued": "RETRY", "running": "STARTED"}


@pytest.fixture(scope="module")
def one_flower(broker: Broker) -> Iterator[FlowerProcess]:
    with running_flower(broker.url) as started:
        yield started


@pytest.fixture
def flower(one_flower: FlowerProcess) -> FlowerProcess:
    """It remembers the tasks of former tests; they are left out."""
    one_flower.before |= one_flower.tasks().keys()
    return one_flower


def worker(bench: Bench, name: str) -> Context:
    """What a worker process of this name would hold; its events are sent when ``events.send`` is called."""
    return replace(bench.context, name=name, events=TaskEvents(name, EventPublisher(make_celery(bench.settings), name)))


def in_the_ledger(bench: Bench) -> dict[str, dict[str, Any]]:
    """What Flower is to show: every job that was ever claimed."""
    rows = bench.rows(
        "SELECT j.*, (SELECT t.study_id FROM timeline t WHERE t.job_id = j.id AND t.what LIKE '% started' LIMIT 1) "
        "AS study_id FROM jobs j WHERE lease_epoch > 0"
    )
    return {
        str(row["id"]): {
            "name": f"xraygpt.{row['kind']}",
            "state": STATES[row["state"]],
            "retries": row["attempts"] - 1,
            "worker": row["claimed_by"],
            "kwargs": {
                "study": str(row["study_id"]),
                "lane": list(Lane)[row["lane_rank"]],
                "attempt": row["attempts"],
            },
        }
        for row in rows
    }


def in_flower(flower: FlowerProcess) -> dict[str, dict[str, Any]]:
    return {
        job_id: {
            **{name: task[name] for name in ("name", "state", "retries", "worker")},
            "kwargs": ast.literal_eval(task["kwargs"]),
        }
        for job_id, task in flower.tasks().items()
    }


def same(bench: Bench, flower: FlowerProcess) -> dict[str, dict[str, Any]]:
    """Wait until Flower shows what the ledger has."""
    expected = in_the_ledger(bench)
    try:
        bench.eventually(lambda: in_flower(flower) == expected, "Flower shows the jobs of the ledger", 20)
    except pytest.fail.Exception:
        assert in_flower(flower) == expected
    return flower.tasks()


def consume(context: Context, bench: Bench, meanwhile: Callable[[Claim], None] = lambda _: None) -> None:
    """Do what is ready, and send the events."""
    Consumer(context, QUEUES, {JobKind.INGEST: Reader(bench, meanwhile)})()
    context.events.send()


def due(bench: Bench) -> None:
    with bench.ledger.work() as work:
        work.run("UPDATE jobs SET not_before = NULL WHERE state = 'queued'")


def expire(bench: Bench) -> None:
    with bench.ledger.work() as work:
        work.run("UPDATE jobs SET lease_until = clock_timestamp() - interval '1 second' WHERE state = 'running'")


def task_of(bench: Bench, flower: FlowerProcess, image: UUID) -> dict[str, Any]:
    job = str(bench.value("SELECT id FROM jobs WHERE subject = :id", id=image))
    return flower.tasks().get(job, {"state": None})


class Failures:
    """What goes wrong with the images of a backlog, by their places in it."""

    def __init__(self, bench: Bench, images: list[UUID]) -> None:
        self._bench = bench
        self._places = {image: place for place, image in enumerate(images)}
        self._handed_back = False

    def __call__(self, claim: Claim) -> None:
        place = self._places[claim.subject]
        if place == 1:
            raise InvalidRequest("it can never work")
        if place == 2:
            raise Unavailable("no answer")
        if place == 3 and not self._handed_back:
            self._handed_back = True
            raise HandedBack("the worker is stopping")
        if place == 4:
            assert claim.study_id is not None
            cancel_study(self._bench.ledger, claim.study_id)


def test_each_job_has_its_true_state_over_failures_and_replays(bench: Bench, flower: FlowerProcess) -> None:
    images = fill(bench, 6)
    consume(worker(bench, "ingest-1@host"), bench, Failures(bench, images))
    same(bench, flower)
    shown = [task_of(bench, flower, image) for image in images]
    assert [task["state"] for task in shown] == ["SUCCESS", "FAILURE", "RETRY", "SUCCESS", "REVOKED", "SUCCESS"]
    assert shown[1]["exception"] == "InvalidRequest: it can never work"
    assert shown[2]["exception"] == "Unavailable: no answer"
    assert shown[0]["runtime"] > 0

    replay_dead(bench.ledger)
    due(bench)
    consume(worker(bench, "ingest-2@host"), bench)
    same(bench, flower)
    again = [task_of(bench, flower, image) for image in images[1:3]]
    assert [(task["state"], task["exception"], task["worker"]) for task in again] == [
        ("SUCCESS", None, "ingest-2@host"),
        ("SUCCESS", None, "ingest-2@host"),
    ]


def test_what_a_lost_worker_says_late_changes_nothing(bench: Bench, flower: FlowerProcess) -> None:
    image = fill(bench, 1)[0]
    lost, late = worker(bench, "ingest-1@host"), worker(bench, "ingest-2@host")

    def lose(claim: Claim) -> None:
        lost.events.send()
        bench.eventually(lambda: task_of(bench, flower, image)["state"] == "STARTED", "it is shown as started")
        expire(bench)
        tick(bench.ledger)
        consume(late, bench)
        lost.events.retried(claim, "said when the lease was over")

    consume(lost, bench, lose)
    assert task_of(bench, flower, image)["worker"] == "ingest-2@host"
    lost.events.send()
    # What is sent after it arrives after it.
    marker = fill(bench, 2)[1]
    consume(lost, bench)
    bench.eventually(lambda: len(flower.tasks()) == 2, "the later job is shown")
    same(bench, flower)
    assert task_of(bench, flower, marker)["state"] == "SUCCESS"


def test_a_job_whose_last_worker_was_lost_is_shown_as_failed(bench: Bench, flower: FlowerProcess) -> None:
    fill(bench, 1)
    with bench.ledger.work() as work:
        work.run("UPDATE jobs SET max_attempts = 1")
    lost, control = worker(bench, "ingest-1@host"), worker(bench, "control-1@host")

    def lose(_: Claim) -> None:
        lost.events.send()
        expire(bench)
        Control(control, make_celery(bench.settings)).tick()
        control.events.send()

    consume(lost, bench, lose)
    bench.eventually(lambda: [task["state"] for task in flower.tasks().values()] == ["FAILURE"], "it failed")
    task = next(iter(flower.tasks().values()))
    assert (task["worker"], task["exception"]) == ("control-1@host", "the worker was lost in attempt 1 of as many")


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/broker", "So 0 here does not mean that nothing waits."),
        ("/tasks", "Each task is a job that a worker has claimed since Flower started"),
    ],
)
def test_a_page_says_what_its_numbers_are(flower: FlowerProcess, path: str, sentence: str) -> None:
    assert sentence in flower.client.get(path).text


@pytest.mark.long
def test_a_backlog_with_a_killed_worker(bench: Bench, flower: FlowerProcess) -> None:
    """Real worker processes: their rings are not listed, their jobs all are."""
    for number in range(12):
        bench.register(f"incoming/{number}.dcm", make_film(number), Lane.BACKLOG)
    bench.register("incoming/none.dcm", b"no film", Lane.BACKLOG)
    ours = ObjectRef(bench.settings.derived_bucket, "normalised/x.png", "e")
    register_objects(bench.ledger, [ours], Lane.BACKLOG, actor="test")
    tick(bench.ledger)
    with bench.ledger.work() as work:  # meanwhile no film can be accepted
        work.rows("SELECT id FROM images FOR NO KEY UPDATE")
        first = bench.start("ingest")
        bench.eventually(lambda: "STARTED" in {task["state"] for task in flower.tasks().values()}, "jobs are at work")
        first.kill()
        first.wait()
    bench.lose(first)
    bench.start("ingest")
    open_jobs = "SELECT count(*) FROM jobs WHERE kind <> 'summarise' AND state IN ('queued', 'running')"
    bench.until(open_jobs, 0, "all films are read and settled")
    states = [task["state"] for task in same(bench, flower).values()]
    assert states.count("FAILURE") == 1, "an object of the derived bucket"
    assert bench.value("SELECT count(*) FROM jobs WHERE attempts > 1") > 0, "jobs the first worker had"
    name = bench.value("SELECT claimed_by FROM jobs WHERE kind = 'ingest' ORDER BY started_at DESC LIMIT 1")
    row = bench.eventually(lambda: (line := flower.workers()[name])["active"] == 0 and line, "the worker is idle")
    assert row["status"] is True
    done = bench.value("SELECT count(*) FROM jobs WHERE claimed_by = :name AND state = 'done'", name=name)
    assert row["task-succeeded"] == done
    assert "rings, not jobs" in flower.client.get(f"/worker/{name}").text

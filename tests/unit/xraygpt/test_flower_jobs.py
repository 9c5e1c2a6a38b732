"""What Flower makes of the events of jobs, and the sentences of ours on its pages."""

from pathlib import Path
from typing import Any

import flower
import pytest

from xraygpt.stack.servers.flower_jobs import PAGES, JobsState

TEMPLATES = Path(flower.__file__).with_name("templates")


class NoMetrics:
    """Flower's own would stand in the registry of this process, among ours."""

    def observe_task(self, *_: Any) -> None: ...

    def observe_worker(self, *_: Any) -> None: ...


class Events:
    """Flower's state, and short words for the events it is sent."""

    def __init__(self) -> None:
        self.state = JobsState(max_tasks_in_memory=100, max_workers_in_memory=10)
        self.now = 1000.0

    def __call__(self, subject: str, epoch: int = 1, worker: str = "one", job: str = "job", **fields: Any) -> None:
        self.now += 1
        fields |= {"uuid": job, "name": "xraygpt.ingest", "epoch": epoch, "clock": int(self.now)}
        self._send(f"task-{subject}", worker, fields)

    def heartbeat(self, worker: str) -> Any:
        """What a worker's line shows as active after Celery's own count of five rings."""
        self._send("worker-heartbeat", worker, {"active": 5, "processed": 9, "freq": 2.0, "clock": 1})
        return self.state.workers[worker].active

    def _send(self, kind: str, worker: str, fields: dict[str, Any]) -> None:
        event = {"type": kind, "hostname": worker, "timestamp": self.now, "local_received": self.now}
        self.state.event(event | fields)

    @property
    def job(self) -> Any:
        return self.state.tasks["job"]


@pytest.fixture
def send(monkeypatch: pytest.MonkeyPatch) -> Events:
    monkeypatch.setattr("flower.events.get_prometheus_metrics", NoMetrics)
    return Events()


def test_a_later_claim_begins_anew_whatever_came_before(send: Events) -> None:
    send("received")
    send("started")
    send("failed", exception="Unavailable: no answer")
    send("received", epoch=2, worker="two")
    assert (send.job.state, send.job.exception, send.job.failed) == ("RECEIVED", None, None)
    send("started", epoch=2, worker="two")
    send("succeeded", epoch=2, worker="two", runtime=0.5)
    assert (send.job.state, send.job.runtime, send.job.worker.hostname) == ("SUCCESS", 0.5, "two")


def test_an_earlier_claim_is_passed_over(send: Events) -> None:
    send("started", epoch=2, worker="two")
    send("retried", epoch=1, exception="late")
    assert (send.job.state, send.job.exception, send.job.worker.hostname) == ("STARTED", None, "two")
    assert send.state.counter["one"]["task-retried"] == 0


def test_a_task_without_an_epoch_is_celery_s_own_business(send: Events) -> None:
    send.state.event(
        {"type": "task-started", "uuid": "x", "hostname": "one", "timestamp": 1.0, "local_received": 1.0, "clock": 1}
    )
    assert send.state.tasks["x"].state == "STARTED"


def test_a_worker_is_active_with_the_jobs_it_has_begun(send: Events) -> None:
    send("received", job="a")
    assert send.heartbeat("one") == 0
    for job in ("a", "b", "c"):
        send("started", job=job)
    send("succeeded", job="b")
    send("started", epoch=2, job="c", worker="two")
    assert (send.heartbeat("one"), send.heartbeat("two")) == (1, 1)


@pytest.mark.parametrize("page", PAGES.values(), ids=lambda page: page.template)
def test_flower_s_own_page_has_the_place_for_our_sentence_once(page: Any) -> None:
    assert (TEMPLATES / page.template).read_bytes().count(page.before) == 1

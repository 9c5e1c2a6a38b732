"""The events of jobs: what they say, and that no job waits for them."""

import json
import threading
from uuid import uuid4

import pytest

from workers import task_events
from workers.executor import attempt
from workers.task_events import Event, TaskEvents
from xraygpt_core.errors import Unavailable
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.metrics import TASK_EVENTS_DROPPED
from xraygpt_core.states import JobKind, JobState, Lane


def claimed(attempts: int = 1) -> Claim:
    return Claim(uuid4(), JobKind.INGEST, uuid4(), 7, attempts, Lane.STAT, study_id=uuid4())


class Broker:
    """Takes messages, or nothing while it is away."""

    def __init__(self) -> None:
        self.messages: list[list[Event]] = []
        self.away = False

    def __call__(self, events: list[Event]) -> None:
        if self.away:
            raise Unavailable("away")
        self.messages.append(events)

    @property
    def types(self) -> list[str]:
        return [event["type"] for message in self.messages for event in message]


@pytest.fixture
def broker() -> Broker:
    return Broker()


def dropped() -> float:
    return TASK_EVENTS_DROPPED._value.get()


def test_an_event_names_the_job_its_study_and_its_attempt(broker: Broker) -> None:
    claim, events = claimed(attempts=3), TaskEvents("ingest-1@host", broker)
    events.received([claim])
    events.send()
    event = json.loads(json.dumps(broker.messages[0][0]))
    assert event.pop("timestamp") > 0
    assert event == {
        "type": "task-received",
        "uuid": str(claim.job_id),
        "hostname": "ingest-1@host",
        "epoch": 7,
        "name": "xraygpt.ingest",
        "retries": 2,
        "args": "()",
        "kwargs": f"{{'study': '{claim.study_id}', 'lane': 'stat', 'attempt': 3}}",
    }


def test_each_end_of_an_attempt_has_its_event(broker: Broker) -> None:
    claim, events = claimed(), TaskEvents("w", broker)
    events.started(claim)
    events.succeeded(claim, 0.5)
    events.retried(claim, "HandedBack: stopping")
    events.failed(claim, "Unavailable: away", JobState.QUEUED)
    events.failed(claim, "Unavailable: away")
    events.revoked(claim)
    events.send()
    assert broker.types == [
        *("task-started", "task-succeeded", "task-retried", "task-retried", "task-failed", "task-revoked"),
    ]
    assert [event.get("exception") for event in broker.messages[0]] == [
        *(None, None, "HandedBack: stopping", "Unavailable: away", "Unavailable: away", None),
    ]


def test_many_events_share_a_message(broker: Broker) -> None:
    events = TaskEvents("w", broker)
    events.received([claimed() for _ in range(501)])
    events.send()
    assert [len(message) for message in broker.messages] == [500, 1]


def test_what_the_broker_does_not_take_comes_later_and_in_order(broker: Broker) -> None:
    claim, events = claimed(), TaskEvents("w", broker)
    broker.away = True
    events.received([claim])
    events.send()
    events.started(claim)
    events.send()
    broker.away = False
    events.send()
    events.send()
    assert broker.types == ["task-received", "task-started"]


def test_beyond_a_limit_the_oldest_are_dropped_and_counted(broker: Broker) -> None:
    before, events = dropped(), TaskEvents("w", broker, kept=2)
    events.received([claimed(), claimed()])
    events.started(claimed())
    assert dropped() - before == 1
    events.send()
    assert broker.types == ["task-received", "task-started"]


def test_the_limit_holds_while_a_message_is_on_its_way() -> None:
    before = dropped()

    def busy(_: list[Event]) -> None:
        events.received([claimed() for _ in range(2)])
        raise Unavailable("away")

    events = TaskEvents("w", busy, kept=2)
    events.received([claimed() for _ in range(2)])
    events.send()
    assert dropped() - before == 2


def test_a_broker_that_hangs_holds_up_no_job_and_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_events, "_CLOSE_SECONDS", 0.01)
    monkeypatch.setattr(task_events, "_SEND_SECONDS", 0.0)
    hangs, goes_on = threading.Event(), threading.Event()

    def hang(_: list[Event]) -> None:
        hangs.set()
        goes_on.wait()

    events = TaskEvents("w", hang)
    events.received([claimed()])
    events.start(attempt)
    assert hangs.wait(60)
    events.started(claimed())
    events.close()
    goes_on.set()


def test_the_thread_sends_what_is_left_when_it_is_closed(broker: Broker) -> None:
    events = TaskEvents("w", broker)
    events.start(attempt)
    events.received([claimed()])
    events.close()
    assert broker.types == ["task-received"]


def test_no_error_ends_the_thread_and_what_is_lost_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_events, "_SEND_SECONDS", 0.0)
    before, failed, taken = dropped(), threading.Event(), threading.Event()

    def publish(_: list[Event]) -> None:
        if not failed.is_set():
            failed.set()
            raise AttributeError("of a library")
        taken.set()

    events = TaskEvents("w", publish)
    events.start(attempt)
    events.received([claimed()])
    assert failed.wait(60)
    events.received([claimed()])
    assert taken.wait(60), "the next event is sent"
    events.close()
    assert dropped() - before == 1


def test_an_error_is_shown_as_the_ledger_keeps_it(broker: Broker) -> None:
    events = TaskEvents("w", broker)
    events.failed(claimed(), "Unavailable: \0\ud800 <b>" + "x" * 5000)
    events.retried(claimed(), "y" * 5000)
    events.send()
    texts = [event["exception"] for event in broker.messages[0]]
    assert texts[0].startswith("Unavailable: ? <b>x")
    assert [len(text) <= 2000 for text in texts] == [True, True]


def test_without_a_publisher_nothing_is_kept() -> None:
    events = TaskEvents()
    events.start(attempt)
    events.received([claimed()])
    events.send()
    events.close()
    assert not events._waiting

"""The events of jobs: a broker that goes away, the ends that no thread of a job sees, and the setting."""

from contextlib import ExitStack, suppress

import pytest
import redis
from pydantic import SecretStr

from tests.support.consumer_tools import QUEUES, fill
from tests.support.worker_bench import Bench
from workers.control import Control
from workers.process import JobEnds, start
from workers.settle import Settle
from workers.task_events import Event, EventPublisher, TaskEvents
from xraygpt.stack.servers.ports import choose
from xraygpt_core.errors import Unavailable
from xraygpt_core.ledger.jobs.claims import claim_next
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.queue import make_celery, queue_of
from xraygpt_core.settings import Settings
from xraygpt_core.states import JobKind


@pytest.fixture
def claim(bench: Bench) -> Claim:
    """The claim of an ingest job."""
    fill(bench, 1)
    return claim_next(bench.ledger, [queue_of(name) for name in QUEUES], "test")[0]


@pytest.fixture
def sent() -> list[Event]:
    return []


@pytest.fixture
def ends(bench: Bench, sent: list[Event]) -> JobEnds:
    return JobEnds(bench.ledger, TaskEvents("w", sent.extend))


def test_a_broker_that_does_not_answer_is_unavailable(settings: Settings) -> None:
    away = settings.model_copy(update={"redis_url": SecretStr(f"redis://127.0.0.1:{choose()}/0")})
    with pytest.raises(Unavailable):
        EventPublisher(make_celery(away), "w")([{"type": "task-started"}])


def test_after_a_lost_connection_events_are_published_again(settings: Settings) -> None:
    publish = EventPublisher(make_celery(settings), "w")
    publish([{"type": "task-received"}])
    with redis.Redis.from_url(settings.redis_url.get_secret_value()) as broker, broker.pubsub() as heard:
        broker.client_kill_filter(_type="normal", skipme=True)
        heard.psubscribe("*celeryev/task.multi")
        assert heard.get_message(timeout=60)
        with suppress(Unavailable):  # by the client's own choice the first one is lost or sent anew
            publish([{"type": "task-started"}])
        publish([{"type": "task-succeeded"}])
        assert heard.get_message(timeout=60)


def test_a_job_that_is_let_go_of_is_told_of_as_the_ledger_has_it(
    ends: JobEnds, sent: list[Event], claim: Claim
) -> None:
    ends.fail(claim, "stalled: no progress for 1 seconds")
    ends.events.send()
    assert [(event["type"], event["exception"]) for event in sent] == [
        ("task-retried", "stalled: no progress for 1 seconds")
    ]


def test_a_job_whose_attempts_are_used_up_is_told_of_as_failed(
    bench: Bench, ends: JobEnds, sent: list[Event], claim: Claim
) -> None:
    with bench.ledger.work() as work:
        work.run("UPDATE jobs SET max_attempts = 1")
    ends.fail(claim, "stalled")
    ends.events.send()
    assert [event["type"] for event in sent] == ["task-failed"]


def test_a_job_that_is_handed_back_is_told_of(bench: Bench, ends: JobEnds, sent: list[Event], claim: Claim) -> None:
    ends.release(claim)
    ends.events.send()
    assert bench.value("SELECT state FROM jobs") == "queued"
    assert [event["type"] for event in sent] == ["task-retried"]


@pytest.mark.parametrize("on", [True, False])
def test_a_setting_turns_them_off(bench: Bench, claim: Claim, on: bool) -> None:
    with ExitStack() as closing:
        settings = bench.settings.model_copy(update={"task_events": on})
        events = start("ingest", settings, closing, threads=1).context.events
        with redis.Redis.from_url(settings.redis_url.get_secret_value()) as broker, broker.pubsub() as heard:
            heard.psubscribe("*celeryev/task.multi")
            assert heard.get_message(timeout=60)
            events.received([claim])
            events.close()
            assert (heard.get_message(timeout=60 if on else 0) is not None) == on


def test_rings_and_rounds_send_no_events_of_their_own(bench: Bench) -> None:
    with ExitStack() as closing:
        process = start("ingest", bench.settings, closing, threads=1)
        process.work_on({JobKind.SETTLE: Settle(process.context)})
        Control(process.context, process.app)
        ours = {name: task.send_events for name, task in process.app.tasks.items() if name.startswith("xraygpt.")}
    assert {"xraygpt.settle", "xraygpt.tick", "xraygpt.forget"} <= ours.keys()
    assert set(ours.values()) == {False}

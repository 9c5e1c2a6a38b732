"""The doorbell's names and habits. What it does to a broker is tested on a real one."""

import pytest
from kombu.exceptions import OperationalError
from pydantic import SecretStr

from tests.support.keys import HMAC_KEY
from xraygpt_core.queue import CONTROL_QUEUE, make_celery, queue_name, queues_of, task_name
from xraygpt_core.settings import Settings
from xraygpt_core.states import JobKind, Lane

SETTINGS = Settings(
    database_url=SecretStr("postgresql://nobody@127.0.0.1:1/none"),
    redis_url=SecretStr("redis://127.0.0.1:1/0"),
    bucket="a",
    derived_bucket="b",
    hmac_key=SecretStr(HMAC_KEY),
)


def test_a_queue_is_named_by_kind_and_lane() -> None:
    assert queue_name(JobKind.INGEST, Lane.STAT) == "ingest.stat"
    assert task_name(JobKind.INGEST) == "xraygpt.ingest"


def test_a_worker_empties_all_its_kinds_in_a_lane_before_the_next_lane() -> None:
    assert queues_of(JobKind.SUMMARISE, JobKind.CHAT) == [
        "summarise.stat",
        "chat.stat",
        "summarise.routine",
        "chat.routine",
        "summarise.backlog",
        "chat.backlog",
    ]


def test_lanes_are_ranked_in_the_order_they_are_served() -> None:
    assert [lane.rank for lane in (Lane.STAT, Lane.ROUTINE, Lane.BACKLOG)] == [0, 1, 2]


def test_every_queue_is_declared_and_no_other_is_made_up() -> None:
    app = make_celery(SETTINGS)
    assert {queue.name for queue in app.conf.task_queues} == {*queues_of(*JobKind), CONTROL_QUEUE}
    assert app.conf.task_create_missing_queues is False
    app.close()


def test_messages_are_acknowledged_after_the_work_and_never_kept_in_store() -> None:
    app = make_celery(SETTINGS)
    assert app.conf.task_acks_late
    assert app.conf.worker_prefetch_multiplier == 1
    assert app.conf.task_ignore_result
    assert app.conf.result_backend is None
    assert app.conf.accept_content == ["json"]
    app.close()


def test_making_the_application_opens_nothing() -> None:
    app = make_celery(SETTINGS)  # port 1 answers nobody
    assert app.main == "xraygpt"
    app.close()


def test_a_worker_without_its_broker_looks_for_it_every_second() -> None:
    app = make_celery(SETTINGS)
    pauses: list[float] = []
    with app.connection_for_read() as connection, pytest.raises(OperationalError):
        connection.ensure_connection(lambda _error, pause: pauses.append(pause), max_retries=3)
    app.close()
    assert len(pauses) >= 2
    assert max(pauses) <= 1

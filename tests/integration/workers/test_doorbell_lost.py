"""A broker that goes away under a worker that is at work: the worker closes what it had, and goes on."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from pydantic import SecretStr

from tests.support.keys import HMAC_KEY
from xraygpt.stack.servers.broker import Broker
from xraygpt_core.queue import Doorbell, Ring, make_celery
from xraygpt_core.settings import Settings
from xraygpt_core.states import JobKind, Lane


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker that this test may kill."""
    server = Broker(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def app(own_broker: Broker) -> Iterator[Celery]:
    settings = Settings(
        database_url=SecretStr("postgresql://nobody@127.0.0.1:1/none"),
        redis_url=SecretStr(own_broker.url),
        bucket="a",
        derived_bucket="b",
        hmac_key=SecretStr(HMAC_KEY),
    )
    made = make_celery(settings)
    yield made
    made.close()


@pytest.fixture
def doorbell(app: Celery, own_broker: Broker) -> Doorbell:
    """Rung once."""
    made = Doorbell(app, own_broker.url, window=4)
    assert made.ring([Ring(JobKind.INGEST, Lane.STAT)]) == 1
    return made


def test_who_finds_every_connection_in_a_send_that_hangs_is_not_held_up_for_ever(
    app: Celery, doorbell: Doorbell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xraygpt_core.queue._ROOM_SECONDS", 0.01)
    hanging, released = threading.Semaphore(0), threading.Event()

    def hang(*_: object, **__: object) -> None:
        hanging.release()
        assert released.wait(60)

    monkeypatch.setattr(app, "send_task", hang)
    ring = [Ring(JobKind.SETTLE, Lane.STAT)]
    threads = [threading.Thread(target=doorbell.ring, args=(ring,), daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert hanging.acquire(timeout=60)
    answers: list[int] = []
    fifth = threading.Thread(target=lambda: answers.append(doorbell.ring(ring)), daemon=True)
    fifth.start()
    fifth.join(60)
    assert answers == [0], "the dispatcher rings again"
    monkeypatch.undo()
    released.set()
    for thread in threads:
        thread.join(60)
    assert doorbell.ring(ring) == 1


def taken(connection: Any) -> Any:
    """A message at work: received, and not acknowledged yet."""
    return connection.SimpleQueue("ingest.stat").get(timeout=60)


def test_a_lost_connection_can_be_closed_while_messages_are_at_work(
    app: Celery, doorbell: Doorbell, own_broker: Broker
) -> None:
    connection = app.connection_for_read()
    message = taken(connection)
    os.kill(own_broker.pid, signal.SIGKILL)
    connection.collect(socket_timeout=1)  # as a worker does that lost its broker
    connection.close()
    message.ack()  # the work is done meanwhile; that nobody can be told is no error


def test_what_is_at_work_is_kept_aside_nowhere(app: Celery, doorbell: Doorbell) -> None:
    with app.connection_for_read() as connection:
        taken(connection)
    assert doorbell.lengths(["ingest.stat", "unacked"]) == {"ingest.stat": 0, "unacked": 0}

"""The doorbell: Celery queues whose messages say that there is work of a kind in a lane, and nothing else.

A worker that is woken takes the most urgent work there is, and goes on until none is left. So a few messages wake
workers for any number of jobs, and a message that is lost, doubled or late is harmless: nothing ever waits for one.
"""

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import kombu
import redis
from celery import Celery
from celery.app.amqp import AMQP
from kombu.exceptions import OperationalError
from kombu.transport import redis as kombu_redis

from xraygpt_core.errors import Unavailable
from xraygpt_core.settings import FlowerSettings, Settings
from xraygpt_core.states import JobKind, Lane

CONTROL_QUEUE = "control"

_CONNECTIONS = 4  # of a process to the broker, for its messages
_ROOM_SECONDS = 5.0

Queue = tuple[JobKind, Lane]


def queue_name(kind: JobKind, lane: Lane) -> str:
    """``<kind>.<lane>``, for example ``ingest.stat``."""
    return f"{kind}.{lane}"


def task_name(kind: JobKind) -> str:
    """The Celery task that does this kind of job, for example ``xraygpt.ingest``."""
    return f"xraygpt.{kind}"


def queue_of(name: str) -> Queue:
    """The kind and lane a queue is named after."""
    kind, _, lane = name.partition(".")
    return JobKind(kind), Lane(lane)


def queues_of(*kinds: JobKind) -> list[str]:
    """The queues a worker for these kinds consumes, most urgent first: all kinds of a lane before the next lane."""
    return [queue_name(kind, lane) for lane in Lane for kind in kinds]


class _Channel(kombu_redis.Channel):
    """Puts no message back when it is closed: the dispatcher rings again for all ready jobs.

    Kombu 5.7 tries to put it back through the connection that was just lost; the error ends a worker that is at work.
    """

    do_restore = False


class _Transport(kombu_redis.Transport):
    Channel = _Channel


class _Connection(kombu.Connection):
    """A worker that lost its broker looks for it every second. By kombu's own rule the pauses grow to half a minute,
    and jobs that are rung for meanwhile wait for the first worker that looks.
    """

    def ensure_connection(self, *args: Any, **options: Any) -> Self:
        pauses = {"interval_start": 0.2, "interval_step": 0.2, "interval_max": 1.0}
        return super().ensure_connection(*args, **(pauses | options))

    def get_transport_cls(self) -> Any:
        found = super().get_transport_cls()
        return _Transport if found is kombu_redis.Transport else found


class _Amqp(AMQP):
    Connection = _Connection


def make_celery(settings: FlowerSettings) -> Celery:
    """The Celery application of a producer or a worker. It opens nothing until it is used."""
    app = Celery("xraygpt", broker=settings.redis_url.get_secret_value(), set_as_current=False, amqp=_Amqp)
    queues = [kombu.Queue(name, routing_key=name) for name in [*queues_of(*JobKind), CONTROL_QUEUE]]
    app.conf.update(
        task_queues=queues,
        task_default_queue=CONTROL_QUEUE,
        task_create_missing_queues=False,
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        # The ledger owns retries and leases. A message is only a hint, so it is acknowledged after the work, whatever
        # the outcome, and none is kept aside to be delivered again.
        task_acks_late=True,
        task_acks_on_failure=True,
        task_reject_on_worker_lost=False,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_send_task_events=True,
        task_send_sent_event=False,
        worker_hijack_root_logger=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_pool_limit=_CONNECTIONS,
        broker_transport_options={
            "ack_emulation": False,
            "queue_order_strategy": "priority",
            "socket_timeout": 30,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 10,
        },
    )
    return app


@dataclass(frozen=True)
class Ring:
    """So many jobs of a kind became ready in a lane: wake workers."""

    kind: JobKind
    lane: Lane
    jobs: int = 1


class Doorbell:
    """Wakes the workers of a kind and lane.

    Args:
        app: the Celery application.
        redis_url: where its queues live, to ask how long they are.
        window: messages a queue holds at most.
    """

    def __init__(self, app: Celery, redis_url: str, window: int) -> None:
        self.app = app
        self._redis: Any = redis.Redis.from_url(redis_url, socket_timeout=5, socket_connect_timeout=5)
        self._window = window
        self._room = threading.BoundedSemaphore(_CONNECTIONS)

    def lengths(self, names: Iterable[str]) -> dict[str, int]:
        """How many messages each queue holds.

        Raises:
            Unavailable: the broker does not answer.
        """
        wanted = list(names)
        pipeline = self._redis.pipeline(transaction=False)
        for name in wanted:
            pipeline.llen(name)
        try:
            return dict(zip(wanted, pipeline.execute(), strict=True))
        except redis.RedisError as error:
            raise Unavailable("the broker does not answer") from error

    def ring(self, rings: Iterable[Ring]) -> int:
        """Fill each queue up to a message per job, or to its window. Returns how many were sent.

        Call it after the jobs are committed: a message that no worker has taken yet will find them, and is enough. A
        broker that does not answer costs nothing but time: the dispatcher rings again.
        """
        jobs: Counter[Queue] = Counter()
        for ring in rings:
            jobs[ring.kind, ring.lane] += ring.jobs
        if not jobs:
            return 0
        try:
            lengths = self.lengths(queue_name(*queue) for queue in jobs)
            short = {queue: ready for queue, ready in jobs.items() if ready > lengths[queue_name(*queue)]}
            return sum(self._fill(*queue, min(ready, self._window)) for queue, ready in short.items())
        except (Unavailable, OperationalError, redis.RedisError):
            return 0

    def ping(self) -> None:
        """Raise Unavailable unless the broker answers."""
        self.lengths([CONTROL_QUEUE])

    def close(self) -> None:
        """Close the connections to the broker."""
        self._redis.close()
        self.app.close()

    def _fill(self, kind: JobKind, lane: Lane, wanted: int) -> int:
        """One message after the other, looking each time: many processes that ring at once do not each send all."""
        name, sent = queue_name(kind, lane), 0
        # Kombu waits for one of its connections for ever, whatever its timeout.
        if not self._room.acquire(timeout=_ROOM_SECONDS):
            raise Unavailable("the broker does not take what is sent already")
        try:
            with self.app.producer_pool.acquire(block=True, timeout=_ROOM_SECONDS) as producer:
                while sent < wanted and self._redis.llen(name) < wanted:
                    self.app.send_task(task_name(kind), queue=name, producer=producer, ignore_result=True, retry=False)
                    sent += 1
        finally:
            self._room.release()
        return sent


def open_doorbell(settings: Settings) -> Doorbell:
    """The doorbell of a process that is no Celery worker itself."""
    return Doorbell(make_celery(settings), settings.redis_url.get_secret_value(), settings.window)

"""The doorbell: Celery queues that carry job ids and nothing else.

A message may be lost, doubled or late; the ledger makes that harmless. So nothing here is ever waited for.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import redis
from celery import Celery
from kombu import Queue
from kombu.exceptions import OperationalError

from xraygpt_core.errors import Unavailable
from xraygpt_core.settings import Settings
from xraygpt_core.states import JobKind, Lane

CONTROL_QUEUE = "control"


def queue_name(kind: JobKind, lane: Lane) -> str:
    """``<kind>.<lane>``, for example ``ingest.stat``."""
    return f"{kind}.{lane}"


def task_name(kind: JobKind) -> str:
    """The Celery task that does this kind of job, for example ``xraygpt.ingest``."""
    return f"xraygpt.{kind}"


def queues_of(*kinds: JobKind) -> list[str]:
    """The queues a worker for these kinds consumes, most urgent first: all kinds of a lane before the next lane."""
    return [queue_name(kind, lane) for lane in Lane for kind in kinds]


def make_celery(settings: Settings) -> Celery:
    """The Celery application of a producer or a worker. It opens nothing until it is used."""
    app = Celery("xraygpt", broker=settings.redis_url.get_secret_value(), set_as_current=False)
    queues = [Queue(name, routing_key=name) for name in [*queues_of(*JobKind), CONTROL_QUEUE]]
    app.conf.update(
        task_queues=queues,
        task_default_queue=CONTROL_QUEUE,
        task_create_missing_queues=False,
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        # The ledger owns retries and leases. A message is only a hint, so it is acknowledged after the work,
        # whatever came of it, and redelivery is the exception, not the plan.
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
        broker_pool_limit=4,
        broker_transport_options={
            "visibility_timeout": 3600,
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
    """A job whose worker is to be woken."""

    job_id: UUID
    kind: JobKind
    lane: Lane


class Doorbell:
    """Sends job ids to the queues of their kind and lane.

    Args:
        app: the Celery application.
        redis_url: where its queues live, to ask how long they are.
        window: messages a queue may hold before ringing waits.
    """

    def __init__(self, app: Celery, redis_url: str, window: int) -> None:
        self.app = app
        self._redis: Any = redis.Redis.from_url(redis_url, socket_timeout=5, socket_connect_timeout=5)
        self._window = window

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
        """Send what fits into each queue's window; the rest is left to the dispatcher. Returns how many were sent.

        A broker that does not answer costs nothing but time: the dispatcher rings again.
        """
        by_queue: dict[str, list[Ring]] = defaultdict(list)
        for ring in rings:
            by_queue[queue_name(ring.kind, ring.lane)].append(ring)
        if not by_queue:
            return 0
        try:
            lengths = self.lengths(by_queue)
            return sum(self._send(name, due[: max(0, self._window - lengths[name])]) for name, due in by_queue.items())
        except (Unavailable, OperationalError, redis.RedisError):
            return 0

    def ping(self) -> None:
        """Raise Unavailable unless the broker answers."""
        self.lengths([CONTROL_QUEUE])

    def close(self) -> None:
        """Close the connections to the broker."""
        self._redis.close()
        self.app.close()

    def _send(self, name: str, due: list[Ring]) -> int:
        if not due:
            return 0
        with self.app.producer_pool.acquire(block=True, timeout=5) as producer:
            for ring in due:
                self.app.send_task(
                    task_name(ring.kind),
                    (str(ring.job_id),),
                    queue=name,
                    producer=producer,
                    ignore_result=True,
                    retry=False,
                )
        return len(due)


def open_doorbell(settings: Settings) -> Doorbell:
    """The doorbell of a process that is no Celery worker itself."""
    return Doorbell(make_celery(settings), settings.redis_url.get_secret_value(), settings.window)

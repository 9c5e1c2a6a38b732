"""What Flower shows of the jobs: Celery's own task events, one set for each claim of a job.

A doorbell message names no job, so its events would say nothing and are off (:mod:`workers.process`). These take their
place. Their names and fields are Celery's ("Monitoring and Management Guide", "Event Reference"):

    claimed                    task-received
    its work begins            task-started
    done                       task-succeeded (a film that was refused is work done, too)
    failed, is tried again     task-retried, with the error
    handed back                task-retried, with the cause
    failed for good            task-failed, with the error
    cancelled while it ran     task-revoked
    lease lost                 none: the events of the next claim say what becomes of it

``uuid`` is the job's id and stays the same over its attempts. ``epoch`` is ours: Flower as we start it
(:mod:`xraygpt.stack.servers.flower_jobs`) passes over what an earlier claim says late.

Flower is for looking, so no job waits for an event. A thread sends what has gathered, many in one message. What the
broker does not take is kept up to a limit; beyond it the oldest are dropped and counted.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import kombu
import redis
from celery import Celery
from celery.events.event import get_exchange
from kombu.exceptions import OperationalError

from xraygpt_core.errors import Unavailable
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.ledger.jobs.outcomes import printable
from xraygpt_core.metrics import TASK_EVENTS_DROPPED
from xraygpt_core.queue import task_name
from xraygpt_core.states import JobState

log = logging.getLogger(__name__)

Event = dict[str, Any]
Attempt = Callable[[Callable[[], None]], tuple[None, Exception | None]]

KEPT = 10_000  # events of a process that wait for the broker
_IN_A_MESSAGE = 500
_SEND_SECONDS = 0.5  # between two messages; also how late Flower is
_CLOSE_SECONDS = 2.0
_BROKER_ERRORS = (OperationalError, redis.RedisError, OSError)


class TaskEvents:
    """The events of one worker process. Its methods never wait and never raise.

    Args:
        worker: its name, as Flower lists it.
        publish: sends events to the broker, or raises Unavailable; None: the events are off.
        kept: how many may wait for the broker.
    """

    def __init__(
        self, worker: str = "", publish: Callable[[list[Event]], None] | None = None, *, kept: int = KEPT
    ) -> None:
        self._worker = worker
        self._publish = publish
        self._lock = threading.Lock()
        self._waiting: deque[Event] = deque(maxlen=kept)
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, attempt: Attempt) -> None:
        """Begin to send.

        Args:
            attempt: calls a function and returns its error, of whatever kind: the executor's. No error ends the thread.
        """
        if self._publish is not None:
            self._thread = threading.Thread(target=self._run, args=(attempt,), name="task-events", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Send what is left, for two seconds at most, and stop."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join(_CLOSE_SECONDS)

    def received(self, claims: Iterable[Claim]) -> None:
        """These jobs were claimed."""
        for claim in claims:
            self._add("task-received", claim)

    def started(self, claim: Claim) -> None:
        """The work of a job begins; jobs claimed together may wait for each other until then."""
        self._add("task-started", claim)

    def succeeded(self, claim: Claim, seconds: float) -> None:
        """The job is done, after so many seconds of work."""
        self._add("task-succeeded", claim, runtime=round(seconds, 6), result="done")

    def retried(self, claim: Claim, error: str) -> None:
        """The job is queued again. ``error`` is the sentence the ledger keeps: no patient data."""
        self._add("task-retried", claim, exception=printable(error))

    def failed(self, claim: Claim, error: str, state: JobState = JobState.DEAD) -> None:
        """An attempt failed, and the job is dead or queued again. ``error`` as for :meth:`retried`."""
        self._add("task-failed" if state is JobState.DEAD else "task-retried", claim, exception=printable(error))

    def revoked(self, claim: Claim) -> None:
        """The job was cancelled while it ran."""
        self._add("task-revoked", claim, terminated=True, expired=False)

    def send(self) -> None:
        """Send what has gathered; what the broker does not take waits for the next time."""
        with self._lock:
            events = list(self._waiting)
            self._waiting.clear()
        left = events
        try:
            while self._publish is not None and left:
                self._publish(left[:_IN_A_MESSAGE])
                left = left[_IN_A_MESSAGE:]
        except Unavailable:
            left = self._put_back(left)
        finally:
            TASK_EVENTS_DROPPED.inc(len(left))

    def _put_back(self, events: list[Event]) -> list[Event]:
        """Let them wait before those that came meanwhile. Returns the oldest, for which there is no place."""
        with self._lock:
            dropped = max(0, len(events) + len(self._waiting) - (self._waiting.maxlen or 0))
            self._waiting.extendleft(reversed(events[dropped:]))
        return events[:dropped]

    def _add(self, kind: str, claim: Claim, **fields: object) -> None:
        """Each event says everything, so that a Flower which starts in the middle of a job knows it, too."""
        if self._publish is None:
            return
        event = {
            "type": kind,
            "uuid": str(claim.job_id),
            "hostname": self._worker,
            "timestamp": time.time(),
            "epoch": claim.epoch,
            "name": task_name(claim.kind),
            "retries": claim.attempts - 1,
            **fields,
        }
        if claim.study_id is not None:
            event["args"] = "()"
            event["kwargs"] = f"{{'study': '{claim.study_id}', 'lane': '{claim.lane}', 'attempt': {claim.attempts}}}"
        with self._lock:
            full = len(self._waiting) == self._waiting.maxlen
            self._waiting.append(event)
        if full:
            TASK_EVENTS_DROPPED.inc()

    def _run(self, attempt: Attempt) -> None:
        while not self._closed.wait(_SEND_SECONDS):
            _, error = attempt(self.send)
            if error is not None:  # what could not be sent is dropped: the next message may be sound
                log.warning("task events lost", extra={"error": type(error).__name__}, exc_info=error)
        attempt(self.send)


class EventPublisher:
    """Publishes events where Celery does, so that Flower hears them. Rings have other connections and do not wait.

    Args:
        worker: names the sender in the message's header.
    """

    def __init__(self, app: Celery, worker: str) -> None:
        self._app = app
        self._worker = worker
        self._connection: Any = None
        self._producer: Any = None

    def __call__(self, events: list[Event]) -> None:
        """Send them in one message.

        Raises:
            Unavailable: the broker did not take it. The next call connects anew.
        """
        producer, self._producer = self._producer, None
        try:
            if producer is None:
                producer = self._connect()
            headers = {"hostname": self._worker}
            producer.publish(events, routing_key="task.multi", headers=headers, delivery_mode=1, retry=False)
        except _BROKER_ERRORS as error:
            raise Unavailable("the broker does not take task events") from error
        self._producer = producer

    def _connect(self) -> Any:
        """A producer over a connection of its own. The connection before it is closed."""
        with suppress(*_BROKER_ERRORS):
            if self._connection is not None:
                self._connection.close()
        self._connection = self._app.connection_for_write()
        return kombu.Producer(self._connection.channel(), get_exchange(self._connection), serializer="json")

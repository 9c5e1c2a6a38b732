"""One worker process: its checks before it starts, its Celery worker, and an orderly end."""

import logging
import os
import platform
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

import celery.worker.state
from celery import Celery, signals

from workers.circuit_breaker import CircuitBreaker
from workers.consumer import Consumer
from workers.context import Context
from workers.executor import Batch, Body, attempt
from workers.gpu_devices import Devices
from workers.heartbeat import Heartbeat
from workers.metrics_server import serve_metrics
from workers.presence import Announcer
from workers.task_events import EventPublisher, TaskEvents
from xraygpt_core.ledger.jobs import claims
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.ledger.jobs.kinds import KINDS
from xraygpt_core.ledger.preflight import check_schema
from xraygpt_core.ledger.transaction import Ledger, open_ledger
from xraygpt_core.queue import make_celery, task_name
from xraygpt_core.settings import Settings
from xraygpt_core.states import JobKind
from xraygpt_core.storage import ObjectStore

log = logging.getLogger(__name__)

_BEATS_PER_LEASE = 3
_ON_DEVICES = ("gpu", "training")


@dataclass(frozen=True)
class Process:
    """What a kind of worker builds its work on.

    Attributes:
        app: the Celery application tasks are registered with.
        closing: what is closed, last in first out, when the process ends.
        queues: what it consumes, most urgent first, once it runs.
        consumers: what its threads do.
        beside: what one thread each does beside them.
        announcer: what it says of itself.
    """

    context: Context
    app: Celery
    closing: ExitStack
    announcer: Announcer
    queues: list[str] = field(default_factory=list)
    consumers: list[Consumer] = field(default_factory=list)
    beside: dict[Consumer, Sequence[str]] = field(default_factory=dict)

    def work_on(self, bodies: Mapping[JobKind, Body | Batch]) -> None:
        """Register the task of each kind of job this process does."""
        consumer = Consumer(self.context, self.queues, bodies)
        self.consumers.append(consumer)
        self._register(bodies, consumer)

    def work_beside(self, bodies: Mapping[JobKind, Body], queues: Sequence[str]) -> None:
        """Jobs of these kinds are done one at a time by a thread of their own, which takes nobody else's place."""
        consumer = Consumer(self.context, queues, bodies)
        self.beside[consumer] = queues
        self._register(bodies, consumer.hear)

    def _register(self, kinds: Iterable[JobKind], heard: Callable[[], None]) -> None:
        for kind in kinds:
            # A ring's own events would say nothing of a job: workers.task_events sends those of the jobs.
            self.app.task(name=task_name(kind), shared=False, send_events=False)(_task(kind, heard))

    def run(self, queues: Iterable[str], concurrency: int, *, urgent_thread: bool = False) -> int:
        """Consume these queues, most urgent first, until the process is to stop. Returns the exit code.

        Args:
            urgent_thread: one thread more takes what is urgent while all others are at work.
        """
        self.queues.extend(queues)
        if at_work := [*self.consumers, *self.beside]:
            self.announcer.slots = concurrency + len(self.beside)
            self.announcer.busy = lambda: sum(consumer.busy for consumer in at_work)
        own_threads = [
            threading.Thread(target=consumer.serve_urgent, args=(concurrency,), name="urgent", daemon=True)
            for consumer in self.consumers
            if urgent_thread
        ]
        own_threads += [threading.Thread(target=one.serve_beside, name="beside", daemon=True) for one in self.beside]
        signals.setup_logging.connect(_keep_our_logging, weak=False)
        signals.worker_shutting_down.connect(lambda **_: self.context.draining.set(), weak=False)
        worker = self.app.Worker(
            hostname=self.context.name,
            pool_cls="threads",
            concurrency=concurrency,
            queues=[*self.queues, *(name for names in self.beside.values() for name in names)],
            loglevel=self.context.settings.log_level.upper(),
            quiet=True,
            without_mingle=True,
            without_gossip=True,
        )
        threading.Thread(target=self._watch_shutdown, name="shutdown", daemon=True).start()
        for thread in own_threads:
            thread.start()
        worker.start()
        self.context.draining.set()
        for thread in own_threads:
            thread.join()  # it finishes its job, or _watch_shutdown ends the process
        return int(worker.exitcode or 0)

    def stop(self, code: int) -> None:
        """Finish what runs, take nothing new, and exit with this code. Callable from any thread."""
        setattr(celery.worker.state, "should_stop", code)  # noqa: B010  # the stubs know only None here
        self.context.draining.set()

    def _watch_shutdown(self) -> None:
        """Hand back what does not finish in time, before the supervisor kills us (:mod:`xraygpt_core.shutdown`)."""
        self.context.draining.wait()
        threading.Event().wait(self.context.settings.drain_seconds)
        self.context.heartbeat.hand_back()
        self.context.events.close()
        log.warning("jobs did not finish in time and were handed back: the process exits")
        os._exit(int(celery.worker.state.should_stop or 0))


def start(role: str, settings: Settings, closing: ExitStack, *, threads: int) -> Process:
    """Check that this process fits its database and buckets, and open what its jobs need.

    Args:
        threads: how many jobs run at once, to size the connection pool.

    Raises:
        ConfigurationError, Unavailable: with the one sentence to print.
    """
    ledger = open_ledger(settings, pool_size=min(threads, 14) + 2)
    closing.callback(ledger.close)
    check_schema(ledger)
    store = ObjectStore(settings)
    store.check()
    name, app = f"{role}-{os.getpid()}@{platform.node()}", make_celery(settings)
    events = TaskEvents(name, EventPublisher(app, name) if settings.task_events else None)
    events.start(attempt)
    heartbeat = _heartbeat_of(ledger, events)
    heartbeat.start()
    closing.callback(heartbeat.close)
    closing.callback(events.close)
    if settings.metrics_port:
        serve_metrics(settings, role)
    announcer = Announcer(ledger, name, role)
    if role in _ON_DEVICES:
        announcer.devices = Devices()
    announcer.start(attempt)
    closing.callback(announcer.close, attempt)
    context = Context(settings, ledger, store, heartbeat, name, breakers=breakers_of(settings, store), events=events)
    return Process(context, app, closing, announcer)


def breakers_of(settings: Settings, store: ObjectStore) -> dict[JobKind, CircuitBreaker]:
    """Half a lease between two looks: work goes on as soon after an outage as after the loss of a worker."""
    needed = {kind: row.buckets for kind, row in KINDS.items() if row.buckets is not None}
    most = settings.lease_seconds / 2
    breakers = {
        buckets: CircuitBreaker(buckets.label, partial(store.probe, **buckets._asdict()), most)
        for buckets in set(needed.values())
    }
    return {kind: breakers[buckets] for kind, buckets in needed.items()}


def _heartbeat_of(ledger: Ledger, events: TaskEvents) -> Heartbeat:
    ends = JobEnds(ledger, events)
    return Heartbeat(
        lambda held: claims.heartbeat(ledger, held),
        ends.fail,
        ends.release,
        interval=ledger.settings.lease_seconds / _BEATS_PER_LEASE,
        leave=ends.leave,
    )


@dataclass(frozen=True)
class JobEnds:
    """What becomes of jobs whose threads do not end by themselves: the ledger first, then Flower."""

    ledger: Ledger
    events: TaskEvents

    def fail(self, claim: Claim, error: str) -> None:
        """The attempt failed."""
        self.events.failed(claim, error, claims.fail(self.ledger, claim, error))

    def release(self, claim: Claim) -> None:
        """The job goes back to its queue."""
        claims.release(self.ledger, claim)
        self.events.retried(claim, "handed back: the worker is stopping")

    def leave(self, code: int) -> None:
        """The process exits at once, after the last events."""
        self.events.close()
        os._exit(code)


def _task(kind: JobKind, heard: Callable[[], None]) -> Callable[..., None]:
    def do(*_: object) -> None:  # a doorbell of a former version names a job
        heard()

    do.__name__ = str(kind)
    return do


def _keep_our_logging(**_: object) -> None:
    """A listener to this signal keeps Celery from configuring logging itself.

    Its lines about each task name a message; ours name the job, so one of the two is enough.
    """
    for name in ("celery.app.trace", "celery.worker.strategy"):
        logging.getLogger(name).setLevel(logging.WARNING)

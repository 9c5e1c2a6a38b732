"""One worker process: its checks before it starts, its Celery worker, and an orderly end."""

import logging
import os
import platform
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

import celery.worker.state
from celery import Celery, signals

from workers.circuit_breaker import CircuitBreaker
from workers.consumer import Consumer
from workers.context import Context
from workers.executor import Batch, Body
from workers.heartbeat import Heartbeat, aside, hand_back
from workers.metrics_server import tell_metrics
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


@dataclass(frozen=True)
class Process:
    """What a role builds its work on.

    Attributes:
        app: the Celery application tasks are registered with.
        closing: what is closed, last in first out, when the process ends.
        queues: what it consumes, most urgent first, once it runs.
        drains: what its threads do, once there are jobs to work on.
    """

    context: Context
    app: Celery
    closing: ExitStack
    queues: list[str] = field(default_factory=list)
    drains: list[Consumer] = field(default_factory=list)

    def work_on(self, bodies: Mapping[JobKind, Body | Batch]) -> None:
        """Register the task of each kind of job this process does."""
        drain = Consumer(self.context, self.queues, bodies)
        self.drains.append(drain)
        for kind in bodies:
            # A ring's own events would say nothing of a job: workers.task_events sends those of the jobs.
            self.app.task(name=task_name(kind), shared=False, send_events=False)(_task(kind, drain))

    def run(self, queues: Iterable[str], concurrency: int, *, attended: bool = False) -> int:
        """Consume these queues, most urgent first, until told to stop; the exit code.

        Args:
            attended: one thread more takes what is urgent while all others are at work.
        """
        self.queues.extend(queues)
        attendants = [
            threading.Thread(target=drain.attend, args=(concurrency,), name="attend", daemon=True)
            for drain in self.drains
            if attended
        ]
        signals.setup_logging.connect(_keep_our_logging, weak=False)
        signals.worker_shutting_down.connect(lambda **_: self.context.draining.set(), weak=False)
        worker = self.app.Worker(
            hostname=self.context.name,
            pool_cls="threads",
            concurrency=concurrency,
            queues=self.queues,
            loglevel=self.context.settings.log_level.upper(),
            quiet=True,
            without_mingle=True,
            without_gossip=True,
        )
        threading.Thread(target=self._watch_drain, name="drain", daemon=True).start()
        for attendant in attendants:
            attendant.start()
        worker.start()
        self.context.draining.set()
        for attendant in attendants:
            attendant.join()  # it finishes its job, or the watch above ends the process
        return int(worker.exitcode or 0)

    def stop(self, code: int) -> None:
        """Finish what runs, take nothing new, and exit with this code. Callable from any thread."""
        setattr(celery.worker.state, "should_stop", code)  # noqa: B010  # the stubs know only None here
        self.context.draining.set()

    def _watch_drain(self) -> None:
        """Hand back what does not finish in time; a process that waits for ever is killed by somebody less careful."""
        self.context.draining.wait()
        threading.Event().wait(self.context.settings.drain_seconds)
        context = self.context
        held = [pulse.claim for pulse in context.heart.running()]
        ends = JobEnds(context.ledger, context.events)
        aside(lambda: hand_back(held, ends.release))
        log.warning("drain took too long: the process exits")
        ends.leave(int(celery.worker.state.should_stop or 0))


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
    events.start()
    heart = _heart(ledger, events)
    heart.start()
    closing.callback(heart.close)
    closing.callback(events.close)
    if settings.metrics_port:
        tell_metrics(settings)
    context = Context(settings, ledger, store, heart, name, gates=gates_of(settings, store), events=events)
    return Process(context, app, closing)


def gates_of(settings: Settings, store: ObjectStore) -> dict[JobKind, CircuitBreaker]:
    """Half a lease between two looks: work goes on as soon after an outage as after the loss of a worker."""
    needed = {kind: row.buckets for kind, row in KINDS.items() if row.buckets is not None}
    most = settings.lease_seconds / 2
    breakers = {
        buckets: CircuitBreaker(buckets.label, partial(store.probe, **buckets._asdict()), most)
        for buckets in set(needed.values())
    }
    return {kind: breakers[buckets] for kind, buckets in needed.items()}


def _heart(ledger: Ledger, events: TaskEvents) -> Heartbeat:
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


def _task(kind: JobKind, drain: Consumer) -> Callable[..., None]:
    def do(*_: object) -> None:  # a doorbell of a former version names a job
        drain()

    do.__name__ = str(kind)
    return do


def _keep_our_logging(**_: object) -> None:
    """That somebody listens to this signal keeps Celery from configuring logging itself.

    Its lines about each task name a message; ours name the job, so one of the two is enough.
    """
    for name in ("celery.app.trace", "celery.worker.strategy"):
        logging.getLogger(name).setLevel(logging.WARNING)

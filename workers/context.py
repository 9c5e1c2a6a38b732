"""What every job of a worker process gets: settings, services, and how long it may be silent."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from workers.circuit_breaker import CircuitBreaker
from workers.heartbeat import Heartbeat
from workers.task_events import TaskEvents
from xraygpt_core.ledger.jobs.kinds import KINDS, TimeLimits
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.settings import Settings
from xraygpt_core.states import JobKind
from xraygpt_core.storage import ObjectStore


@dataclass(frozen=True)
class Context:
    """One per process.

    Attributes:
        name: of the worker, as the timeline shows it: role, host and process, nothing else.
        draining: set when the process is to stop; long jobs hand themselves back then.
        breakers: of the kinds of job that are begun only while the buckets answer.
        events: what Flower shows of the jobs.
    """

    settings: Settings
    ledger: Ledger
    store: ObjectStore
    heartbeat: Heartbeat
    name: str
    draining: threading.Event = field(default_factory=threading.Event)
    breakers: Mapping[JobKind, CircuitBreaker] = field(default_factory=dict)
    events: TaskEvents = field(default_factory=TaskEvents)

    def limits(self, kind: JobKind) -> TimeLimits:
        """How long a job of this kind may report no progress, and how long it may run, progress or not."""
        return KINDS[kind].limits(self.settings)

    def may_begin(self, kind: JobKind) -> bool:
        """Do the buckets that a job of this kind needs answer? Asks them, if it is time to."""
        return kind not in self.breakers or self.breakers[kind].allows()

    def must_wait(self, kind: JobKind) -> bool:
        """Were these buckets away at the last look?"""
        return kind in self.breakers and self.breakers[kind].is_open

    def confirms_outage(self, kind: JobKind) -> bool:
        """A job of this kind could not reach a bucket: are the buckets away? If so, its kind waits from now on."""
        return kind in self.breakers and self.breakers[kind].trip()

"""What every job of a worker process gets: its settings, its services, and how long a job may be silent."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from workers.circuit_breaker import CircuitBreaker
from workers.heartbeat import Heartbeat
from workers.task_events import TaskEvents
from xraygpt_core.ledger.jobs.kinds import KINDS
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.settings import Settings
from xraygpt_core.states import JobKind
from xraygpt_core.storage import ObjectStore


@dataclass(frozen=True)
class Context:
    """One per process.

    Attributes:
        name: who claims, as the timeline shows it: role, host and process, nothing else.
        draining: set when the process was told to stop; long jobs hand themselves back then.
        gates: which kinds of job are begun only while the buckets answer.
        events: what Flower shows of the jobs.
    """

    settings: Settings
    ledger: Ledger
    store: ObjectStore
    heart: Heartbeat
    name: str
    draining: threading.Event = field(default_factory=threading.Event)
    gates: Mapping[JobKind, CircuitBreaker] = field(default_factory=dict)
    events: TaskEvents = field(default_factory=TaskEvents)

    def stall_seconds(self, kind: JobKind) -> float:
        """How long a job of this kind may report no progress before its lease is no longer extended."""
        return KINDS[kind].limits(self.settings).stall

    def max_seconds(self, kind: JobKind) -> float:
        """How long a job of this kind may run, progress or not."""
        return KINDS[kind].limits(self.settings).run

    def may_begin(self, kind: JobKind) -> bool:
        """Do the buckets a job of this kind needs answer? Asks them, if it is time to."""
        return kind not in self.gates or self.gates[kind].lets_in()

    def must_wait(self, kind: JobKind) -> bool:
        """Are these buckets known to be away?"""
        return kind in self.gates and self.gates[kind].shut

    def nobody_could(self, kind: JobKind) -> bool:
        """Did a job of this kind fail because the buckets answer nobody? From then on its like waits."""
        return kind in self.gates and self.gates[kind].shuts()

"""What every job of a worker process gets: its settings, its services, and how long a job may be silent."""

import threading
from dataclasses import dataclass, field

from workers.heartbeat import Heart
from xraygpt_core.ledger.core import Ledger
from xraygpt_core.settings import Settings
from xraygpt_core.states import JobKind
from xraygpt_core.storage import ObjectStore


@dataclass(frozen=True)
class Context:
    """One per process.

    Attributes:
        name: who claims, as the timeline shows it: role, host and process, nothing else.
        draining: set when the process was told to stop; long jobs hand themselves back then.
    """

    settings: Settings
    ledger: Ledger
    store: ObjectStore
    heart: Heart
    name: str
    draining: threading.Event = field(default_factory=threading.Event)

    def stall_seconds(self, kind: JobKind) -> float:
        """How long a job of this kind may report no progress before its lease is no longer extended."""
        return self.settings.train_stall_seconds if kind is JobKind.TRAIN else self.settings.stall_seconds

    def max_seconds(self, kind: JobKind) -> float:
        """How long a job of this kind may run, progress or not."""
        return self.settings.train_max_seconds if kind is JobKind.TRAIN else self.settings.max_run_seconds

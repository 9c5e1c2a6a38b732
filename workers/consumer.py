"""From one doorbell on, a thread does the most urgent work there is until none is left.

Short jobs are taken several at a time, so many that they take about a quarter of a second; long ones one by one. So a
stat job waits for no more than that, nobody sits on work that others could do, and short jobs share their transactions.
While all threads of a process are at work, one more looks by itself for what somebody is waiting for, and does it.
"""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from itertools import groupby

from workers.context import Context
from workers.executor import Batch, Body, attempt, not_claimed, run_batch, run_claim
from xraygpt_core.errors import XrayGPTError
from xraygpt_core.ledger.jobs.claims import claim_next
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.ledger.jobs.kinds import KINDS
from xraygpt_core.queue import Queue, Ring, queue_of
from xraygpt_core.states import JobKind, Lane

log = logging.getLogger(__name__)

BATCH_SECONDS = 0.25
MOST = 64
# Then the next message goes on: nobody who looks at the broker's tasks sees one that never ends.
TASK_SECONDS = 10.0
LOOK_SECONDS = 0.05
_AFTER_ERROR_SECONDS = 1.0


class Consumer:
    """The work of one process's threads.

    Args:
        queues: their names, most urgent first; read when there is work.
        bodies: how each kind of job is done.
    """

    def __init__(self, context: Context, queues: Sequence[str], bodies: Mapping[JobKind, Body | Batch]) -> None:
        self._context = context
        self._names = queues
        self._bodies = bodies
        self._batches = all(isinstance(body, Batch) for body in bodies.values())
        self._pace = Pace()
        self._lock = threading.Lock()
        self._at_work = 0

    def __call__(self) -> None:
        """Work until nothing is ready, the process drains, or the time of a task is over."""
        self._count(1)
        try:
            self._drain()
        finally:
            self._count(-1)

    def attend(self, threads: int) -> None:
        """Until the process drains: whenever all of its threads are at work, do what is urgent as soon as it is there.

        It needs no doorbell: nobody would be free to hear it. No error ends it, for nobody would start it again.
        """
        pause, trouble = LOOK_SECONDS, False
        while not self._context.draining.wait(pause):
            _, error = attempt(self.urgent) if self._at_work >= threads else (None, None)
            if error is not None and not trouble:
                log.warning("urgent jobs wait", extra={"error": type(error).__name__}, exc_info=error)
            trouble = error is not None
            pause = _AFTER_ERROR_SECONDS if trouble else LOOK_SECONDS

    def urgent(self) -> None:
        """Do what is urgent and ready, one job after the other. Raises what the ledger raises."""
        while not self._context.draining.is_set():
            queues = [(kind, lane) for kind, lane in self._queues if KINDS[kind].urgent or lane is Lane.STAT]
            claims = claim_next(self._context.ledger, queues, self._context.name)
            if not claims:
                break
            self._run(claims[0].kind, claims)

    def _count(self, change: int) -> None:
        with self._lock:
            self._at_work += change

    def _drain(self) -> None:
        deadline = time.monotonic() + TASK_SECONDS
        while not self._context.draining.is_set():
            try:
                claims = self._several() if self._batches else self._one()
            except XrayGPTError as error:
                not_claimed(error)
                return
            if not claims:
                return
            began = time.monotonic()
            for kind, some in groupby(claims, lambda claim: claim.kind):
                self._run(kind, list(some))
            self._pace.note(time.monotonic() - began, len(claims))
            if time.monotonic() > deadline:
                self._context.ledger.doorbell.ring([Ring(claims[-1].kind, claims[-1].lane)])
                return

    def _run(self, kind: JobKind, claims: list[Claim]) -> None:
        body = self._bodies[kind]
        if isinstance(body, Batch):
            run_batch(self._context, claims, body)
        else:
            for claim in claims:
                run_claim(self._context, claim, body)

    @property
    def _queues(self) -> list[Queue]:
        """Most urgent first, without those whose jobs could not be done now."""
        queues = [queue_of(name) for name in self._names]
        begun = {kind for kind in dict(queues) if self._context.may_begin(kind)}
        return [(kind, lane) for kind, lane in queues if kind in begun]

    def _several(self) -> list[Claim]:
        context = self._context
        return claim_next(context.ledger, self._queues, context.name, limit=self._pace.limit, in_turn=True)

    def _one(self) -> list[Claim]:
        return self._context.ledger.meeting(("claim", self._context.name), self._one_each)(None)

    def _one_each(self, threads: Sequence[None]) -> list[list[Claim]]:
        """Threads that ask at the same moment share a statement; whoever came first gets the most urgent."""
        claims = claim_next(self._context.ledger, self._queues, self._context.name, limit=len(threads))
        return [claims[place : place + 1] for place in range(len(threads))]


class Pace:
    """How many jobs to take at once, from how long the last ones took."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: float | None = None
        self.limit = 1

    def note(self, seconds: float, jobs: int) -> None:
        """So many jobs took so long. The number grows at most fourfold at once and is a power of two: each one is a
        statement of its own to the database.
        """
        each = seconds / jobs
        with self._lock:
            self._seconds = each if self._seconds is None else max(each, 0.7 * self._seconds + 0.3 * each)
            wanted = min(BATCH_SECONDS / max(self._seconds, 1e-6), 4 * self.limit, MOST)
            self.limit = 1 << max(0, int(wanted).bit_length() - 1)

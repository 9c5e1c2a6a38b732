"""The work loop: from one doorbell on, a thread does the most urgent jobs there are until none is left.

Long jobs are claimed one by one. Short ones are claimed several at a time (:mod:`workers.pace`) and share their
transactions; so a stat job waits for a quarter of a second at most, and no thread keeps work that another could do.
While all threads of a process are busy, one more does what is urgent. And one may do, beside all others, long jobs that
use what is left over.
"""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from itertools import groupby

from workers.context import Context
from workers.executor import Batch, Body, attempt, log_not_claimed, run_batch, run_claim
from workers.pace import Pace
from xraygpt_core.errors import XrayGPTError
from xraygpt_core.ledger.jobs.claims import claim_next
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.ledger.jobs.kinds import KINDS
from xraygpt_core.queue import Queue, Ring, queue_of
from xraygpt_core.states import JobKind, Lane

log = logging.getLogger(__name__)

# A message is done after this time and the next one goes on, so that the broker's pages show no task without end.
TASK_SECONDS = 10.0
LOOK_SECONDS = 0.05
BESIDE_SECONDS = 2.0  # between two looks for work beside, where no doorbell is heard
_AFTER_ERROR_SECONDS = 1.0


class Consumer:
    """The work of one process's threads. Called by each thread that hears a doorbell.

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
        self._busy_threads = 0
        self._bell = threading.Event()

    def __call__(self) -> None:
        """Work until nothing is ready, the process drains, or the time of a message is over."""
        self._count(1)
        try:
            self._work()
        finally:
            self._count(-1)

    def _work(self) -> None:
        deadline = time.monotonic() + TASK_SECONDS
        while not self._context.draining.is_set():
            try:
                claims = self._claim_several() if self._batches else self._claim_one()
            except XrayGPTError as error:
                log_not_claimed(error)
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

    def _claim_several(self) -> list[Claim]:
        context = self._context
        return claim_next(context.ledger, self._queues, context.name, limit=self._pace.limit, in_turn=True)

    def _claim_one(self) -> list[Claim]:
        """Threads that claim at the same moment share a statement; the first of them gets the most urgent job."""
        meeting = ("claim", self._context.name, *self._names)  # not with those who look for other work
        return self._context.ledger.meeting(meeting, self._claim_one_each)(None)

    def _claim_one_each(self, threads: Sequence[None]) -> list[list[Claim]]:
        claims = claim_next(self._context.ledger, self._queues, self._context.name, limit=len(threads))
        return [claims[place : place + 1] for place in range(len(threads))]

    @property
    def _queues(self) -> list[Queue]:
        """Most urgent first, without those whose jobs could not be done now."""
        queues = [queue_of(name) for name in self._names]
        begun = {kind for kind in dict(queues) if self._context.may_begin(kind)}
        return [(kind, lane) for kind, lane in queues if kind in begun]

    def _run(self, kind: JobKind, claims: list[Claim]) -> None:
        body = self._bodies[kind]
        if isinstance(body, Batch):
            run_batch(self._context, claims, body)
        else:
            for claim in claims:
                run_claim(self._context, claim, body)

    @property
    def busy(self) -> int:
        """How many threads are at work."""
        return self._busy_threads

    def _count(self, change: int) -> None:
        with self._lock:
            self._busy_threads += change

    def serve_urgent(self, threads: int) -> None:
        """Until the process drains: whenever all of its threads are busy, do what is urgent as soon as it is there.

        It needs no doorbell, which no thread would be free to hear. No error ends it, for it is started only once.
        """
        pause, failing = LOOK_SECONDS, False
        while not self._context.draining.wait(pause):
            _, error = attempt(self.do_urgent) if self._busy_threads >= threads else (None, None)
            if error is not None and not failing:
                log.warning("urgent jobs wait", extra={"error": type(error).__name__}, exc_info=error)
            failing = error is not None
            pause = _AFTER_ERROR_SECONDS if failing else LOOK_SECONDS

    def hear(self) -> None:
        """A doorbell rang for the thread of :meth:`serve_beside`."""
        self._bell.set()

    def serve_beside(self) -> None:
        """Until the process drains: one job after the other, in a thread of its own. No error ends it."""
        while not self._context.draining.is_set():
            _, error = attempt(self)
            if error is not None:
                log.warning("work beside waits", extra={"error": type(error).__name__}, exc_info=error)
            self._bell.wait(BESIDE_SECONDS)
            self._bell.clear()

    def do_urgent(self) -> None:
        """Do what is urgent and ready, one job after the other. Raises what the ledger raises."""
        while not self._context.draining.is_set():
            queues = [(kind, lane) for kind, lane in self._queues if KINDS[kind].urgent or lane is Lane.STAT]
            claims = claim_next(self._context.ledger, queues, self._context.name)
            if not claims:
                break
            self._run(claims[0].kind, claims)

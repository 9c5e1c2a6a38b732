"""The one thread per worker process that keeps the leases of its jobs alive, and ends what no longer moves.

A lease is extended only while its job reports progress. So a hung engine or codec loses its job to another worker, and
as a thread cannot be stopped from outside, its process exits; the supervisor starts a fresh one.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy.exc import DBAPIError

from xraygpt_core.errors import LeaseLost, XrayGPTError
from xraygpt_core.exit_codes import BROKEN
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.metrics import LEASE_LOST
from xraygpt_core.shutdown import HAND_BACK_SECONDS

log = logging.getLogger(__name__)


@dataclass
class JobProgress:
    """The life signs of one running job. Its body reports progress; the heart sets ``lost``.

    Of several jobs that are done one after the other only the one whose turn it is can stall; the others ``wait``.
    """

    claim: Claim
    stall_seconds: float
    max_seconds: float
    clock: Callable[[], float] = time.monotonic
    lost: threading.Event = field(default_factory=threading.Event)
    waits: bool = False

    def __post_init__(self) -> None:
        self.started = self.moved = self.clock()

    def progress(self) -> None:
        """The job moved. Callable from any thread, raises nothing."""
        self.moved = self.clock()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """The job's own work: its time counts from here. Before and after it waits for others."""
        self.started = self.moved = self.clock()
        self.waits = False
        try:
            yield
        finally:
            self.waits = True

    def check(self) -> None:
        """The job moved, and wants to know whether it is worth going on.

        Raises:
            LeaseLost: the job belongs to somebody else by now.
        """
        if self.lost.is_set():
            raise LeaseLost(f"job {self.claim.job_id}: epoch {self.claim.epoch} lost its lease")
        self.progress()

    @property
    def trouble(self) -> str | None:
        """Why this job's lease is not to be extended, or None."""
        now = self.clock()
        if self.waits:
            return None
        if now - self.moved > self.stall_seconds:
            return f"stalled: no progress for {self.stall_seconds:g} seconds"
        if now - self.started > self.max_seconds:
            return f"ran longer than {self.max_seconds:g} seconds"
        return None


class Heartbeat:
    """Beats for every running job of this process.

    Args:
        extend: extends the leases of some claims in one statement and returns the job ids still held.
        fail: records that an attempt failed.
        release: hands a claim back; the attempt does not count.
        interval: seconds between two beats; a third of the lease leaves room for two that go wrong.
        leave: ends the process at once.
    """

    def __init__(
        self,
        extend: Callable[[Sequence[Claim]], set[UUID]],
        fail: Callable[[Claim, str], object],
        release: Callable[[Claim], object],
        *,
        interval: float,
        leave: Callable[[int], object] = os._exit,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._extend = extend
        self._fail = fail
        self._release = release
        self._interval = interval
        self._leave = leave
        self._clock = clock
        self._lock = threading.Lock()
        self._pulses: dict[tuple[UUID, int], JobProgress] = {}
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def close(self) -> None:
        """Stop beating; leases run out from now on."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join()

    @contextmanager
    def beating(self, claim: Claim, stall_seconds: float, max_seconds: float) -> Iterator[JobProgress]:
        """Keep this claim's lease alive while the block runs and reports progress."""
        pulse = JobProgress(claim, stall_seconds, max_seconds, self._clock)
        place = (claim.job_id, claim.epoch)
        with self._lock:
            self._pulses[place] = pulse
        try:
            yield pulse
        finally:
            with self._lock:
                del self._pulses[place]

    def running(self) -> list[JobProgress]:
        """The jobs this process holds now."""
        with self._lock:
            return list(self._pulses.values())

    def beat(self) -> None:
        """One round: extend what moves, let go of what does not."""
        well = []
        for pulse in self.running():
            trouble = pulse.trouble
            if trouble is not None:
                self._let_go(pulse, trouble)
            elif not pulse.lost.is_set():
                well.append(pulse)
        try:
            held = self._extend([pulse.claim for pulse in well]) if well else set()
        except (XrayGPTError, DBAPIError) as error:
            # No answer says nothing about the lease. If it ends meanwhile the next answer will say so, and until then
            # nothing can be written anyway.
            log.warning(
                "no heartbeat: the database did not take it", extra={"held": len(well), "error": type(error).__name__}
            )
            return
        for pulse in well:
            if pulse.claim.job_id not in held:
                self._lose(pulse)

    def _run(self) -> None:
        try:
            while not self._closed.wait(self._interval):
                self.beat()
        finally:
            if not self._closed.is_set():  # a process without a heart would lose every lease and never know
                self._leave(BROKEN)

    def _lose(self, pulse: JobProgress) -> None:
        pulse.lost.set()
        if pulse in self.running():  # a job that was completed a moment ago is not held either
            LEASE_LOST.labels(pulse.claim.kind).inc()
            log.warning("lease lost", extra=told(pulse.claim))

    def _let_go(self, pulse: JobProgress, trouble: str) -> None:
        if not pulse.lost.is_set():
            pulse.lost.set()
            log.error("job let go", extra=told(pulse.claim) | {"reason": trouble})
            aside(lambda: self._fail(pulse.claim, trouble))
        if trouble.startswith("stalled") and pulse in self.running():
            self._exit(pulse)

    def _exit(self, stalled: JobProgress) -> None:
        log.critical("a job hangs: the process exits", extra=told(stalled.claim) | {"exit_code": BROKEN})
        well = [pulse.claim for pulse in self.running() if pulse is not stalled and not pulse.lost.is_set()]
        aside(lambda: hand_back(well, self._release))
        self._leave(BROKEN)


def hand_back(claims: Iterable[Claim], release: Callable[[Claim], object]) -> None:
    """Release these claims; whatever their threads write later is refused by the fence."""
    for claim in claims:
        try:
            release(claim)
        except (XrayGPTError, DBAPIError):  # its lease ends by itself
            continue


def aside(act: Callable[[], object], seconds: float = HAND_BACK_SECONDS) -> None:
    """Try to tell the ledger something, but wait no longer than this: what hangs may hang in the database itself."""

    def trying() -> None:
        try:
            act()
        except (XrayGPTError, DBAPIError) as error:  # the lease ends by itself then
            log.warning("the ledger was not told", extra={"error": type(error).__name__})

    thread = threading.Thread(target=trying, name="aside", daemon=True)
    thread.start()
    thread.join(seconds)


def told(claim: Claim) -> dict[str, object]:
    """What a log line says about a claim."""
    return {
        "job_id": claim.job_id,
        "kind": claim.kind,
        "lane": claim.lane,
        "epoch": claim.epoch,
        "attempts": claim.attempts,
    }

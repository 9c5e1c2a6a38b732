"""The one thread per worker process that keeps the leases of its jobs alive.

A lease is extended only while its job reports progress. So a hung engine or codec loses its job to another worker. A
thread cannot be stopped from outside, so its process exits, and the supervisor starts a new one.
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

from xraygpt_core.errors import XrayGPTError
from xraygpt_core.exit_codes import BROKEN
from xraygpt_core.ledger.jobs.fence import Claim, lease_lost
from xraygpt_core.metrics import LEASE_LOST
from xraygpt_core.shutdown import HAND_BACK_SECONDS

log = logging.getLogger(__name__)


@dataclass
class JobProgress:
    """How one running job comes on. Its body reports progress; the heartbeat sets ``lost``.

    Of the jobs of a batch only the one whose turn it is can stall; the others wait.
    """

    claim: Claim
    stall_seconds: float
    max_seconds: float
    clock: Callable[[], float] = time.monotonic
    lost: threading.Event = field(default_factory=threading.Event)
    waiting: bool = False

    def __post_init__(self) -> None:
        self.started = self.moved = self.clock()

    def report(self) -> None:
        """The job came on. Callable from any thread, raises nothing."""
        self.moved = self.clock()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """The job's own work: its time counts from here. Before and after it waits for the others of its batch."""
        self.started = self.moved = self.clock()
        self.waiting = False
        try:
            yield
        finally:
            self.waiting = True

    def check(self) -> None:
        """Report progress, and stop if the lease is lost.

        Raises:
            LeaseLost: the job may belong to another worker by now.
        """
        if self.lost.is_set():
            raise lease_lost(self.claim)
        self.report()

    @property
    def trouble(self) -> str | None:
        """Why this job's lease is not to be extended, or None."""
        now = self.clock()
        if self.waiting:
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
        self._running: dict[tuple[UUID, int], JobProgress] = {}
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
    def keep_alive(self, claim: Claim, stall_seconds: float, max_seconds: float) -> Iterator[JobProgress]:
        """Keep this claim's lease alive while the block runs and reports progress."""
        progress = JobProgress(claim, stall_seconds, max_seconds, self._clock)
        place = (claim.job_id, claim.epoch)
        with self._lock:
            self._running[place] = progress
        try:
            yield progress
        finally:
            with self._lock:
                del self._running[place]

    def running(self) -> list[JobProgress]:
        """The jobs this process holds now."""
        with self._lock:
            return list(self._running.values())

    def beat(self) -> None:
        """One round: extend the leases of the jobs that come on, give up the others."""
        well = []
        for progress in self.running():
            trouble = progress.trouble
            if trouble is not None:
                self._give_up(progress, trouble)
            elif not progress.lost.is_set():
                well.append(progress)
        try:
            held = self._extend([progress.claim for progress in well]) if well else set()
        except (XrayGPTError, DBAPIError) as error:
            # No answer says nothing about the lease. If it ends meanwhile the next answer will say so, and until then
            # nothing can be written anyway.
            log.warning(
                "no heartbeat: the database did not take it", extra={"held": len(well), "error": type(error).__name__}
            )
            return
        for progress in well:
            if progress.claim.job_id not in held:
                self._mark_lost(progress)

    def _run(self) -> None:
        try:
            while not self._closed.wait(self._interval):
                self.beat()
        finally:
            if not self._closed.is_set():  # a process without a heartbeat would lose every lease and never know
                self._leave(BROKEN)

    def _mark_lost(self, progress: JobProgress) -> None:
        progress.lost.set()
        if progress in self.running():  # a job that was completed a moment ago is not held either
            LEASE_LOST.labels(progress.claim.kind).inc()
            log.warning("lease lost", extra=log_fields(progress.claim))

    def _give_up(self, progress: JobProgress, trouble: str) -> None:
        if not progress.lost.is_set():
            progress.lost.set()
            log.error("job given up", extra=log_fields(progress.claim) | {"reason": trouble})
            try_briefly(lambda: self._fail(progress.claim, trouble))
        if trouble.startswith("stalled") and progress in self.running():
            self._exit(progress)

    def _exit(self, stalled: JobProgress) -> None:
        log.critical("a job hangs: the process exits", extra=log_fields(stalled.claim) | {"exit_code": BROKEN})
        self.hand_back(stalled)
        self._leave(BROKEN)

    def hand_back(self, stalled: JobProgress | None = None) -> None:
        """Release the jobs of this process, but for one that stalled; what their threads write later is fenced off."""
        well = [progress.claim for progress in self.running() if progress is not stalled and not progress.lost.is_set()]
        try_briefly(lambda: release_each(well, self._release))


def release_each(claims: Iterable[Claim], release: Callable[[Claim], object]) -> None:
    """Release these claims; one that cannot be released does not hold up the others."""
    for claim in claims:
        try:
            release(claim)
        except (XrayGPTError, DBAPIError):  # its lease ends by itself
            continue


def try_briefly(act: Callable[[], object]) -> None:
    """Try to write to the ledger, but wait no longer than this: what hangs may hang in the database itself."""

    def trying() -> None:
        try:
            act()
        except (XrayGPTError, DBAPIError) as error:  # the lease ends by itself then
            log.warning("not written to the ledger", extra={"error": type(error).__name__})

    thread = threading.Thread(target=trying, name="ledger write", daemon=True)
    thread.start()
    thread.join(HAND_BACK_SECONDS)


def log_fields(claim: Claim) -> dict[str, object]:
    """The fields of a log line about a claim."""
    return {
        "job_id": claim.job_id,
        "kind": claim.kind,
        "lane": claim.lane,
        "epoch": claim.epoch,
        "attempts": claim.attempts,
    }

"""While the buckets are away, the jobs that need them wait: none is begun, and none loses an attempt.

Five attempts are used up in half a minute, and an outage lasts longer. So when a job could not reach a bucket, the
worker asks the buckets itself. If they do not answer, the attempt does not count, and this process begins no job that
needs them until they do. If they answer, it is the job's own failure.
"""

import logging
import threading
import time
from collections.abc import Callable

from xraygpt_core.errors import XrayGPTError
from xraygpt_core.metrics import BUCKETS_AWAY

log = logging.getLogger(__name__)

_FIRST = 1 / 16  # the first pause, of the longest


class CircuitBreaker:
    """Closed while jobs may be begun, open while the buckets are away. Safe for many threads; one at a time asks.

    Args:
        buckets: which buckets, in a word.
        probe: raises an XrayGPTError while the buckets do not answer.
        most: seconds between two looks in a long outage; the first pause is a sixteenth of it, and doubles.
    """

    def __init__(
        self, buckets: str, probe: Callable[[], None], most: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._buckets = buckets
        self._probe = probe
        self._most = most
        self._clock = clock
        self._asking = threading.Lock()
        self._pause = 0.0
        self._until: float | None = None  # None while it is closed
        self._away = BUCKETS_AWAY.labels(buckets)
        self._away.set(0)

    @property
    def is_open(self) -> bool:
        """Were the buckets away at the last look?"""
        return self._until is not None

    def trip(self) -> bool:
        """A job could not reach a bucket: ask the buckets, and open unless they answer. Is it open now?"""
        with self._asking:
            if self._until is None and (error := self._failure()) is not None:
                log.error("the buckets do not answer: jobs wait", extra={"buckets": self._buckets, "error": str(error)})
                self._away.set(1)
                self._wait(self._most * _FIRST)
            return self.is_open

    def allows(self) -> bool:
        """May a job be begun? Asks the buckets again when it is time to."""
        until = self._until
        if until is None:
            return True
        if self._clock() < until or not self._asking.acquire(blocking=False):
            return False
        try:
            if self._until is None:
                return True  # another thread was first
            if self._failure() is not None:
                self._wait(min(2 * self._pause, self._most))
                return False
            log.warning("the buckets answer again: jobs go on", extra={"buckets": self._buckets})
            self._away.set(0)
            self._until = None
            return True
        finally:
            self._asking.release()

    def _failure(self) -> XrayGPTError | None:
        try:
            self._probe()
        except XrayGPTError as error:
            return error
        return None

    def _wait(self, seconds: float) -> None:
        self._pause = seconds
        self._until = self._clock() + seconds

"""While the buckets are away, what needs them waits: no job is begun, and none is blamed.

Five attempts are used up in half a minute, and an outage lasts longer. So a job that could not reach a bucket is not
believed before the buckets are asked: if they do not answer anybody, its attempt does not count, and this process
begins no job that needs them until they do. If they do answer, it is the job's own failure.
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
    """Whether jobs that need some buckets may be begun. Safe for many threads, of which one at a time asks.

    Args:
        buckets: which, in a word.
        probe: raises what the ledger knows as an error while the buckets do not answer.
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
        self._until: float | None = None  # None while it is open
        self._away = BUCKETS_AWAY.labels(buckets)
        self._away.set(0)

    @property
    def shut(self) -> bool:
        """Is it shut, as far as is known?"""
        return self._until is not None

    def shuts(self) -> bool:
        """A job found the buckets away. Shut the gate, unless they answer now; is it shut?"""
        with self._asking:
            if self._until is None and (error := self._trouble()) is not None:
                log.error("the buckets do not answer: jobs wait", extra={"buckets": self._buckets, "error": str(error)})
                self._away.set(1)
                self._wait(self._most * _FIRST)
            return self.shut

    def lets_in(self) -> bool:
        """May a job be begun? Asks the buckets again when it is time to."""
        until = self._until
        if until is None:
            return True
        if self._clock() < until or not self._asking.acquire(blocking=False):
            return False
        try:
            if self._until is None:
                return True  # somebody else was first
            if self._trouble() is not None:
                self._wait(min(2 * self._pause, self._most))
                return False
            log.warning("the buckets answer again: jobs go on", extra={"buckets": self._buckets})
            self._away.set(0)
            self._until = None
            return True
        finally:
            self._asking.release()

    def _trouble(self) -> XrayGPTError | None:
        try:
            self._probe()
        except XrayGPTError as error:
            return error
        return None

    def _wait(self, seconds: float) -> None:
        self._pause = seconds
        self._until = self._clock() + seconds

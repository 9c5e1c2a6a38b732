"""How fast an endpoint may be asked, and how much it may cost."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from training_jobs.curation.rewriters import Stopping
from xraygpt_core.errors import TrainingError

LETTERS_A_TOKEN = 3  # of English four, as endpoints count; on the safe side for what is not known before


class LimitReached(TrainingError):
    """The limit on tokens or cost is reached; what was made is kept, and a higher limit goes on from there."""


@dataclass(frozen=True)
class Limits:
    """What a curation may use; None: no limit.

    Attributes:
        requests, tokens: a minute.
        most_tokens: in all, in and out together.
        most_cost: in all, in the unit of the prices.
        price_in, price_out: of a million tokens.
    """

    requests: float | None = None
    tokens: float | None = None
    most_tokens: int | None = None
    most_cost: float | None = None
    price_in: float = 0.0
    price_out: float = 0.0

    def cost(self, tokens_in: int, tokens_out: int) -> float:
        return (tokens_in * self.price_in + tokens_out * self.price_out) / 1e6


class Budget:
    """What is used of the limits, over all threads and all starts of one curation."""

    def __init__(
        self,
        limits: Limits,
        stop: threading.Event,
        tokens_in: int = 0,
        tokens_out: int = 0,
        calls: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits, self._stop, self._clock = limits, stop, clock
        self.tokens_in, self.tokens_out, self.calls = tokens_in, tokens_out, calls
        self._reserved_in = self._reserved_out = 0
        self._short = 1.0  # how much longer prompts were than they were taken for, at most
        self._next = 0.0  # when the next request may go
        self._lock = threading.Lock()

    @property
    def cost(self) -> float:
        return self.limits.cost(self.tokens_in, self.tokens_out)

    def reserve(self, tokens_in: int, tokens_out: int) -> tuple[int, int]:
        """Count on a call of about so many tokens, more where calls so far took more; what is counted on.

        Raises:
            LimitReached: it might pass a limit.
        """
        with self._lock:
            tokens_in = int(tokens_in * self._short)
            all_in = self.tokens_in + self._reserved_in + tokens_in
            all_out = self.tokens_out + self._reserved_out + tokens_out
            limits = self.limits
            if limits.most_tokens is not None and all_in + all_out > limits.most_tokens:
                raise LimitReached(
                    f"the limit of {limits.most_tokens} tokens is reached ({self.calls} calls were made)"
                )
            if limits.most_cost is not None and limits.cost(all_in, all_out) > limits.most_cost:
                raise LimitReached(f"the limit of {limits.most_cost:g} is reached: {self.cost:.4f} was spent")
            self._reserved_in += tokens_in
            self._reserved_out += tokens_out
            return tokens_in, tokens_out

    def settle(self, reserved: tuple[int, int], used: tuple[int, int] | None) -> None:
        """The call has ended; ``used`` is None where nothing was answered."""
        with self._lock:
            self._reserved_in -= reserved[0]
            self._reserved_out -= reserved[1]
            if used is not None:
                self.calls += 1
                self.tokens_in += used[0]
                self.tokens_out += used[1]
                self._short = max(self._short, self._short * used[0] / max(reserved[0], 1))

    def wait(self, tokens: int) -> None:
        """Wait until a request of so many tokens keeps to the rates.

        Raises:
            Stopping: the curation is stopped meanwhile.
        """
        with self._lock:
            now = self._clock()
            at = max(now, self._next)
            gap = 60 / self.limits.requests if self.limits.requests else 0.0
            if self.limits.tokens:
                gap = max(gap, 60 * tokens / self.limits.tokens)
            self._next = at + gap
        self.sleep(at - now)

    def hold(self, seconds: float) -> None:
        """No request may go for so long."""
        with self._lock:
            self._next = max(self._next, self._clock() + seconds)

    def sleep(self, seconds: float) -> None:
        """Wait, unless the curation is stopped. Raises Stopping."""
        if self._stop.wait(max(seconds, 0.0)) or self._stop.is_set():
            raise Stopping("the curation is being stopped")


def tokens_of(text: str) -> int:
    """About how many tokens a text has."""
    return len(text) // LETTERS_A_TOKEN + 1

"""A limit of requests of one kind that run at once: in all, and of one caller."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

from anyio import CapacityLimiter, fail_after

from xraygpt_core.errors import TooMany

Key = TypeVar("Key")


class ConcurrencyLimit:
    """Slots for one kind of request.

    Args:
        most: slots in all. most_of_one: slots of one caller, so that others find one, too.
        wait_seconds: how long a request waits for a slot.
        refusal: the sentence for a caller that got none.
    """

    def __init__(self, most: int, most_of_one: int, wait_seconds: float, refusal: str) -> None:
        self._all = CapacityLimiter(most)
        self._most_of_one = most_of_one
        self._wait_seconds = wait_seconds
        self._refusal = refusal
        self._of: dict[object, CapacityLimiter] = {}

    @asynccontextmanager
    async def slot(self, caller: object) -> AsyncIterator[None]:
        """Wait for a slot, and hold it for the block.

        Raises:
            TooMany: none became free in time.
        """
        async with AsyncExitStack() as held:
            try:
                with fail_after(self._wait_seconds):
                    await held.enter_async_context(own_slot(self._of, caller, self._most_of_one))
                    await held.enter_async_context(_slot(self._all))
            except TimeoutError:
                raise TooMany(self._refusal, max(1.0, self._wait_seconds)) from None
            yield


@asynccontextmanager
async def own_slot(limiters: dict[Key, CapacityLimiter], caller: Key, most: int) -> AsyncIterator[None]:
    """Hold one of the caller's own slots for the block; its limiter is forgotten when nothing needs it."""
    own = limiters.setdefault(caller, CapacityLimiter(most))
    try:
        async with _slot(own):
            yield
    finally:
        if not own.borrowed_tokens and not own.statistics().tasks_waiting:
            limiters.pop(caller, None)


@asynccontextmanager
async def _slot(slots: CapacityLimiter) -> AsyncIterator[None]:
    """Hold one of the slots for the block."""
    me = object()  # not the task: another task than the one that took the question may send the answer
    await slots.acquire_on_behalf_of(me)
    try:
        yield
    finally:
        slots.release_on_behalf_of(me)

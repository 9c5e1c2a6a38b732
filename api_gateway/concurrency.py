"""Places for what may only be done so often at once, in all and by one caller."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from anyio import CapacityLimiter, fail_after

from xraygpt_core.errors import TooMany


class ConcurrencyLimit:
    """Places for one kind of request.

    Args:
        most: in all. most_of_one: of one key, so that others find a place as well.
        wait_seconds: how long somebody waits for one.
        said: what who got none is told.
    """

    def __init__(self, most: int, most_of_one: int, wait_seconds: float, said: str) -> None:
        self._all = CapacityLimiter(most)
        self._most_of_one = most_of_one
        self._wait_seconds = wait_seconds
        self._said = said
        self._of: dict[object, CapacityLimiter] = {}

    @asynccontextmanager
    async def slot(self, who: object) -> AsyncIterator[None]:
        """Wait for a place, and have it for as long as the block.

        Raises:
            TooMany: none became free in time.
        """
        own = self._of.setdefault(who, CapacityLimiter(self._most_of_one))
        try:
            async with AsyncExitStack() as held:
                try:
                    with fail_after(self._wait_seconds):
                        for places in (own, self._all):
                            await held.enter_async_context(place(places))
                except TimeoutError:
                    raise TooMany(self._said, max(1.0, self._wait_seconds)) from None
                yield
        finally:
            if not own.borrowed_tokens and not own.statistics().tasks_waiting:
                self._of.pop(who, None)


@asynccontextmanager
async def place(places: CapacityLimiter) -> AsyncIterator[None]:
    """One of the places, for as long as the block."""
    me = object()  # not the task: an answer may be sent by another one than the question came to
    await places.acquire_on_behalf_of(me)
    try:
        yield
    finally:
        places.release_on_behalf_of(me)

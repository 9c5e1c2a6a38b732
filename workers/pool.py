"""Celery's threads pool, which fetches the next message the moment a thread is free.

Without prefetching (so that a lane can overtake another) the consumer asks the broker only while a thread is idle.
Its event loop sleeps up to a second and is not told when a thread becomes free: short jobs would wait for its next
round.
"""

from concurrent.futures import Future
from typing import Any

from celery.concurrency.thread import TaskPool


class WakingPool(TaskPool):
    """A threads pool that wakes the event loop when a task has ended and its message is acknowledged."""

    _hub: Any = None

    def register_with_event_loop(self, hub: Any) -> None:
        """Remember the loop to wake; called by the worker each time it (re)connects."""
        self._hub = hub

    def on_apply(self, *args: Any, **kwargs: Any) -> Any:
        """Run a task in a thread."""
        result = super().on_apply(*args, **kwargs)
        result.f.add_done_callback(self._wake)
        return result

    def _wake(self, _done: "Future[Any]") -> None:
        if self._hub is not None:
            self._hub.call_soon(_nothing)


def _nothing() -> None:
    """Being called is enough: the loop goes round."""

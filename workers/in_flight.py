"""A request while it is in the engine: between the thread that waits for it and the engine's own."""

import time
from collections.abc import Callable
from contextlib import suppress

from workers.executor import HandedBack
from workers.heartbeat import JobProgress
from xraygpt_core.errors import Unavailable


class EngineActivity:
    """When the engine last came on with any request (``time.monotonic``)."""

    def __init__(self) -> None:
        self.last = time.monotonic()


class InFlight:
    """One request. ``moved``, ``write`` and ``is_pointless`` are called by the engine's thread.

    Args:
        show: takes the text while it is written; None: the text is not shown.
    """

    def __init__(
        self, activity: EngineActivity, progress: JobProgress, show: Callable[[str], None] | None = None
    ) -> None:
        self.progress = progress
        self._activity = activity
        self._show = show
        self._text = self._shown = ""
        self._begun = self._abandoned = False
        self._seen = 0.0

    @property
    def shows(self) -> bool:
        """Is the text shown while it is written?"""
        return self._show is not None

    def moved(self) -> None:
        """The engine works on this request, and so it lives: those that wait for a place in a batch do not stall."""
        self._begun = True
        self._activity.last = time.monotonic()

    def write(self, text: str) -> None:
        """The text so far."""
        self._text = text

    def is_pointless(self) -> bool:
        """Its thread waits no more, or its job is lost: the engine may drop it."""
        return self._abandoned or self.progress.lost.is_set()

    def leave(self) -> None:
        """Its thread waits no more, for whatever reason."""
        self._abandoned = True

    def wait_on(self, draining: bool) -> None:
        """Called by the waiting thread now and then: show what is new, and find out whether to go on.

        Raises:
            LeaseLost, HandedBack.
        """
        if draining and not self._begun:
            raise HandedBack("the worker is stopping")
        if self.progress.lost.is_set():
            self.progress.check()
        if self._seen != self._activity.last:
            self._seen = self._activity.last
            self.progress.report()
        if self._show is not None and (text := self._text) != self._shown:
            with suppress(Unavailable):  # it is only shown: the next look tries again
                self._show(text)
                self._shown = text

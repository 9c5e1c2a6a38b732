"""Which requests may be at a model server at a time: many, or one suspect alone.

A request that kills the server takes those beside it along. If the server stays away for longer than our patience, all
of them are handed back without using up an attempt, and they come back at once. So a request that the server broke
down on twice is a suspect. It is asked for alone, and only when the server has just answered something known to be
good: if the server breaks down then, it is the suspect's fault, and an answer clears the suspect.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

_SUSPECT_AFTER = 2  # breakdowns; a server that is restarted once makes no request a suspect


class Quarantine:
    """Remembers the suspects of this process, and keeps other requests away from them. Safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._breakdowns: Counter[int] = Counter()  # by request: how often the server broke down on it and stayed away
        self._present = self._suspects = 0

    @property
    def present(self) -> int:
        """How many requests are at the server now."""
        return self._present

    def is_suspect(self, key: int) -> bool:
        """Did the server break down on this request too often?"""
        return self._breakdowns[key] >= _SUSPECT_AFTER

    def broke_down(self, key: int) -> None:
        """The server broke down on it, and has not been well since."""
        with self._lock:
            self._breakdowns[key] += 1

    def clear(self, key: int) -> None:
        """It was answered: it is no suspect any more."""
        with self._lock:
            del self._breakdowns[key]

    @contextmanager
    def reserved(self, alone: bool) -> Iterator[None]:
        """As long as a request that must be alone waits or is there, no other goes to the server."""
        with self._lock:
            self._suspects += alone
        try:
            yield
        finally:
            with self._lock:
                self._suspects -= alone

    @contextmanager
    def admission(self, alone: bool) -> Iterator[bool]:
        """Whether the request may be at the server during the block."""
        with self._lock:
            admitted = not (self._present if alone else self._suspects)
            self._present += admitted
        try:
            yield admitted
        finally:
            with self._lock:
                self._present -= admitted

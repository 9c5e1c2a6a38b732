"""Who is with the vLLM server at a time: many requests, or one suspect alone.

A request that kills the server takes those beside it along. If the server stays away for longer than our patience, all
of them are handed back, for it is nobody's fault that a server is away, and they come back together. So a request that
the server broke down on twice is a suspect. It is asked for alone, and only when the server has just answered something
known to be good: if the server breaks down then it is the suspect's fault, and an answer clears the suspect.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from dataclasses import dataclass, field

from torch import Tensor

from xraygpt_core.model.engine.requests import Chest, Generated
from xraygpt_core.model.prompt import Prompt

_TWICE = 2  # a server that is started again once makes nobody a suspect


@dataclass(eq=False)
class ServerRequest:
    """One request on its way: its whole prompt as embeddings (tokens, hidden)."""

    request: int  # its hash, the same whenever it comes again
    alone: bool
    row: Tensor
    prompt: Prompt
    future: "Future[Generated]"
    on_progress: Callable[[], None] | None
    on_text: Callable[[str], None] | None
    cancelled: Callable[[], bool] | None
    chest: Chest | None = None
    submitted: float = field(default_factory=time.monotonic)

    def moved(self) -> None:
        """Say that it moves."""
        if self.on_progress is not None:
            self.on_progress()

    def check(self) -> None:
        """Raise CancelledError if nobody waits for it any more."""
        if self.cancelled is not None and self.cancelled():
            raise CancelledError


class Quarantine:
    """Remembers the suspects of this process, and keeps the others away from them. Safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._broken: Counter[int] = Counter()  # by request: how often the server broke down on it and stayed away
        self._there = self._suspects = 0

    def suspects(self, request: int) -> bool:
        """Is it a suspect?"""
        return self._broken[request] >= _TWICE

    def handed_back(self, request: int) -> None:
        """The server broke down on it, and has not been well since."""
        with self._lock:
            self._broken[request] += 1

    def answered(self, request: int) -> None:
        """It is no suspect any more."""
        with self._lock:
            del self._broken[request]

    @contextmanager
    def waiting(self, alone: bool) -> Iterator[None]:
        """As long as somebody who must be alone waits or is there, nobody else goes to the server."""
        with self._lock:
            self._suspects += alone
        try:
            yield
        finally:
            with self._lock:
                self._suspects -= alone

    @contextmanager
    def entering(self, alone: bool) -> Iterator[bool]:
        """Go to the server, if one may."""
        with self._lock:
            may = not (self._there if alone else self._suspects)
            self._there += may
        try:
            yield may
        finally:
            with self._lock:
                self._there -= may

"""Requests on their way to a model server: the most urgent first, again while it is away, a suspect alone.

Claims, commits, lanes and cancelling are the same as with our own engine. What kind of server it is, and what it is
sent, a subclass says.
"""

import itertools
import queue
import sys
import threading
import time
from abc import ABC, abstractmethod
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import httpx

from xraygpt_core.errors import Unavailable
from xraygpt_core.model.backend import (
    REQUEST_ERRORS,
    Generated,
    GenerationRequest,
    RequestFailed,
    ServerBusy,
    pending_future,
)
from xraygpt_core.model.remote.address import ServerAddress, client
from xraygpt_core.model.remote.health import IN_THE_MIDDLE, RequestFailures, ServerFailed, ServerHealth
from xraygpt_core.model.remote.quarantine import Quarantine
from xraygpt_core.model.remote.stream import waiting

PATIENCE_SECONDS = 30.0  # a server's silence after which its studies are handed back
_PAUSE_SECONDS = 0.5  # between two tries of a server that is away or full


@dataclass(eq=False, kw_only=True)
class RemoteRequest:
    """A request on its way to a server.

    Attributes:
        key: the same whenever the same request comes again.
        alone: no other request is at the server meanwhile.
    """

    request: GenerationRequest
    future: "Future[Generated]"
    key: int
    alone: bool
    submitted: float = field(default_factory=time.monotonic)

    def check_cancelled(self) -> None:
        """Raise CancelledError if its caller waits no more."""
        if self.request.cancelled():
            raise CancelledError


R = TypeVar("R", bound=RemoteRequest)


class RemoteEngine(ABC, Generic[R]):
    """A backend whose texts a server writes.

    Args:
        kind: what the server is called in errors and in the log.
        batch_size: requests at the server at once.
        patience: seconds after which a request without an answer is handed back.
    """

    def __init__(self, kind: str, server: ServerAddress, *, batch_size: int, patience: float) -> None:
        self._kind, self._patience, self._batch_size = kind, patience, batch_size
        self._client = client(server, batch_size, patience)
        self._health, self._quarantine = ServerHealth(kind), Quarantine()
        self._queue: queue.PriorityQueue[tuple[int, int, R]] = queue.PriorityQueue()
        self._orders = itertools.count()
        self._queueing, self._closed = threading.Lock(), threading.Event()
        self._pool = ThreadPoolExecutor(batch_size, "server")  # each task takes the most urgent request

    def submit(self, request: GenerationRequest) -> "Future[Generated]":
        """See :meth:`Backend.submit`."""
        future = pending_future()
        try:
            accepted = self._accept(request, future)
        except REQUEST_ERRORS as error:
            future.set_exception(error)
            return future
        with self._queueing:
            if self._closed.is_set():
                future.set_exception(Unavailable("the engine is closed"))
            else:
                self._queue.put((request.rank, next(self._orders), accepted))
                self._pool.submit(self._serve)
        return future

    def close(self) -> None:
        """See :meth:`Backend.close`."""
        with self._queueing:  # what is in the queue now is served or failed; nothing enters it afterwards
            self._closed.set()
        while (left := self._next()) is not None:
            left.future.set_exception(Unavailable("the engine is closed"))
        self._pool.shutdown()
        self._client.close()

    @abstractmethod
    def _accept(self, request: GenerationRequest, future: "Future[Generated]") -> R:
        """Make ready what the server is sent, in the caller's thread."""

    @abstractmethod
    def _has_room(self) -> bool:
        """Whether the server takes a request at once: its own queue knows no lanes."""

    @abstractmethod
    def _prove_well(self, accepted: R, /) -> None:
        """Let the server answer something that is known to be good."""

    @abstractmethod
    def _generate(self, accepted: R) -> Generated:
        """Let the server answer this request.

        Raises:
            ServerFailed, httpx.HTTPError: it does not, and another try may be worth it.
            RequestFailed, ConfigurationError: it would not the next time.
            CancelledError: nobody waits for the answer any more.
        """

    def _queue_has_room(self, metrics: bytes) -> bool:
        """Whether fewer requests wait inside the server, by its /metrics, than we may have there."""
        room = waiting(metrics.decode(errors="replace")) < self._batch_size
        if not room:
            self._health.full()
        return room

    def _next(self) -> R | None:
        """The most urgent request; None if closing took it."""
        try:
            return self._queue.get_nowait()[2]
        except queue.Empty:
            return None

    def _serve(self) -> None:
        if (accepted := self._next()) is None:
            return
        try:
            with self._quarantine.reserved(accepted.alone):
                made = self._answer(accepted)
            self._quarantine.clear(accepted.key)
            accepted.future.set_result(made)
        finally:  # whatever the error is, the caller gets it, and the pool's thread goes on
            if (error := sys.exception()) is not None:
                accepted.future.set_exception(error)

    def _answer(self, accepted: R) -> Generated:
        """Ask until the server answers, or patience ends.

        Patience is counted from when the request came: a request that queued behind an absent server has waited for it
        as well. If the server asked for more time than that, its study comes back no earlier.
        """
        give_up, failures = accepted.submitted + self._patience, RequestFailures(self._health)
        while True:
            accepted.check_cancelled()
            now, trouble = time.monotonic(), self._health.trouble
            wanted = self._health.not_before
            if trouble is not None and (now > give_up or self._closed.is_set()):
                if failures.suspected:
                    self._quarantine.broke_down(accepted.key)
                raise ServerBusy(f"{self._kind} {trouble}", wait=max(wanted - now, 0.0))
            try:
                with self._quarantine.admission(accepted.alone) as admitted:
                    if admitted and now >= wanted and self._has_room():
                        return self._try(accepted)
            except (httpx.HTTPError, ServerFailed) as error:
                self._health.failed(error)
                failures.add(error)
            if self._closed.wait(_PAUSE_SECONDS) and not admitted:
                raise ServerBusy("the engine is closed")

    def _try(self, accepted: R) -> Generated:
        """Ask once. A request that is alone has failed if the server breaks down on it right after a good answer."""
        if accepted.alone:
            self._prove_well(accepted)
            self._health.answered()
        try:
            made = self._generate(accepted)
        except IN_THE_MIDDLE as error:
            if not accepted.alone:
                raise
            self._health.failed(error)
            raise RequestFailed(
                f"{self._kind} fails on this request while it is alone, and was well just before"
            ) from error
        self._health.answered()
        return made

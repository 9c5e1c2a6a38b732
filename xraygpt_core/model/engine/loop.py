"""The thread that owns the device: admit requests, one token for every row, read the results, over and over."""

import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable

from xraygpt_core.errors import InvalidRequest, Unavailable
from xraygpt_core.metrics import ENGINE_BUSY_SECONDS, ENGINE_KV_TOKENS, ENGINE_REQUESTS
from xraygpt_core.model.backend import REQUEST_ERRORS, DeviceLost, Generated
from xraygpt_core.model.engine.results import Results
from xraygpt_core.model.engine.rows import EngineRequest, EngineTicket, Launch
from xraygpt_core.model.engine.runner import Runner
from xraygpt_core.model.engine.scheduler import Scheduler, State, piece
from xraygpt_core.model.engine.steps import DeviceSteps
from xraygpt_core.model.engine.text import Endings
from xraygpt_core.model.faults import describe, device_is_gone

log = logging.getLogger(__name__)


class Loop:
    """Serves tickets until it is closed.

    Args:
        answer: makes the answer of a finished row, with how many shared its last step.
        prompt_tokens: what is read of prompts between two steps is no longer than this, so that running rows do not
            wait long.
        images: encoded between two steps; one request's always.
        lookahead: steps the device may be ahead of the host. 1 keeps a GPU busy while the host reads the last step.
    """

    def __init__(
        self,
        runner: Runner,
        endings: Endings,
        answer: Callable[[EngineRequest, int], Generated],
        *,
        prompt_tokens: int,
        lookahead: int,
        images: int | None = None,
    ) -> None:
        self._prompt_tokens, self._images, self._lookahead = prompt_tokens, images, lookahead
        self._scheduler: Scheduler[EngineRequest] = Scheduler(runner.classes)
        self._changed = threading.Condition()
        self._results = Results(self._scheduler, self._changed, runner, endings, answer)
        self._steps = DeviceSteps(self._scheduler, self._changed, runner, self._results, prompt_tokens)
        self._closed = False
        self._unread: deque[list[Launch]] = deque()  # steps whose results the host has not read yet
        self._ended = threading.Event()

    def add(self, ticket: EngineTicket) -> None:
        """Queue a request, or fail its future."""
        with self._changed:
            if self._closed:
                ticket.payload.future.set_exception(Unavailable("the engine is closed"))
                return
            try:
                self._scheduler.add(ticket)
            except InvalidRequest as error:
                ticket.payload.future.set_exception(error)
            self._changed.notify_all()

    def close(self) -> None:
        """Finish what runs, fail what waits, end :meth:`serve`."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._ended.wait()

    def serve(self) -> None:
        """Serve until it is closed, in the thread that made the runner: see :mod:`engine`."""
        lost: DeviceLost | None = None
        try:
            while self._wait_for_work():
                self._step()
        except REQUEST_ERRORS as error:  # CUDA reports a fault at any later call, mostly where a result is read
            if not device_is_gone(error):
                raise
            lost = error if isinstance(error, DeviceLost) else DeviceLost(describe(error))
            log.critical("the device is lost", extra={"error": str(lost)})
        finally:  # closed, or an unforeseen error: no caller may wait for ever
            if (unforeseen := sys.exception()) is not None:  # a request on the device may be the cause
                lost = DeviceLost(describe(unforeseen))
            self._fail_all(lost)

    def _wait_for_work(self) -> bool:
        """False: closed, and everything that ran is answered."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or self._unread or self._scheduler.running or self._scheduler.waiting
            )
            return bool(self._unread or self._scheduler.running or not self._closed)

    def _step(self) -> None:
        """Whatever may enters; then one more token for every row; then the host reads what the device has chosen."""
        started = time.monotonic()
        self._results.drop_cancelled()
        launches = self._steps.prefill(self._admit())
        launches += self._steps.read_on()
        self._steps.compact()
        launches += self._steps.decode()
        self._read(launches)
        self._measure()
        ENGINE_BUSY_SECONDS.inc(time.monotonic() - started)

    def _admit(self) -> list[EngineTicket]:
        reading = sum(piece(ticket.prompt_tokens, self._prompt_tokens) for ticket in self._steps.reading)
        with self._changed:
            return [] if self._closed else self._scheduler.admit(self._prompt_tokens, self._images, reading)

    def _read(self, launches: list[Launch]) -> None:
        """Read all steps but the last ``lookahead``; all of them when nothing new was launched."""
        if launches:
            self._unread.append(launches)
        while len(self._unread) > (self._lookahead if launches else 0):
            for launch in self._unread.popleft():
                self._results.read(launch)

    def _fail_all(self, lost: DeviceLost | None) -> None:
        """Fail what is left: what runs with the device's fault, if there was one, and what waits as unserved."""
        with self._changed:
            self._closed = True
            left = [*self._scheduler.running, *self._scheduler.waiting]
        for ticket in left:
            fault = lost if ticket.state is State.RUNNING else None
            ticket.payload.future.set_exception(fault or Unavailable("the engine is closed"))
        self._ended.set()

    def _measure(self) -> None:
        with self._changed:
            running, waiting = self._scheduler.running, self._scheduler.waiting
        ENGINE_REQUESTS.labels("running").set(len(running))
        ENGINE_REQUESTS.labels("waiting").set(len(waiting))
        ENGINE_KV_TOKENS.labels("used").set(sum(ticket.payload.length + 1 for ticket in running))

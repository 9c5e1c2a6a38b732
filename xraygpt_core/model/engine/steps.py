"""Prompts and steps on the device, repeated on smaller parts where they fail, so that a bad request fails alone."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from xraygpt_core.metrics import ENGINE_DECODE_SECONDS, ENGINE_IDEAL_SECONDS, ENGINE_PREFILL_SECONDS
from xraygpt_core.model.backend import REQUEST_ERRORS, DeviceLost
from xraygpt_core.model.engine.results import Results
from xraygpt_core.model.engine.rows import EngineRequest, EngineTicket, Launch
from xraygpt_core.model.engine.runner import Runner
from xraygpt_core.model.engine.scheduler import Scheduler, State
from xraygpt_core.model.faults import describe, device_is_gone, out_of_memory, request_error

log = logging.getLogger(__name__)


class DeviceSteps:
    """Gives the device work for the rows of a scheduler.

    Args:
        lock: guards the scheduler, which other threads add to.
        prompt_tokens: a longer prompt is read in pieces.
    """

    def __init__(
        self,
        scheduler: Scheduler[EngineRequest],
        lock: threading.Condition,
        runner: Runner,
        results: Results,
        prompt_tokens: int,
    ) -> None:
        self._scheduler, self._lock, self._runner, self._results = scheduler, lock, runner, results
        self._prompt_tokens = prompt_tokens

    @property
    def reading(self) -> list[EngineTicket]:
        """The rows whose prompts are read in part, the oldest first."""
        with self._lock:
            running = self._scheduler.running
        return sorted((one for one in running if one.payload.run.unread is not None), key=lambda one: one.order)

    def prefill(self, tickets: Sequence[EngineTicket]) -> list[Launch]:
        """Read the prompts of rows that have just entered."""
        started = time.monotonic()
        for ticket in tickets:
            self._results.call_hook(ticket, ticket.payload.request.on_progress)
        left = [ticket for ticket in tickets if ticket.state is State.RUNNING]
        if not left:
            return []
        try:
            launches = self._runner.enter(left, self._prompt_tokens)
        except REQUEST_ERRORS as error:
            if self._was_for_memory(error):
                self._put_back(left)
                return []
            return self._bisect(left, error, lambda half, _offset: self.prefill(half))
        ENGINE_PREFILL_SECONDS.inc(time.monotonic() - started)
        ENGINE_IDEAL_SECONDS.inc(self._runner.ideal_prefill(left))
        return launches

    def read_on(self) -> list[Launch]:
        """One more piece of each prompt that is too long to be read at once."""
        launches: list[Launch] = []
        for ticket in self.reading:
            self._results.call_hook(ticket, ticket.payload.request.on_progress)
            if ticket.state is not State.RUNNING:
                continue
            started = time.monotonic()
            try:
                launches += self._runner.read_on(ticket, self._prompt_tokens)
            except REQUEST_ERRORS as error:
                if self._was_for_memory(error):
                    self._put_back([ticket])
                else:
                    self._bisect([ticket], error, lambda _half, _offset: [])
            ENGINE_PREFILL_SECONDS.inc(time.monotonic() - started)
        return launches

    def compact(self) -> None:
        """Close the holes between rows in use."""
        with self._lock:
            moves = list(self._scheduler.compact())
        for move in moves:
            self._runner.move(move, self._scheduler.at(move.kind, move.target))

    def decode(self) -> list[Launch]:
        """One more token for every row."""
        groups: list[tuple[int, list[EngineTicket]]] = []
        for kind in range(len(self._runner.caches)):
            rows = [ticket for ticket in self._scheduler.on(kind) if ticket is not None]
            if any(ticket.payload.writes for ticket in rows):
                groups.append((kind, rows))
        if len(groups) > 1 and self._runner.together:
            return self._decode_together(groups)
        return [launch for kind, rows in groups for launch in self._decode(kind, rows[0].slot, rows)]

    def _decode_together(self, groups: Sequence[tuple[int, list[EngineTicket]]]) -> list[Launch]:
        """A token for rows of several lengths in one step; where that fails, a length takes a step of its own."""
        started, launches = time.monotonic(), list[Launch]()
        try:
            for (kind, rows), logits in zip(groups, self._runner.step_together(groups), strict=True):
                launches.append(self._runner.launch(kind, rows[0].slot, rows, logits))
        except REQUEST_ERRORS as error:
            if device_is_gone(error):
                raise
        done = [row for _, rows in groups[: len(launches)] for row in rows]
        ENGINE_DECODE_SECONDS.inc(time.monotonic() - started)
        ENGINE_IDEAL_SECONDS.inc(self._runner.ideal_step(done) if done else 0)
        for kind, rows in groups[len(launches) :]:
            self._runner.rewind(kind, rows[0].slot, rows)
            launches += self._decode(kind, rows[0].slot, rows)
        rows_in_all = sum(len(one.rows) for one in launches)
        return [replace(one, others=rows_in_all - len(one.rows)) for one in launches]

    def _decode(self, kind: int, first: int, tickets: Sequence[EngineTicket], *, part: bool = False) -> list[Launch]:
        """A token for each of these rows, which lie side by side; ``part``: they are not all there are."""
        if not any(ticket.payload.writes for ticket in tickets):
            return []
        started = time.monotonic()
        try:
            launch = self._runner.step(kind, first, tickets, part=part)
        except REQUEST_ERRORS as error:
            memory = self._was_for_memory(error)
            self._runner.rewind(kind, first, tickets)
            if memory:
                self._put_back(tickets[len(tickets) // 2 :])
                return []
            return self._bisect(
                tickets, error, lambda half, offset: self._decode(kind, first + offset, half, part=True)
            )
        ENGINE_DECODE_SECONDS.inc(time.monotonic() - started)
        ENGINE_IDEAL_SECONDS.inc(self._runner.ideal_step(tickets))
        return [launch]

    def _was_for_memory(self, error: Exception) -> bool:
        """Did it fail because too many rows run at once? Raises the error if the device is gone."""
        if device_is_gone(error):
            raise error
        return out_of_memory(error) and len(self._scheduler.running) > 1

    def _bisect(
        self,
        tickets: Sequence[EngineTicket],
        error: Exception,
        repeat: Callable[[Sequence[EngineTicket], int], list[Launch]],
    ) -> list[Launch]:
        """Repeat both halves, each with its offset; a single row that raises is the bad one."""
        if len(tickets) > 1:
            middle = len(tickets) // 2
            return repeat(tickets[:middle], 0) + repeat(tickets[middle:], middle)
        self._results.fail(tickets[0], request_error(error))
        try:
            self._runner.probe()
        except REQUEST_ERRORS as worse:
            raise DeviceLost(describe(worse)) from worse
        return []

    def _put_back(self, tickets: Sequence[EngineTicket]) -> None:
        """Out of memory: these go back to the queue, and from now on half as many run at once."""
        with self._lock:
            limit = self._scheduler.halve()
            for ticket in tickets:
                self._runner.scrub(ticket)
                self._scheduler.put_back(ticket)
        log.warning("out of memory: admission is halved", extra={"count": limit})
        self._runner.free()

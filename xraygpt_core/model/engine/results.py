"""What became of a row: the next token, the end of its text, a cancelled caller, an error."""

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from functools import partial

from xraygpt_core.model.backend import REQUEST_ERRORS, Generated, RequestFailed
from xraygpt_core.model.engine.rows import EngineRequest, EngineTicket, Launch
from xraygpt_core.model.engine.runner import Runner
from xraygpt_core.model.engine.scheduler import Scheduler, State
from xraygpt_core.model.engine.text import Endings
from xraygpt_core.model.faults import request_error


class Results:
    """Reads the device's results and ends rows. ``lock`` guards the scheduler, which other threads add to."""

    def __init__(
        self,
        scheduler: Scheduler[EngineRequest],
        lock: threading.Condition,
        runner: Runner,
        endings: Endings,
        answer: Callable[[EngineRequest, int], Generated],
    ) -> None:
        self._scheduler, self._lock, self._runner = scheduler, lock, runner
        self._endings, self._answer = endings, answer

    def drop_cancelled(self) -> None:
        """End the requests whose callers wait no more."""
        with self._lock:
            tickets = [*self._scheduler.waiting, *self._scheduler.running]
        for ticket in tickets:
            if self.call_hook(ticket, ticket.payload.request.cancelled):
                self.fail(ticket, CancelledError())

    def read(self, launch: Launch) -> None:
        """Read what a step chose, and end the rows that are done."""
        for (ticket, run), chosen in zip(launch.rows, launch.read(), strict=True):
            if ticket.state is not State.RUNNING or ticket.payload.run is not run:
                continue  # ended or put back meanwhile
            if chosen < 0:
                self.fail(ticket, RequestFailed("the model's numbers are not finite"))
                continue
            if not run.ids and not self._passes_chest_check(ticket):
                continue
            run.ids.append(chosen)
            self.call_hook(ticket, partial(self._report, ticket))
            full = len(run.ids) >= ticket.payload.longest
            if ticket.state is State.RUNNING and (full or self._endings.reached(run.ids)):
                self._finish(ticket, len(launch.rows) + launch.others)

    def fail(self, ticket: EngineTicket, error: BaseException) -> None:
        """End a request by an error."""
        if ticket.state is State.RUNNING:
            self._runner.scrub(ticket)
        with self._lock:
            self._scheduler.leave(ticket)
        ticket.payload.future.set_exception(error)

    def call_hook(self, ticket: EngineTicket, hook: Callable[[], object]) -> bool:
        """Call a request's hook; an error of it ends this request and no other."""
        try:
            return bool(hook())
        except REQUEST_ERRORS as error:
            self.fail(ticket, error)
            return False

    def _passes_chest_check(self, ticket: EngineTicket) -> bool:
        """An image of no chest is refused before a word about it is shown."""
        self.call_hook(ticket, partial(ticket.payload.judge, self._runner.setting.chest))
        return ticket.state is State.RUNNING

    def _report(self, ticket: EngineTicket) -> None:
        """Report one more token to the caller, who may wait no more."""
        request = ticket.payload.request
        request.on_progress()
        if request.on_text is not None:
            request.on_text(self._endings.text(ticket.payload.run.ids))
        if request.cancelled():
            self.fail(ticket, CancelledError())

    def _finish(self, ticket: EngineTicket, batch_size: int) -> None:
        try:
            answer = self._answer(ticket.payload, batch_size)
        except REQUEST_ERRORS as error:
            self.fail(ticket, request_error(error))
            return
        run = ticket.payload.run
        if run.launched > len(run.ids):  # the numbers of a step that is never read may be not finite
            self._runner.scrub(ticket)
        with self._lock:
            self._scheduler.leave(ticket)
        ticket.payload.future.set_result(answer)

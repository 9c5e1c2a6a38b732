"""The thread that owns the device: let requests in, step all rows, look at what came out, over and over."""

import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from functools import partial

from xraygpt_core.errors import InvalidRequest, Unavailable, XrayGPTError
from xraygpt_core.metrics import (
    ENGINE_BUSY_SECONDS,
    ENGINE_DECODE_SECONDS,
    ENGINE_IDEAL_SECONDS,
    ENGINE_KV_TOKENS,
    ENGINE_PREFILL_SECONDS,
    ENGINE_REQUESTS,
)
from xraygpt_core.model.engine.items import (
    ITEM_ERRORS,
    DeviceLost,
    Item,
    Launch,
    Place,
    RequestFailed,
    device_is_gone,
    out_of_memory,
)
from xraygpt_core.model.engine.requests import Generated
from xraygpt_core.model.engine.runner import Runner
from xraygpt_core.model.engine.scheduler import Scheduler, State
from xraygpt_core.model.engine.text import Endings

log = logging.getLogger(__name__)


class Loop:
    """Serves tickets until it is closed.

    Args:
        answer: makes the answer of a finished row, with how many shared its last step.
        prompt_tokens: prompts read at once are no longer than this together, so that nobody's next token waits long.
        lookahead: steps the device may be ahead of the host. 1 keeps a GPU busy while the host looks at the last step.
    """

    def __init__(
        self,
        runner: Runner,
        endings: Endings,
        answer: Callable[[Item, int], Generated],
        *,
        prompt_tokens: int,
        lookahead: int,
    ) -> None:
        self._runner, self._endings, self._answer = runner, endings, answer
        self._prompt_tokens, self._lookahead = prompt_tokens, lookahead
        self._scheduler: Scheduler[Item] = Scheduler(runner.classes)
        self._changed = threading.Condition()
        self._closed = False
        self._turns: deque[list[Launch]] = deque()  # what the host has not looked at yet
        self._ended = threading.Event()

    def add(self, ticket: Place) -> None:
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
            while self._work():
                self._turn()
        except ITEM_ERRORS as error:  # CUDA tells of a fault at any later call, mostly where a result is read
            if not device_is_gone(error):
                raise
            lost = error if isinstance(error, DeviceLost) else DeviceLost(_told(error))
            log.critical("the device is lost", extra={"error": str(lost)})
        finally:  # closed, or an error nobody foresaw: no caller may wait for ever
            if (unforeseen := sys.exception()) is not None:  # one of those on the device may be the cause
                lost = DeviceLost(_told(unforeseen))
            with self._changed:
                self._closed = True
                left = [*self._scheduler.running, *self._scheduler.waiting]
            for ticket in left:
                gone = lost if ticket.state is State.RUNNING else None
                ticket.payload.future.set_exception(gone or Unavailable("the engine is closed"))
            self._ended.set()

    def _work(self) -> bool:
        """Wait for something to do. False: closed, and everything that ran is answered."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or self._turns or self._scheduler.running or self._scheduler.waiting
            )
            return bool(self._turns or self._scheduler.running or not self._closed)

    def _turn(self) -> None:
        """One step for everybody; whoever can enters first."""
        started = time.monotonic()
        self._drop_cancelled()
        with self._changed:
            entering = [] if self._closed else self._scheduler.admit(self._prompt_tokens)
        launches: list[Launch] = []
        if entering:
            self._enter(entering, launches)
        with self._changed:
            moves = list(self._scheduler.compact())
        for move in moves:
            self._runner.move(move, self._scheduler.at(move.kind, move.target))
        for kind in range(len(self._runner.classes)):
            self._step(kind, 0, [place for place in self._scheduler.on(kind) if place is not None], launches)
        if launches:
            self._turns.append(launches)
        while len(self._turns) > (self._lookahead if launches else 0):
            for launch in self._turns.popleft():
                self._look(launch)
        self._measure()
        ENGINE_BUSY_SECONDS.inc(time.monotonic() - started)

    def _drop_cancelled(self) -> None:
        with self._changed:
            everybody = [*self._scheduler.waiting, *self._scheduler.running]
        for ticket in everybody:
            if self._guarded(ticket, ticket.payload.cancel_asked):
                self._fail(ticket, CancelledError())

    def _enter(self, places: Sequence[Place], launches: list[Launch]) -> None:
        """Read prompts. If that fails, halves are tried alone, so that a bad request fails alone."""
        started = time.monotonic()
        for place in places:
            self._guarded(place, place.payload.progress)
        here = [place for place in places if place.state is State.RUNNING]
        if not here:
            return
        try:
            launches += self._runner.enter(here)
        except ITEM_ERRORS as error:
            if device_is_gone(error):
                raise
            if out_of_memory(error) and len(self._scheduler.running) > 1:
                self._make_room(here)
            else:
                self._halve(here, error, lambda half, _first: self._enter(half, launches))
            return
        ENGINE_PREFILL_SECONDS.inc(time.monotonic() - started)
        ENGINE_IDEAL_SECONDS.inc(self._runner.ideal_prefill(here))

    def _step(
        self, kind: int, first: int, places: Sequence[Place], launches: list[Launch], *, part: bool = False
    ) -> None:
        """A token for each of these rows, which lie side by side; ``part``: they are not all there are."""
        if not places:
            return
        started = time.monotonic()
        try:
            launches.append(self._runner.step(kind, first, places, part=part))
        except ITEM_ERRORS as error:
            if device_is_gone(error):
                raise
            self._runner.rewind(kind, first, places)
            if out_of_memory(error) and len(self._scheduler.running) > 1:
                self._make_room(places[len(places) // 2 :])
            else:
                self._halve(
                    places, error, lambda half, offset: self._step(kind, first + offset, half, launches, part=True)
                )
            return
        ENGINE_DECODE_SECONDS.inc(time.monotonic() - started)
        ENGINE_IDEAL_SECONDS.inc(self._runner.ideal_step(places))

    def _halve(self, places: Sequence[Place], error: Exception, again: Callable[[Sequence[Place], int], None]) -> None:
        """Try both halves; a single one that raises is the bad one."""
        if len(places) > 1:
            middle = len(places) // 2
            again(places[:middle], 0)
            again(places[middle:], middle)
            return
        self._fail(places[0], _blamed(error))
        try:
            self._runner.probe()
        except ITEM_ERRORS as worse:
            raise DeviceLost(_told(worse)) from worse

    def _make_room(self, places: Sequence[Place]) -> None:
        """Out of memory: these go back to the queue, and from now on half as many run at once."""
        with self._changed:
            limit = self._scheduler.halve()
            for place in places:
                self._runner.scrub(place)
                self._scheduler.put_back(place)
        log.warning("out of memory: admission is halved", extra={"count": limit})
        self._runner.free()

    def _look(self, launch: Launch) -> None:
        """See what a step chose, and end the rows that are done."""
        for (place, run), chosen in zip(launch.rows, launch.read(), strict=True):
            if place.state is not State.RUNNING or place.payload.run is not run:
                continue  # ended or put back meanwhile
            if chosen < 0:
                self._fail(place, RequestFailed("the model's numbers are not finite"))
                continue
            if not run.ids and not self._may_have_a_text(place):
                continue
            run.ids.append(chosen)
            self._guarded(place, lambda place=place: self._tell(place))  # type: ignore[misc]  # mypy infers no default
            full = len(run.ids) >= place.payload.longest
            if place.state is State.RUNNING and (full or self._endings.reached(run.ids)):
                self._finish(place, len(launch.rows))

    def _may_have_a_text(self, place: Place) -> bool:
        """What is no chest is refused before anybody has seen a word about it."""
        self._guarded(place, partial(place.payload.judge, self._runner.setting.chest))
        return place.state is State.RUNNING

    def _tell(self, place: Place) -> None:
        item = place.payload
        item.progress()
        if item.on_text is not None:
            item.on_text(self._endings.text(item.run.ids))
        if item.cancel_asked():
            self._fail(place, CancelledError())

    def _finish(self, place: Place, mates: int) -> None:
        try:
            answer = self._answer(place.payload, mates)
        except ITEM_ERRORS as error:
            self._fail(place, _blamed(error))
            return
        if place.payload.run.launched > len(place.payload.run.ids):  # a step nobody will look at may be not finite
            self._runner.scrub(place)
        with self._changed:
            self._scheduler.leave(place)
        place.payload.future.set_result(answer)

    def _fail(self, place: Place, error: BaseException) -> None:
        if place.state is State.RUNNING:
            self._runner.scrub(place)
        with self._changed:
            self._scheduler.leave(place)
        place.payload.future.set_exception(error)

    def _guarded(self, place: Place, hook: Callable[[], object]) -> bool:
        """Call a request's hook; an error of it ends this request and no other."""
        try:
            return bool(hook())
        except ITEM_ERRORS as error:
            self._fail(place, error)
            return False

    def _measure(self) -> None:
        with self._changed:
            running, waiting = self._scheduler.running, self._scheduler.waiting
        ENGINE_REQUESTS.labels("running").set(len(running))
        ENGINE_REQUESTS.labels("waiting").set(len(waiting))
        ENGINE_KV_TOKENS.labels("used").set(sum(place.payload.cached + place.payload.run.launched for place in running))


def _blamed(error: Exception) -> XrayGPTError:
    """What the caller of the request is told."""
    return error if isinstance(error, XrayGPTError) else RequestFailed(_told(error))


def _told(error: BaseException) -> str:
    """Kind of an error only: a library's message may hold anything."""
    return f"{type(error).__name__} in the model step"

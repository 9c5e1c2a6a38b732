"""Group commit: calls of many threads share one transaction.

While one call is in the database, later calls wait, and the next transaction does all of them. So a lone call does not
wait, and under load one statement does the work of many.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from sqlalchemy.exc import DBAPIError

from xraygpt_core.errors import Refused

T = TypeVar("T")
R = TypeVar("R")

MOST = 64


class _Call(Generic[T, R]):
    """One caller, its item and its answer."""

    def __init__(self, item: T) -> None:
        self.item = item
        self.turn = threading.Event()
        self.answers: list[R] = []
        self.leads = False


class GroupCommit(Generic[T, R]):
    """A function of one item, made of one that takes many.

    Args:
        many: answers some items, in their order, in one transaction. If the transaction fails, every caller tries
            again alone, so that a bad item fails by itself.
        most: items that share a transaction.
    """

    def __init__(self, many: Callable[[Sequence[T]], Sequence[R]], most: int = MOST) -> None:
        self._many = many
        self._most = most
        self._lock = threading.Lock()
        self._busy = False
        self._waiting: list[_Call[T, R]] = []

    def __call__(self, item: T) -> R:
        """The answer for this item; raises what ``many`` raises for it alone."""
        call = _Call[T, R](item)
        with self._lock:
            self._waiting.append(call)
            call.leads, self._busy = not self._busy, True
        if not call.leads:
            call.turn.wait()
        if call.leads:
            self._lead(call)
        return call.answers[0] if call.answers else self._many([item])[0]

    def _lead(self, call: _Call[T, R]) -> None:
        """Do the work of all calls that wait, then let the next one lead."""
        with self._lock:
            batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        try:
            if len(batch) > 1:
                for one, answer in zip(batch, self._many([one.item for one in batch]), strict=True):
                    one.answers.append(answer)
            else:
                call.answers.append(self._many([call.item])[0])
        except (DBAPIError, Refused):
            if len(batch) == 1:
                raise
        finally:
            self._hand_over()
            for one in batch:
                one.turn.set()

    def _hand_over(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting[0].leads = True
                self._waiting[0].turn.set()
            else:
                self._busy = False

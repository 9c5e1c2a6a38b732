"""A limit on what reading one file's header may cost, counted in elements: the same on every machine.

A file of half a megabyte can hold fifty thousand sequences within sequences, and one that is deflated can grow a
thousandfold. Films have some hundred elements; ``docs/dicom.md`` has the figures.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from xraygpt_core.errors import Rejected
from xraygpt_core.states import ReasonCode

MOST_STEPS = 250_000  # an element or item that is looked at, each time: two microseconds at most
PARSE_SECONDS = 2.0  # of CPU, for what no count foresees
_LOOK_EVERY = 1024  # steps between two looks at the clock


class HeaderBudget:
    """Steps that are left, and the CPU time (of this thread) at which parsing has to end."""

    def __init__(self, steps: int) -> None:
        self.left = steps
        self.deadline: float | None = None

    def spend(self, steps: int) -> None:
        before, self.left = self.left, self.left - steps
        if self.left < 0:
            raise Rejected(ReasonCode.TOO_LARGE, "the header has more elements than any film's")
        if self.deadline is None or before // _LOOK_EVERY == self.left // _LOOK_EVERY:
            return
        if time.thread_time() > self.deadline:
            raise Rejected(ReasonCode.TOO_LARGE, f"reading the header takes longer than {PARSE_SECONDS} s")


_open: ContextVar[HeaderBudget | None] = ContextVar("budget", default=None)


@contextmanager
def header_budget(steps: int = MOST_STEPS) -> Iterator[HeaderBudget]:
    """Count what is read of one file in here, from its first byte to the last value that is asked for."""
    budget = HeaderBudget(steps)
    before = _open.set(budget)
    try:
        yield budget
    finally:
        _open.reset(before)


@contextmanager
def parse_clock() -> Iterator[None]:
    """Hold CPU time against its limit, too, in here: not where pixels are decoded, which take their time."""
    if (budget := _open.get()) is None:
        yield
        return
    budget.deadline = time.thread_time() + PARSE_SECONDS
    try:
        yield
    finally:
        budget.deadline = None


def spend(steps: int = 1) -> None:
    """Count; nothing where no budget is open.

    Raises:
        Rejected: TOO_LARGE, the budget is used up.
    """
    if (budget := _open.get()) is not None:
        budget.spend(steps)

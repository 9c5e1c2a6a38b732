"""A process that dies before any of its writes: a commit to the ledger, or an object of the bucket."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.storage import ObjectStore


class Killed(BaseException):
    """No handler of the product catches it, as none catches SIGKILL."""


class Writes:
    """Counts the writes of this process, and dies before one of them.

    Args:
        fatal: the number of the write that is never made, from 1 on; None: all are made.
    """

    def __init__(self, fatal: int | None = None) -> None:
        self.count = 0
        self.fatal = fatal

    def _next(self) -> None:
        self.count += 1
        if self.count == self.fatal:
            raise Killed

    @contextmanager
    def watched(self, patch: pytest.MonkeyPatch) -> Iterator[None]:
        """While this lasts, writes are counted, and the fatal one raises :class:`Killed`."""
        with patch.context() as patched:
            whole = Ledger.work

            @contextmanager
            def work(ledger: Ledger) -> Iterator[Work]:
                with whole(ledger) as opened:
                    yield opened
                    self._next()  # just before the commit

            patched.setattr(Ledger, "work", work)
            for name in ("put", "put_file", "delete"):
                patched.setattr(ObjectStore, name, self._before(getattr(ObjectStore, name)))
            yield

    def _before(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*given: Any, **named: Any) -> Any:
            self._next()
            return write(*given, **named)

        return watched

    def survived(self, act: Callable[[], object], patch: pytest.MonkeyPatch) -> bool:
        """Whether ``act`` came to its end."""
        with suppress(Killed), self.watched(patch):
            act()
            return True
        return False

"""SIGTERM and Ctrl-C ask a curation to stop; nothing is lost by either."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from training_jobs.curation.run import say


@contextmanager
def stopping_on_signals() -> Iterator[threading.Event]:
    """An event that the first SIGTERM or Ctrl-C sets; the second ends the process as usual."""
    stop = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def ask(number: int, _frame: object) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)] or signal.SIG_DFL)
        say("stopping: what is being asked is waited for; once more ends it at once")

    for number in before:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)

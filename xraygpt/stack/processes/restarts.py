"""Keeps units running: one that ends is started again, after a pause that doubles while it keeps ending."""

import secrets
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from xraygpt.stack.processes.child import Child, StackError
from xraygpt.stack.processes.last_words import last_error, size
from xraygpt_core.exit_codes import START_AGAIN

CALM_SECONDS = 60.0  # a unit that ran this long starts again with the shortest pause
STEADY_SECONDS = 600.0  # of one that ran this long no former end is counted any more
SHORTEST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
SILENT_SECONDS = 30.0  # a unit that does not answer for so long is killed, to be started again
FIRST_SECONDS = 180.0  # the same for one that has just started


class Unit(Protocol):
    """What can be kept running: a service, or a child process."""

    @property
    def pid(self) -> int: ...
    @property
    def running(self) -> bool: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...


@dataclass
class Kept:
    """A unit, and the state of its restarts.

    Attributes:
        answered: gives the moment it answered last, by the monotonic clock; None: it is not asked.
        due: when it is started again; None while it runs.
        log_begin: where its log stood at its last start.
        ends: how often it ended, not counting before a long run; ``ended_at``: the last time.
        said: the error that it wrote before that.
    """

    unit: Unit
    answered: Callable[[], float] | None = None
    started: float = field(default_factory=lambda: time.monotonic())
    pause: float = 0.0
    due: float | None = None
    log_begin: int = 0
    ends: int = 0
    ended_at: datetime | None = None
    said: str | None = None


class Restarts:
    """Keeps units running, by name, in the order in which they were added.

    Args:
        patience: seconds a program of ours has to end before it is killed (:mod:`xraygpt_core.shutdown`).
    """

    def __init__(self, say: Callable[[str], None], patience: float) -> None:
        self._say = say
        self._patience = patience
        self._kept: dict[str, Kept] = {}

    def add(self, name: str, unit: Unit, answered: Callable[[], float] | None = None) -> None:
        """Keep a unit, started or about to be."""
        self._kept[name] = Kept(unit, answered)

    def ends(self) -> dict[str, dict[str, Any]]:
        """Of those that ended: how often (``count``), when last (``at``), and the error they wrote (``said``)."""
        return {
            name: {"count": kept.ends, "at": kept.ended_at.isoformat(timespec="seconds"), "said": kept.said}
            for name, kept in self._kept.items()
            if kept.ended_at is not None
        }

    def pids(self) -> dict[str, int]:
        """Process ids of those that run."""
        return {name: kept.unit.pid for name, kept in self._kept.items() if kept.unit.running}

    def tend(self) -> bool:
        """Start what has ended and whose pause is over; True if any process id changed."""
        now = time.monotonic()
        changed = False
        for name, kept in self._kept.items():
            if kept.unit.running:
                self._end_if_silent(name, kept, now)
                continue
            if kept.due is None:
                self._plan(name, kept, now)
                changed = True
            elif now >= kept.due:
                self._restart(kept)
                changed = True
        return changed

    def _end_if_silent(self, name: str, kept: Kept, now: float) -> None:
        """One that hangs does not end by itself, and may not even take SIGTERM."""
        if kept.answered is None or not isinstance(kept.unit, Child):
            return
        last = kept.answered()
        silent, most = (now - last, SILENT_SECONDS) if last > kept.started else (now - kept.started, FIRST_SECONDS)
        if silent > most:
            self._say(f"{name} has not answered for {silent:.0f} s; it is ended")
            kept.unit.send(signal.SIGKILL)
            kept.started = now  # logged once, however long the kernel takes

    def _plan(self, name: str, kept: Kept, now: float) -> None:
        code = kept.unit.exit_code if isinstance(kept.unit, Child) else None
        if now - kept.started > CALM_SECONDS:
            kept.pause = 0.0
        kept.pause = 0.0 if code == START_AGAIN else min(LONGEST_PAUSE, max(SHORTEST_PAUSE, kept.pause * 2))
        kept.due = now + kept.pause * (0.5 + secrets.randbelow(1000) / 1000)
        if code != START_AGAIN:
            self._count(kept, now)
        why = "" if kept.said is None or code == START_AGAIN else f" ({kept.said})"
        self._say(f"{name} ended{'' if code is None else f' with exit code {code}'}{why}; it starts again")

    def _count(self, kept: Kept, now: float) -> None:
        kept.ends = 1 if now - kept.started > STEADY_SECONDS else kept.ends + 1
        kept.ended_at = datetime.now(UTC)
        kept.said = last_error(kept.unit.log, kept.log_begin) if isinstance(kept.unit, Child) else None

    def _restart(self, kept: Kept) -> None:
        kept.due = None
        kept.started = time.monotonic()
        if isinstance(kept.unit, Child):
            kept.log_begin = size(kept.unit.log)
        try:
            kept.unit.start()
        except StackError as error:
            self._say(str(error))

    def stop(self) -> None:
        """Our own processes first, all at once, so that each can drain; then, last first, the services they need."""
        programs = [kept.unit for kept in self._kept.values() if isinstance(kept.unit, Child)]
        for program in programs:
            program.send(signal.SIGTERM)
        deadline = time.monotonic() + self._patience
        for program in programs:
            program.wait(max(0.0, deadline - time.monotonic()))
            program.stop(signal.SIGKILL)  # asked a second time, one that is just leaving would break off
        for kept in reversed(self._kept.values()):
            if not isinstance(kept.unit, Child):
                kept.unit.stop()

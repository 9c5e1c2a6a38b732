"""The line that is shown while films are waited for: how many ended, what the others wait for, and how long still."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from rich.cells import cell_len
from rich.console import Console
from rich.live import Live
from rich.text import Text

from xraygpt import show
from xraygpt.durations import whole_seconds
from xraygpt.film_lines import short_names
from xraygpt.submit import ResultRow
from xraygpt.terminal import cut, cut_middle, one_line, spoken, width
from xraygpt_core.states import JobKind, JobState, StudyState

LINE_SECONDS = 10.0  # between two lines where no person watches them change
LONG_SECONDS = 20.0  # a film in one worker's hands for so long is named
NAMED, NAME_CELLS = 2, 24
GAP = " · "

_RUNNING = {
    JobKind.INGEST: "being read",
    JobKind.SETTLE: "being put together",
    JobKind.SUMMARISE: "being written about",
}
_QUEUED = {
    JobKind.INGEST: "{n} wait{s} for an ingest worker",
    JobKind.SETTLE: "{n} wait{s} to be put together",
    JobKind.SUMMARISE: "{n} wait{s} for the GPU worker",
}
_WORKERS = {JobKind.INGEST: "ingest", JobKind.SETTLE: "ingest", JobKind.SUMMARISE: "GPU"}
_BLOCKED = {
    "no_worker": ", and no {worker} worker is running: see `xraygpt status`",
    "starting": ", and the {worker} worker is starting",
    "other_bundle": ", and no {worker} worker that runs serves the current bundle: its log says why",
}
_NO_WORK = (StudyState.REJECTED, StudyState.CANCELLED)
MOST_AHEAD = 1000  # the gateway counts no more


class Pace:
    """How long the rest takes at the speed since the wait began, or since anything moved again.

    What was turned away or cancelled took hardly any time: it is no part of the speed.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first: tuple[float, int] | None = None

    def left(self, rows: Sequence[ResultRow]) -> float | None:
        """Seconds until all have ended; None until one was worked on since the first look, and while none can move."""
        now = self._clock()
        still = [row for row in rows if not row.ended]
        done = sum(row.ended and row.state not in _NO_WORK for row in rows)
        if still and all(row.waits and row.waits["blocked"] for row in still):
            self._first = None
            return None
        if self._first is None:
            self._first = (now, done)
        began, first = self._first
        return (now - began) / (done - first) * len(still) if done > first and now > began else None


def wait_line(rows: Sequence[ResultRow], left: float | None = None, cells: int | None = None) -> str:
    """``12 of 23 done · 3 being read · 8 wait for the GPU worker (since 14 s) · about 40 s left``.

    What stands last is left out first where the line would be wider than so many cells.
    """
    still = [row for row in rows if not row.ended]
    parts = [f"{len(rows) - len(still)} of {len(rows)} done", *reasons([row.waits for row in still])]
    if left is not None and still:
        parts.append(f"about {whole_seconds(left)} left")
    if slow := _slow(rows):
        parts.append(f"longest: {slow}")
    while cells is not None and len(parts) > 1 and cell_len(GAP.join(parts)) > cells:
        parts.pop()
    line = GAP.join(parts)
    return line if cells is None else cut(line, cells)


def reasons(open_: Sequence[Mapping[str, Any] | None]) -> list[str]:
    """What open images wait for, in the order of a film's path; what a worker holds goes before what is in a queue.

    Args:
        open_: ``waits`` of each image, as ``POST /v1/images/status`` has it.
    """
    of_kind: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for waits in open_:
        if waits:
            of_kind.setdefault((waits["kind"], _how(waits)), []).append(waits)
    silent = sum(waits is None for waits in open_)
    found = [
        _reason(kind, how, of_kind[kind, how])
        for kind in (JobKind.INGEST, JobKind.SETTLE, JobKind.SUMMARISE)
        for how in ("running", "later", "queued", "paused")
        if (kind, how) in of_kind
    ]
    return [*found, f"{silent} on the way"] if silent else found


def _how(waits: Mapping[str, Any]) -> str:
    if waits["state"] == JobState.RUNNING:
        return "running"
    if waits["blocked"] == "paused":
        return "paused"
    return "later" if waits["later_seconds"] else "queued"


def _reason(kind: JobKind, how: str, waits: Sequence[Mapping[str, Any]]) -> str:
    count, plural = len(waits), "s" if len(waits) == 1 else ""
    if how == "running":
        return f"{count} {_RUNNING[kind]}"
    if how == "later":
        soon = whole_seconds(min(one["later_seconds"] for one in waits))
        if kind == JobKind.SETTLE and not max(one["attempts"] for one in waits):
            return f"{count} wait{plural} for the rest of the study ({soon})"
        return f"{count} failed and {'is' if plural else 'are'} tried again in {soon}"
    if how == "paused":
        return f"{count} paused with {'its' if plural else 'their'} backlog"
    since = max(one["since_seconds"] for one in waits)
    before = min((one["ahead"] for one in waits if one["ahead"] is not None), default=0)
    queue = f", {before}{' or more' if before >= MOST_AHEAD else ''} before {'it' if plural else 'them'}"
    words = _BLOCKED.get(waits[0]["blocked"], "").format(worker=_WORKERS[kind])
    return f"{_QUEUED[kind].format(n=count, s=plural)} (since {whole_seconds(since)}{queue if before else ''}){words}"


def _slow(rows: Sequence[ResultRow]) -> str:
    """The films that a worker has held for long, longest first."""
    names = dict(zip((id(row) for row in rows), short_names([row.source for row in rows]), strict=True))
    held = [(row.waits["since_seconds"], row) for row in rows if row.waits and _how(row.waits) == "running"]
    slow = sorted(((since, row) for since, row in held if since > LONG_SECONDS), key=lambda one: -one[0])
    shown = [f"{cut_middle(one_line(names[id(row)]), NAME_CELLS)} {whole_seconds(since)}" for since, row in slow]
    return ", ".join(shown[:NAMED])


class WaitLine:
    """The line on stderr: on a terminal one that changes, otherwise one now and then."""

    def __init__(self) -> None:
        self._pace = Pace()
        self._live: Live | None = None
        self._next = time.monotonic() + LINE_SECONDS

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def update(self, rows: Sequence[ResultRow]) -> None:
        """Show how they stand now."""
        done = sum(row.ended for row in rows)
        left = self._pace.left(rows)
        if self._live:
            cells = (width(sys.stderr) or 80) - 1
            line = spoken(wait_line(rows, left, cells), sys.stderr)
            self._live.update(Text(line, no_wrap=True, overflow="crop"), refresh=True)
        elif done == len(rows) or time.monotonic() >= self._next:
            show.say(spoken(wait_line(rows, left), sys.stderr))
            self._next = time.monotonic() + LINE_SECONDS

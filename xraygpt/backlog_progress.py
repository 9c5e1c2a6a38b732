"""The progress of a backlog, and at its end the proof that nothing of it is missing."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from xraygpt.client import Gateway
from xraygpt.submit import ASK_AT_ONCE, ResultRow, refresh, register_rows
from xraygpt_core.states import StudyState

SPAN_SECONDS = 30.0  # over which the speed is measured


class Speed:
    """Images that ended per second, over the last half minute, and how long the rest takes at that speed."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque()

    def note(self, done: int) -> None:
        """So many have ended by now."""
        now = self._clock()
        self._seen.append((now, done))
        while now - self._seen[0][0] > SPAN_SECONDS:
            self._seen.popleft()

    @property
    def per_second(self) -> float:
        (began, first), (now, last) = self._seen[0], self._seen[-1]
        return (last - first) / (now - began) if now > began else 0.0

    def eta(self, left: int) -> str:
        """When the rest will have ended, in hours, minutes and seconds."""
        if not self.per_second:
            return "?"
        minutes, seconds = divmod(round(left / self.per_second), 60)
        hours, minutes = divmod(minutes, 60)
        return (
            f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"
        )


def progress_line(now: dict[str, Any], speed: Speed) -> str:
    """One line about a backlog: the gateway's counts, the speed, and when it will be done."""
    counts = ", ".join(f"{now[name]} {name}" for name in ("listed", "registered", "summarised", "rejected", "dead"))
    cancelled = f", {now['cancelled']} cancelled" if now["cancelled"] else ""
    problem = f"; listing stands still: {now['problem']}" if now.get("problem") else ""
    return f"{now['state']}: {counts}{cancelled}, {speed.per_second:.1f}/s, ETA {speed.eta(now['open'])}{problem}"


def compared(gateway: Gateway, listed: Iterable[tuple[str, str]], lane: str) -> Iterator[ResultRow]:
    """The ledger's state of each object (address, ETag). One that is not in it is registered now; it has not ended.

    A thousand at a time: neither the objects nor the rows are ever all in memory.

    Raises:
        GatewayError: the gateway refuses, or does not answer.
    """
    objects = iter(listed)
    while some := list(islice(objects, ASK_AT_ONCE)):
        rows = [ResultRow(uri, lane) for uri, _ in some]
        asked = [{"uri": uri, "etag": etag} for uri, etag in some]
        for row, image in zip(rows, gateway.post("/v1/images/lookup", {"objects": asked})["images"], strict=True):
            if image is not None:
                row.image_id = image["image_id"]
                row.take(image)
        unseen = [row for row in rows if row.image_id is None]
        if unseen:
            register_rows(gateway, [(row, row.source) for row in unseen], lane)
            refresh(gateway, unseen)
        yield from rows


class Proof:
    """Objects listed = images in a terminal state, or the differences, object by object.

    Attributes:
        states: how many are in which state.
        kinds: the same, with the reason where there is one.
    """

    def __init__(self) -> None:
        self.states: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.differences: list[dict[str, str]] = []

    def note(self, row: ResultRow) -> None:
        """One more object, and what became of it."""
        self.states[str(row.state)] += 1
        self.kinds[row.state if row.reason_code is None else f"{row.state}: {row.reason_code}"] += 1
        if not row.ended:
            self.differences.append({"source": row.source, "state": str(row.state)})

    @property
    def listed(self) -> int:
        return self.states.total()

    @property
    def done(self) -> bool:
        return not set(self.states) - {StudyState.SUMMARISED, StudyState.REJECTED}

    def document(self) -> dict[str, Any]:
        """For the JSON result."""
        ended = self.listed - len(self.differences)
        return {"listed": self.listed, "ended": ended, "differences": self.differences}

    def show(self, say: Callable[[str], None]) -> None:
        """For a person."""
        if not self.listed:
            say("nothing lies there: is the prefix right?")
        for one in self.differences:
            say(f"not at its end: {one['source']} ({one['state']})")
        missing = len(self.differences)
        so = "nothing is missing" if not missing else f"{missing} are not at their end"
        say(f"proof: {self.listed} objects listed, {self.listed - missing} images ended; {so}")

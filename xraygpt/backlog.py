"""How far a backlog is, and in the end the proof that nothing of it is missing."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from xraygpt.submit import Row

SPAN_SECONDS = 30.0  # over which the speed is told


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
        """When the rest will have ended, as people say it."""
        if not self.per_second:
            return "?"
        minutes, seconds = divmod(round(left / self.per_second), 60)
        hours, minutes = divmod(minutes, 60)
        return (
            f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"
        )


def words(now: dict[str, Any], speed: Speed) -> str:
    """One line about a backlog: what the gateway says, how fast it goes, and when it will be done."""
    counts = ", ".join(f"{now[name]} {name}" for name in ("listed", "registered", "summarised", "rejected", "dead"))
    cancelled = f", {now['cancelled']} cancelled" if now["cancelled"] else ""
    problem = f"; listing stands still: {now['problem']}" if now.get("problem") else ""
    return f"{now['state']}: {counts}{cancelled}, {speed.per_second:.1f}/s, ETA {speed.eta(now['open'])}{problem}"


def proof(rows: Sequence[Row]) -> dict[str, Any]:
    """Objects listed = images in a terminal state, or the differences, object by object.

    Args:
        rows: one per object the bucket lists now, with what the ledger says of its image.
    """
    differences = [{"source": row.source, "state": str(row.state)} for row in rows if not row.ended]
    return {"listed": len(rows), "ended": len(rows) - len(differences), "differences": differences}


def tell(found: dict[str, Any], say: Callable[[str], None]) -> None:
    """The proof for a person."""
    if not found["listed"]:
        say("nothing lies there: is the prefix right?")
    for one in found["differences"]:
        say(f"not at its end: {one['source']} ({one['state']})")
    so = "nothing is missing" if not found["differences"] else f"{len(found['differences'])} are not at their end"
    say(f"proof: {found['listed']} objects listed, {found['ended']} images ended; {so}")

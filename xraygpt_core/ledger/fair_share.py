"""Fair shares of a lane: one sender's thousand films do not delay another sender's single one.

Each study has a *place* in its lane, and its jobs are claimed in the order of places (start-time fair queueing; Goyal,
Vin, Cheng, SIGCOMM 1996). A new sender's place is the one that is served now; a sender's next place is behind its last
one. So senders take turns, each with one film, whatever each of them has waiting, and a lone sender has the lane to
itself. Claiming costs nothing more: a place is a column of the index that claims read anyway.

Places are counted from the microseconds since 1970 at which a lane was last found empty. So a later busy period always
begins with a greater place, in every process, and no counter is shared or stored. The processes that register do not
know of each other's senders: a sender that comes through two gateways has two turns.
"""

import threading
import time
from collections.abc import Callable

from xraygpt_core.ledger.actor import Actor
from xraygpt_core.states import Lane

LOOK_SECONDS = 0.25  # how old the known place that is served may be
_MOST_SENDERS = 4096  # remembered; senders whose places were all served are forgotten


class Shares:
    """The places that one process gives out. Safe for many threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._served: dict[Lane, tuple[float, int]] = {}  # when it was looked up, and the place
        self._last: dict[tuple[Lane, str], int] = {}

    def take(self, lane: Lane, sender: str, count: int, served: Callable[[], int]) -> int:
        """So many places in a row for a sender; the first of them.

        Args:
            served: looks up :data:`SERVED`; called a few times a second at most, however many register.
        """
        with self._lock:
            now = self._now_served(lane, served)
            first = max(now, self._last.get((lane, sender), 0) + 1)
            if len(self._last) >= _MOST_SENDERS:
                self._forget(lane, now)
            self._last[lane, sender] = first + count - 1
            return first

    def _now_served(self, lane: Lane, served: Callable[[], int]) -> int:
        """It never goes back: a retried job has an old place, and is an exception."""
        looked, place = self._served.get(lane, (float("-inf"), 0))
        if self._clock() - looked >= LOOK_SECONDS:
            place = max(place, served())
            self._served[lane] = self._clock(), place
        return place

    def _forget(self, lane: Lane, now: int) -> None:
        self._last = {key: last for key, last in self._last.items() if key[0] is not lane or last >= now}


def sender_of(actor: Actor | None, door: str) -> str:
    """The owner of the share: a key, as an opaque id, or else the door or part of the system it came through."""
    if actor is None:
        return door
    return str(actor.key_id or actor.name)

"""Events of a bucket that were turned away: how many, through which door and why, in our own words, without a key."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from xraygpt_core.ledger.transaction import Ledger, Work

Door = Literal["webhook", "sns", "sqs"]
_LONGEST_CAUSE = 200

_NOTE = """
    INSERT INTO unreadable_events (door, cause, events) VALUES (:door, :cause, 1)
    ON CONFLICT (door, cause) DO UPDATE SET events = unreadable_events.events + 1, last_at = clock_timestamp()
"""


@dataclass(frozen=True)
class Unreadable:
    """How many events of a door were turned away for one cause."""

    door: str
    cause: str
    events: int
    first_at: datetime
    last_at: datetime


def note_unreadable(ledger: Ledger, door: Door, cause: str) -> None:
    """Count an event that was turned away.

    Args:
        cause: the error's message. The parsers write it without a value of the event, so there are as many as there are
            sentences in our code.
    """
    with ledger.work() as work:
        work.run(_NOTE, {"door": door, "cause": cause[:_LONGEST_CAUSE]})


def unreadable_events(work: Work) -> list[Unreadable]:
    """Those of the last thirty days by door and cause, the last one first."""
    rows = work.rows(
        "SELECT door, cause, events, first_at, last_at FROM unreadable_events "
        "WHERE last_at > clock_timestamp() - interval '30 days' ORDER BY last_at DESC LIMIT 50"
    )
    return [Unreadable(**row) for row in rows]

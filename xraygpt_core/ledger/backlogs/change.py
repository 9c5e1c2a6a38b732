"""Pausing, resuming and cancelling a backlog: its queued jobs change. Running jobs finish. A cancelled backlog that is
resumed takes back what was cancelled with it.
"""

from functools import partial
from typing import NamedTuple
from uuid import UUID

from xraygpt_core.errors import Conflict
from xraygpt_core.ids import new_id
from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.backlogs.change_statements import (
    BEGIN_CANCEL,
    BEGIN_PAUSE,
    BEGIN_RESUME,
    CANCEL_WINDOW,
    END_CHANGE,
    END_RESUME,
    LOCK_CHANGE,
    LOCK_WINDOW_JOBS,
    LOCK_WINDOW_STUDIES,
    PAUSE_WINDOW,
    RESUME_CANCELLED_WINDOW,
    RESUME_PAUSED_WINDOW,
    WINDOW_END,
)
from xraygpt_core.ledger.backlogs.progress import backlog
from xraygpt_core.ledger.jobs.claims import add_job
from xraygpt_core.ledger.jobs.fence import repeating
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.states import JobKind, Lane


class _Change(NamedTuple):
    """The statement that begins a change, the participle for messages, and the state that shows it was begun before."""

    begin: str
    done: str
    begun: str | None


_CHANGES = {
    "pause": _Change(BEGIN_PAUSE, "paused", "paused"),
    "cancel": _Change(BEGIN_CANCEL, "cancelled", "cancelled"),
    "resume": _Change(BEGIN_RESUME, "resumed", None),  # it gets its state at the end
}


def change_backlog(ledger: Ledger, backlog_id: UUID, wanted: str, ending: Ledger | None = None) -> None:
    """Pause, resume or cancel a backlog: its queued jobs, which read or summarise its images. Running jobs finish.

    Resumed, a cancelled backlog takes back what was cancelled with it: its objects are read again. The oldest jobs,
    which would be next, are changed first, ten thousand a transaction. Asked for again, a change that was interrupted
    goes on. A change that is overtaken by another one leaves the rest to that.

    Args:
        wanted: ``pause``, ``resume`` or ``cancel``.
        ending: ends the change with this ledger, in whose transaction there may be more.

    Raises:
        NotFound: there is none.
        Conflict: it is not in a state for that, or it was changed again meanwhile.
    """
    # Its own row first: a backlog that is paused or cancelled is not listed meanwhile.
    change = {"id": backlog_id, "change": _begin(ledger, backlog_id, wanted)}
    after: UUID | None = UUID(int=0)
    while after is not None:
        after = _change_window(ledger, wanted, change | {"after": after})

    def end(work: Work) -> None:
        if not work.run(END_RESUME if wanted == "resume" else END_CHANGE, change):
            raise _overtaken(wanted)

    repeating(ending or ledger, end)


def _begin(ledger: Ledger, backlog_id: UUID, wanted: str) -> UUID:
    """Make this the newest change of the backlog.

    Returns:
        Its id.

    Raises:
        NotFound: there is no such backlog.
        Conflict: it is not in a state for that.
    """
    statement, done, begun = _CHANGES[wanted]
    change = new_id()

    def begin(work: Work, *, repeat: bool) -> bool:
        changed = work.row(statement, {"id": backlog_id, "change": change, "repeat": repeat}) is not None
        if changed:
            record(work, f"backlog {done}", subject=backlog_id)
        return changed

    if not repeating(ledger, partial(begin, repeat=False)):
        now = backlog(ledger, backlog_id)
        if now.state != begun or not now.open or not repeating(ledger, partial(begin, repeat=True)):
            raise Conflict(f"the backlog is {now.state}: it cannot be {done}")
    return change


def _overtaken(wanted: str) -> Conflict:
    return Conflict(f"the backlog was changed again before all of it was {_CHANGES[wanted].done}")


def _change_window(ledger: Ledger, wanted: str, window: dict[str, UUID]) -> UUID | None:
    """Change the jobs of some images.

    Returns:
        The last of those images, or None if no more follow.

    Raises:
        Conflict: another change of the backlog is newer.
    """

    def body(work: Work) -> UUID | None:
        if work.row(LOCK_CHANGE, window) is None:
            raise _overtaken(wanted)
        work.by_index()
        match wanted:
            case "pause":
                work.run(LOCK_WINDOW_JOBS, window)
                work.run(PAUSE_WINDOW, window)
            case "cancel":
                work.run(LOCK_WINDOW_JOBS, window)
                work.run(LOCK_WINDOW_STUDIES, window)
                work.run(CANCEL_WINDOW, window)
            case "resume":
                work.run(RESUME_PAUSED_WINDOW, window)
                _resume_cancelled(ledger, work, window)
        end = work.row(WINDOW_END, window)
        return None if end is None else end["image_id"]

    return repeating(ledger, body)


def _resume_cancelled(ledger: Ledger, work: Work, window: dict[str, UUID]) -> None:
    for study in work.rows(RESUME_CANCELLED_WINDOW, window):
        if study["state"] == "waiting":
            rest = {
                "revision": study["revision"],
                "place": study["place"],
                "max_attempts": ledger.settings.max_attempts,
            }
            add_job(work, JobKind.SETTLE, study["id"], Lane.of_rank(study["lane_rank"]), **rest)

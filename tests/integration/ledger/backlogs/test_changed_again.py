"""A backlog that is changed again while a change still walks through its images: the last word counts, to the last job.

The other change runs whole between two windows of the first one, as it does when that walk takes minutes.
"""

from collections.abc import Callable
from itertools import count
from uuid import UUID

import pytest

from tests.support.ledger_tools import begun, image_state, one, windows_of
from xraygpt_core.errors import Conflict
from xraygpt_core.ledger.backlogs import change
from xraygpt_core.ledger.backlogs.change import change_backlog
from xraygpt_core.ledger.backlogs.progress import backlog, listings
from xraygpt_core.ledger.transaction import Ledger

pytestmark = pytest.mark.usefixtures("sound")

Between = Callable[[Callable[[], None]], None]


@pytest.fixture
def between_windows(monkeypatch: pytest.MonkeyPatch) -> Between:
    """Does something after the first window of two images."""
    windows_of(2, monkeypatch)

    def once(act: Callable[[], None]) -> None:
        windows, change_window = count(), change._change_window

        def window_and_act(*window: object) -> UUID | None:
            last = change_window(*window)  # type: ignore[arg-type]
            if next(windows) == 0:
                act()
            return last

        monkeypatch.setattr(change, "_change_window", window_and_act)

    return once


def overtaken(ledger: Ledger, backlog_id: UUID, wanted: str) -> None:
    """This change finds out that it is not the last word any more."""
    with pytest.raises(Conflict, match="changed again"):
        change_backlog(ledger, backlog_id, wanted)


def queued(ledger: Ledger, condition: str) -> int:
    return int(one(ledger, f"SELECT count(*) FROM jobs WHERE state = 'queued' AND {condition}"))


def test_a_pause_that_still_walks_stops_where_a_resumption_overtook_it(
    ledger: Ledger, between_windows: Between
) -> None:
    backlog_id, _ = begun(ledger, 6)
    between_windows(lambda: change_backlog(ledger, backlog_id, "resume"))
    overtaken(ledger, backlog_id, "pause")
    assert backlog(ledger, backlog_id).state == "listed"
    assert (queued(ledger, "not_before IS NULL"), queued(ledger, "not_before = 'infinity'")) == (6, 0)


def test_a_cancellation_that_still_walks_stops_where_a_resumption_overtook_it(
    ledger: Ledger, between_windows: Between
) -> None:
    backlog_id, images = begun(ledger, 6)
    between_windows(lambda: change_backlog(ledger, backlog_id, "resume"))
    overtaken(ledger, backlog_id, "cancel")
    found = backlog(ledger, backlog_id)
    assert (found.state, found.cancelled, found.open) == ("listed", 0, 6)
    assert {image_state(ledger, image.image_id) for image in images} == {("received", None)}


@pytest.mark.parametrize("before", ["pause", "cancel"])
def test_a_backlog_cancelled_while_it_is_resumed_stays_cancelled(
    ledger: Ledger, between_windows: Between, before: str
) -> None:
    backlog_id, _ = begun(ledger, 6, whole=False)
    change_backlog(ledger, backlog_id, before)
    between_windows(lambda: change_backlog(ledger, backlog_id, "cancel"))
    overtaken(ledger, backlog_id, "resume")
    found = backlog(ledger, backlog_id)
    assert (found.state, found.cancelled, found.open) == ("cancelled", 6, 0)
    assert listings(ledger) == []


def test_a_backlog_paused_while_it_is_resumed_rests(ledger: Ledger, between_windows: Between) -> None:
    backlog_id, _ = begun(ledger, 6)
    change_backlog(ledger, backlog_id, "pause")
    between_windows(lambda: change_backlog(ledger, backlog_id, "pause"))
    overtaken(ledger, backlog_id, "resume")
    assert backlog(ledger, backlog_id).state == "paused"
    assert queued(ledger, "not_before IS NULL") == 0


def test_a_backlog_cancelled_while_it_is_paused_is_cancelled_whole(ledger: Ledger, between_windows: Between) -> None:
    backlog_id, _ = begun(ledger, 6)
    between_windows(lambda: change_backlog(ledger, backlog_id, "cancel"))
    overtaken(ledger, backlog_id, "pause")
    assert backlog(ledger, backlog_id).cancelled == 6


def test_a_resumption_that_was_begun_can_be_taken_back_before_anything_is_open_again(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    backlog_id, _ = begun(ledger, 2)
    change_backlog(ledger, backlog_id, "cancel")
    with monkeypatch.context() as patch:
        patch.setattr(change, "_change_window", interrupted)
        with pytest.raises(InterruptedError):
            change_backlog(ledger, backlog_id, "resume")
    change_backlog(ledger, backlog_id, "cancel")
    assert backlog(ledger, backlog_id).state == "cancelled"
    with pytest.raises(Conflict, match="is cancelled"):
        change_backlog(ledger, backlog_id, "cancel")


def interrupted(*_: object) -> None:
    raise InterruptedError

"""A draft never stands with another patient's film beside it, whenever the prior film turns out not to be one."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from tests.support.ledger_tools import (
    do,
    one,
    rows,
    settle_now,
    start_summary,
    state_of,
    take,
    until_it_waits,
)
from tests.support.prior_tools import (
    CURRENT,
    Prior,
    apart,
    joined,
    on,
    seen,
    send,
    shown,
    written,
)
from tests.support.study_steps import settle
from xraygpt_core.ledger.studies import settle as settling
from xraygpt_core.ledger.studies import summarise as summarising
from xraygpt_core.ledger.studies.purge import purge_study
from xraygpt_core.ledger.studies.summarise import complete_summary
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import JobKind, Lane

pytestmark = pytest.mark.usefixtures("sound")

CHANGES: dict[str, str] = {
    "it is in another patient's study": "UPDATE studies SET patient_pseudonym = 'B' WHERE id = :study",
    "its own header names another patient": "UPDATE images SET patient_pseudonym = 'B' WHERE id = :image",
    "it is later": "UPDATE images SET acquired_on = '2021-03-09' WHERE id = :image",
    "its day is unknown": "UPDATE images SET acquired_on = NULL WHERE id = :image",
    "it was rejected": "UPDATE images SET state = 'rejected', reason_code = 'not_a_chest' WHERE id = :image",
    "it was withdrawn": "UPDATE images SET state = 'cancelled' WHERE id = :image",
    "it is in the study itself": "UPDATE images SET study_id = :now WHERE id = :image",
}
ENDS = ("it was rejected", "it was withdrawn", "it is in the study itself")


def change(ledger: Ledger, how: str, before: Prior, now: UUID) -> None:
    """Change this behind the back of whatever holds no lock on the film's study."""
    do(ledger, CHANGES[how], image=before[0].image_id, study=before[1], now=now)
    if how in ENDS:
        do(ledger, "UPDATE studies SET state = 'cancelled' WHERE id = :id", id=before[1])


@pytest.mark.parametrize("how", CHANGES)
def test_a_film_that_is_no_prior_any_more_is_not_handed_over(three: Ledger, before: Prior, now: UUID, how: str) -> None:
    change(three, how, before, now)
    taken, given = start_summary(three, now)
    assert shown(given) == set()
    complete_summary(three, taken, given, seen(given))
    assert (state_of(three, now), one(three, CURRENT, id=now)) == ("summarised", None)


@pytest.mark.parametrize("how", CHANGES)
def test_a_text_whose_prior_changed_while_it_was_written_is_not_current_and_is_written_anew(
    three: Ledger, before: Prior, now: UUID, how: str
) -> None:
    taken, given = start_summary(three, now)
    change(three, how, before, now)
    summary_id = complete_summary(three, taken, given, seen(given))
    (text,) = rows(three, "SELECT superseded_at, prior_image FROM summaries WHERE id = :id", id=summary_id)
    assert text["superseded_at"] is not None
    assert text["prior_image"] is None
    assert state_of(three, now) == "waiting"
    settle_now(three, now)
    written(three, now)
    assert (state_of(three, now), one(three, CURRENT, id=now)) == ("summarised", None)


def test_a_prior_that_was_purged_while_the_text_was_written_is_not_in_the_current_draft(
    three: Ledger, before: Prior, now: UUID
) -> None:
    taken, given = start_summary(three, now)
    purge_study(three, before[1], lambda _: None)
    complete_summary(three, taken, given, seen(given))
    settle_now(three, now)
    written(three, now)
    assert (state_of(three, now), one(three, CURRENT, id=now)) == ("summarised", None)


def test_a_prior_that_still_stands_changes_nothing(three: Ledger, before: Prior, now: UUID) -> None:
    written(three, now)
    assert (state_of(three, now), one(three, CURRENT, id=now)) == ("summarised", before[0].image_id)
    assert one(three, "SELECT count(*) FROM jobs WHERE subject = :id", id=now) == 2


def test_a_film_that_moves_while_its_study_is_settled_is_not_handed_over(
    three: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, mine, other = joined(three)
    _, now = send(three, "now", patient_pseudonym="A", **on(2))
    claim, write = take(three, JobKind.SETTLE, now), settling._write

    def moved_before(*args: Any) -> None:
        apart(three, old, mine, other)
        write(*args)

    with monkeypatch.context() as patch:
        patch.setattr(settling, "_write", moved_before)
        settle(three, claim)
    assert one(three, "SELECT chosen_prior FROM studies WHERE id = :id", id=now) == other
    _, given = start_summary(three, now)
    assert shown(given) == set()


def test_a_film_that_moves_while_the_text_is_committed_takes_the_text_with_it(
    three: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, mine, other = joined(three)
    _, now = send(three, "now", patient_pseudonym="A", **on(2))
    settle_now(three, now)
    taken, given = start_summary(three, now)
    do(three, "UPDATE studies SET chosen_prior = NULL WHERE id = :id", id=now)  # so that nothing else leads to it
    moving: list[Callable[[], None]] = []
    look = summarising.standings

    def while_looking(*args: Any) -> Any:
        found = look(*args)
        moving.append(until_it_waits(three, lambda: apart(three, old, mine, other)))
        return found

    with monkeypatch.context() as patch:
        patch.setattr(summarising, "standings", while_looking)
        complete_summary(three, taken, given, seen(given))
    moving[0]()
    assert rows(three, CURRENT, id=now) == []
    settle_now(three, now)
    assert state_of(three, now) == "queued"


def test_an_urgent_text_that_a_new_film_did_not_wait_for_is_not_current_with_another_patients_film(
    three: Ledger,
) -> None:
    old, _, other = joined(three)
    _, now = send(three, "now", lane=Lane.STAT, patient_pseudonym="A", **on(2))
    settle_now(three, now)
    taken, given = start_summary(three, now)
    assert shown(given) == {other}
    send(three, "now", lane=Lane.STAT, patient_pseudonym="A", view="OBLIQUE", **on(2))
    do(three, "UPDATE studies SET patient_pseudonym = 'B' WHERE id = :id", id=old)
    complete_summary(three, taken, given, seen(given))
    assert rows(three, CURRENT, id=now) == []

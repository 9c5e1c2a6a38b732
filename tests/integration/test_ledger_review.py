"""A review changes what its reader saw, or nothing."""

from datetime import timedelta
from uuid import UUID

import pytest

from tests.ledger_tools import do, no_errors, one, rows, summarise, together, whole_study
from xraygpt_core.errors import Conflict, NotFound
from xraygpt_core.ids import new_id
from xraygpt_core.ledger import read
from xraygpt_core.ledger.again import resummarise
from xraygpt_core.ledger.core import Ledger
from xraygpt_core.ledger.review import Seen, review_summary
from xraygpt_core.states import ReviewState


def seen(ledger: Ledger, summary_id: UUID) -> Seen:
    now = read.summary(ledger, summary_id)
    return Seen(ReviewState(now.review_state), now.reviewed_at, now.superseded_at)


@pytest.fixture
def draft(ledger: Ledger) -> UUID:
    whole_study(ledger)
    summary_id: UUID = one(ledger, "SELECT id FROM summaries")
    return summary_id


def test_what_still_stands_as_it_was_seen_is_signed(ledger: Ledger, draft: UUID) -> None:
    review_summary(ledger, draft, ReviewState.ACCEPTED, "Dr. R", None, seen(ledger, draft))
    review_summary(ledger, draft, ReviewState.EDITED, "Dr. R", "Normal.", seen(ledger, draft))
    now = read.summary(ledger, draft)
    assert (now.review_state, now.summary) == ("edited", "Normal.")


def test_what_somebody_signed_meanwhile_is_not_overwritten(ledger: Ledger, draft: UUID) -> None:
    before = seen(ledger, draft)
    review_summary(ledger, draft, ReviewState.EDITED, "Dr. R", "Pneumothorax.", before)
    stood = read.summary(ledger, draft)
    with pytest.raises(Conflict, match="'edited' now"):
        review_summary(ledger, draft, ReviewState.ACCEPTED, "Dr. S", None, before)
    assert read.summary(ledger, draft) == stood
    assert len(rows(ledger, "SELECT 1 FROM timeline WHERE what LIKE 'summary %'")) == 1


def test_the_same_state_at_another_time_is_not_what_was_seen(ledger: Ledger, draft: UUID) -> None:
    review_summary(ledger, draft, ReviewState.ACCEPTED, "Dr. R", None)
    now = seen(ledger, draft)
    assert now.reviewed_at is not None
    other = Seen(now.review_state, now.reviewed_at - timedelta(microseconds=1), None)
    with pytest.raises(Conflict):
        review_summary(ledger, draft, ReviewState.REJECTED, "Dr. S", None, other)


def test_a_summary_that_was_superseded_meanwhile_is_not_signed(ledger: Ledger, draft: UUID) -> None:
    before = seen(ledger, draft)
    study_id = one(ledger, "SELECT study_id FROM summaries")
    do(ledger, "UPDATE installation SET served_bundle = 'next'")
    resummarise(ledger, study_ids=[study_id], bundle=None)
    summarise(ledger, study_id, bundle="next")
    with pytest.raises(Conflict, match="newer"):
        review_summary(ledger, draft, ReviewState.ACCEPTED, "Dr. R", None, before)
    assert read.summary(ledger, draft).review_state == "draft"


def test_of_two_who_sign_at_the_same_moment_one_is_told(ledger: Ledger, draft: UUID) -> None:
    before = seen(ledger, draft)
    results = together(
        lambda: review_summary(ledger, draft, ReviewState.ACCEPTED, "Dr. R", None, before),
        lambda: review_summary(ledger, draft, ReviewState.REJECTED, "Dr. S", None, before),
    )
    assert sorted(type(result).__name__ for result in results) == ["Conflict", "NoneType"]
    assert no_errors([result for result in results if not isinstance(result, Conflict)]) == [None]


def test_without_what_was_seen_a_review_overwrites_as_before(ledger: Ledger, draft: UUID) -> None:
    review_summary(ledger, draft, ReviewState.ACCEPTED, "Dr. R", None)
    review_summary(ledger, draft, ReviewState.REJECTED, "Dr. S", None)
    assert read.summary(ledger, draft).reviewed_by == "Dr. S"


def test_a_summary_nobody_knows_is_not_there_however_it_was_seen(ledger: Ledger) -> None:
    with pytest.raises(NotFound):
        review_summary(ledger, new_id(), ReviewState.ACCEPTED, "Dr. R", None, Seen(ReviewState.DRAFT, None, None))

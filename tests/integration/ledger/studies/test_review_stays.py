"""What was said of a summary stays: nobody but a purge removes a review."""

from uuid import UUID

import pytest
from sqlalchemy.exc import DBAPIError

from tests.support.ledger_tools import do, one, rows, signer, summarise, until_it_waits, whole_study
from tests.support.review_tools import ACCEPTED, TAKEN_BACK, acts, edited, say, seen
from xraygpt_core.errors import NotFound
from xraygpt_core.ids import new_id
from xraygpt_core.ledger.studies import read
from xraygpt_core.ledger.studies.purge import purge_study
from xraygpt_core.ledger.studies.resummarise import resummarise
from xraygpt_core.ledger.studies.review import Seen, Signer, review_summary
from xraygpt_core.ledger.studies.review_history import Review
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import ReviewAction, ReviewState

pytestmark = pytest.mark.usefixtures("sound")


@pytest.fixture
def draft(ledger: Ledger) -> UUID:
    whole_study(ledger)
    summary_id: UUID = one(ledger, "SELECT id FROM summaries")
    return summary_id


@pytest.fixture
def reader(ledger: Ledger) -> Signer:
    return signer(ledger, "Dr. R")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE reviews SET text = NULL",
        "UPDATE reviews SET reviewer = 'Dr. Else'",
        "DELETE FROM reviews",
        "DELETE FROM summaries",
        "TRUNCATE reviews",
        "TRUNCATE studies CASCADE",
    ],
)
def test_not_even_the_databases_owner_changes_or_removes_a_review(
    ledger: Ledger, draft: UUID, reader: Signer, statement: str
) -> None:
    say(ledger, draft, reader, edited("Heart enlarged."))
    with pytest.raises(DBAPIError):
        do(ledger, statement)
    assert acts(ledger, draft) == [("edited", "Heart enlarged.", "Dr. R")]


def test_a_purge_removes_the_reviews_of_its_study_alone(ledger: Ledger, draft: UUID, reader: Signer) -> None:
    say(ledger, draft, reader, edited("Canary."))
    _, other_study = whole_study(ledger)
    kept = one(ledger, "SELECT id FROM summaries WHERE study_id = :id", id=other_study)
    say(ledger, kept, reader, ACCEPTED)
    purge_study(ledger, one(ledger, "SELECT study_id FROM summaries WHERE id = :id", id=draft), lambda _: None)
    assert rows(ledger, "SELECT summary_id FROM reviews") == [{"summary_id": kept}]


def test_a_purge_waits_for_the_review_that_is_being_written_and_takes_it_along(
    ledger: Ledger, draft: UUID, reader: Signer
) -> None:
    before, study_id = seen(ledger, draft), one(ledger, "SELECT study_id FROM summaries")
    with ledger.work() as work:
        work.rows("SELECT FROM summaries WHERE id = :id FOR UPDATE", {"id": draft})
        ended = until_it_waits(ledger, lambda: purge_study(ledger, study_id, lambda _: None))
        work.run(
            "INSERT INTO reviews (id, summary_id, position, action, reviewer) VALUES (:id, :draft, 1, 'accepted', 'R')",
            {"id": new_id(), "draft": draft},
        )
    ended()
    assert rows(ledger, "SELECT FROM reviews") == []
    with pytest.raises(NotFound):
        review_summary(ledger, draft, ACCEPTED, reader, before)


def test_the_timeline_names_the_act_and_the_key_and_none_of_the_text(
    ledger: Ledger, draft: UUID, reader: Signer
) -> None:
    say(ledger, draft, reader, edited("Canary of a text."))
    study_id = one(ledger, "SELECT study_id FROM summaries")
    step = read.timeline(ledger, study_id)[-1]
    assert (step["what"], step["who"]) == ("summary edited", "Dr. R")
    assert step["detail"]["key"] == str(reader.key.key_id)
    assert "Canary" not in str(step)


def test_reviews_of_a_superseded_summary_stay_readable_with_the_study(
    ledger: Ledger, draft: UUID, reader: Signer
) -> None:
    say(ledger, draft, reader, edited("Heart enlarged."))
    say(ledger, draft, reader, TAKEN_BACK)
    study_id = one(ledger, "SELECT study_id FROM summaries")
    do(ledger, "UPDATE installation SET served_bundle = 'next'")
    resummarise(ledger, study_ids=[study_id], bundle=None)
    newer = summarise(ledger, study_id, bundle="next")
    say(ledger, newer, reader, ACCEPTED)
    found: list[Review] = read.study(ledger, study_id).reviews
    assert [(act.summary_id, act.action) for act in found] == [
        (draft, ReviewAction.EDITED),
        (draft, ReviewAction.DRAFT),
        (newer, ReviewAction.ACCEPTED),
    ]


def test_a_summary_nobody_knows_is_not_there_however_it_was_seen(ledger: Ledger, reader: Signer) -> None:
    with pytest.raises(NotFound):
        review_summary(ledger, new_id(), ACCEPTED, reader, Seen(ReviewState.DRAFT, None, None))
    with pytest.raises(NotFound):
        read.reviews(ledger, new_id())

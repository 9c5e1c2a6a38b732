"""What somebody reviewed, beside the drafts that come after it."""

import pytest

from tests.support.ledger_tools import (
    film,
    ingest,
    one,
    put,
    settle_now,
    sign,
    summarise,
    whole_study,
)
from xraygpt_core.errors import InvalidRequest
from xraygpt_core.ledger.studies import read
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import Flag, ReviewState

pytestmark = pytest.mark.usefixtures("sound")


def test_a_newer_draft_beside_a_reviewed_summary_is_flagged_and_so_is_the_one_after(ledger: Ledger) -> None:
    _, study_id = whole_study(ledger, film("u1", view=None))
    first = read.study(ledger, study_id).summary
    assert first is not None
    sign(ledger, first.summary_id, ReviewState.ACCEPTED)
    for view in ("AP", "PA"):
        ingest(ledger, put(ledger), film("u1", view=view))
        settle_now(ledger, study_id)
        summarise(ledger, study_id)
        found = read.study(ledger, study_id).summary
        assert found is not None
        assert found.flags == [Flag.SUPERSEDES_REVIEWED]
        assert found.review_state == "draft"
    assert read.summary(ledger, first.summary_id).review_state == "accepted"


def test_a_reviewed_summary_whose_image_was_replaced_is_told_of_beside_the_next_draft(ledger: Ledger) -> None:
    _, study_id = whole_study(ledger, film("u1", view="PA"), "in/a.dcm")
    first = read.study(ledger, study_id).summary
    assert first is not None
    sign(ledger, first.summary_id, ReviewState.EDITED, "Heart enlarged.")
    ingest(ledger, put(ledger, "in/a.dcm", "e2"), film("u1", view="LATERAL"))
    settle_now(ledger, study_id)
    between = read.study(ledger, study_id)
    assert (between.summary, between.reviewed and between.reviewed.summary) == (None, "Heart enlarged.")
    ingest(ledger, put(ledger), film("u1", view="AP"))
    settle_now(ledger, study_id)
    summarise(ledger, study_id)
    found = read.study(ledger, study_id).summary
    assert found is not None
    assert found.flags == [Flag.SUPERSEDES_REVIEWED]


def test_an_edited_summary_is_what_readers_see_and_the_models_own_text_stays(ledger: Ledger) -> None:
    _, study_id = whole_study(ledger)
    before = read.study(ledger, study_id).summary
    assert before is not None
    sign(ledger, before.summary_id, ReviewState.EDITED, "Findings: none.")
    after = read.study(ledger, study_id).summary
    assert after is not None
    assert (after.summary, after.review_state) == ("Findings: none.", "edited")
    assert one(ledger, "SELECT summary FROM summaries") == before.summary
    assert one(ledger, "SELECT summary FROM study_summaries") == "Findings: none."


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (ReviewState.EDITED, None),
        (ReviewState.EDITED, " "),
        (ReviewState.ACCEPTED, "text"),
        (ReviewState.EDITED, "a\0"),
    ],
)
def test_a_review_that_contradicts_itself_is_refused(ledger: Ledger, state: ReviewState, text: str | None) -> None:
    _, study_id = whole_study(ledger)
    found = read.study(ledger, study_id).summary
    assert found is not None
    with pytest.raises(InvalidRequest):
        sign(ledger, found.summary_id, state, text)

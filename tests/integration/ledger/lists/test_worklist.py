"""Lists of studies: who is read first, page after page, and what a page costs among very many."""

from typing import Any
from uuid import UUID

import pytest

from tests.support.ledger_tools import (
    do,
    film,
    ingest,
    one,
    put,
    reject,
    rows,
    settle_now,
    sign,
    summarise,
    whole_study,
)
from xraygpt_core.ledger.lists import search
from xraygpt_core.ledger.lists.filters import Filters
from xraygpt_core.ledger.lists.orders import Cursor, WorklistView
from xraygpt_core.ledger.lists.rows import WorklistRow
from xraygpt_core.ledger.lists.worklist import worklist
from xraygpt_core.ledger.studies.purge import purge_study
from xraygpt_core.ledger.studies.register import register_objects
from xraygpt_core.ledger.studies.resummarise import resummarise
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import Lane, ReviewState, StudyState


def summarised(ledger: Ledger, lane: Lane, name: str) -> UUID:
    study_id = ingest(ledger, put(ledger, f"{name}.dcm", lane=lane), film(name))
    settle_now(ledger, study_id)
    summarise(ledger, study_id)
    return study_id


def listed(
    ledger: Ledger, listing: WorklistView = WorklistView.AWAITING, *, after: Cursor | None = None, **chosen: Any
) -> list[UUID]:
    page = worklist(ledger, listing, limit=50, after=after, filters=Filters(**chosen))
    return [row.study_id for row in page.rows]


def sign_study(ledger: Ledger, study_id: UUID, state: ReviewState = ReviewState.ACCEPTED) -> None:
    summary = one(ledger, "SELECT id FROM summaries WHERE study_id = :id AND superseded_at IS NULL", id=study_id)
    sign(ledger, summary, state, "Corrected." if state is ReviewState.EDITED else None)


def test_stat_is_read_before_routine_before_backlog_and_the_oldest_draft_first(ledger: Ledger) -> None:
    lanes = [Lane.BACKLOG, Lane.ROUTINE, Lane.STAT, Lane.ROUTINE, Lane.STAT]
    made = [summarised(ledger, lane, f"s{n}") for n, lane in enumerate(lanes)]
    assert listed(ledger) == [made[2], made[4], made[1], made[3], made[0]]
    assert worklist(ledger, WorklistView.AWAITING, limit=1).awaiting == {"stat": 2, "routine": 2, "backlog": 1}
    assert listed(ledger, lane=Lane.ROUTINE) == [made[1], made[3]]


@pytest.mark.parametrize("state", [ReviewState.ACCEPTED, ReviewState.EDITED, ReviewState.REJECTED])
def test_who_signs_takes_a_draft_off_the_list_and_who_takes_it_back_returns_it(
    ledger: Ledger, state: ReviewState
) -> None:
    first, second = (summarised(ledger, Lane.ROUTINE, name) for name in ("a", "b"))
    sign_study(ledger, first, state)
    assert listed(ledger) == [second]
    assert listed(ledger, WorklistView.SIGNED) == [first]
    sign_study(ledger, first, ReviewState.DRAFT)
    assert listed(ledger) == [first, second]
    assert listed(ledger, WorklistView.SIGNED) == []


def test_the_last_review_stands_first_among_the_signed_and_can_be_asked_for_by_its_kind(ledger: Ledger) -> None:
    first, second, third = (summarised(ledger, Lane.ROUTINE, name) for name in "abc")
    for study_id, state in [
        (second, ReviewState.EDITED),
        (third, ReviewState.REJECTED),
        (first, ReviewState.ACCEPTED),
    ]:
        sign_study(ledger, study_id, state)
    assert listed(ledger, WorklistView.SIGNED) == [first, third, second]
    kinds = [ReviewState.EDITED, ReviewState.REJECTED]
    assert listed(ledger, WorklistView.SIGNED, reviews=kinds) == [third, second]


def test_all_studies_are_listed_the_last_arrival_first_without_aliases_and_purged_ones(ledger: Ledger) -> None:
    _, done = whole_study(ledger, film("one"))
    turned_away = put(ledger)
    reject(ledger, turned_away)
    waiting = put(ledger)
    assert ingest(ledger, put(ledger), film("one")) == done  # its provisional study is an alias now
    _, gone = whole_study(ledger, film("gone"))
    purge_study(ledger, gone, lambda key: None)
    assert listed(ledger, WorklistView.ALL) == [waiting.study_id, turned_away.study_id, done]
    assert listed(ledger, WorklistView.ALL, states=[StudyState.REJECTED]) == [turned_away.study_id]
    assert listed(ledger, WorklistView.ALL, states=[StudyState.RECEIVED, StudyState.REJECTED]) == [
        waiting.study_id,
        turned_away.study_id,
    ]
    assert listed(ledger, WorklistView.ALL, reviews=[ReviewState.DRAFT]) == [done]


def test_a_row_says_what_a_reader_chooses_by(ledger: Ledger) -> None:
    study_id = summarised(ledger, Lane.STAT, "a")
    (row,) = worklist(ledger, WorklistView.AWAITING, limit=5).rows
    assert isinstance(row, WorklistRow)
    assert (row.study_id, row.lane, row.state, row.view, row.opening) == (
        study_id,
        "stat",
        "summarised",
        "PA",
        "normal",
    )
    assert (row.review_state, row.reviewed_by, row.supersedes_reviewed) == ("draft", None, False)
    assert row.summarised_at is not None
    assert row.received_at < row.summarised_at


def test_the_opening_is_the_correction_where_there_is_one_and_short_however_long_it_is(ledger: Ledger) -> None:
    study_id = summarised(ledger, Lane.STAT, "a")
    summary = one(ledger, "SELECT id FROM summaries WHERE study_id = :id", id=study_id)
    sign(ledger, summary, ReviewState.EDITED, "  Pneumothorax. " + "x" * 5000)
    (row,) = worklist(ledger, WorklistView.SIGNED, limit=5).rows
    assert row.opening is not None
    assert row.opening.startswith("Pneumothorax.")
    assert len(row.opening) < 300


def test_a_draft_beside_a_reviewed_summary_is_marked(ledger: Ledger) -> None:
    study_id = summarised(ledger, Lane.ROUTINE, "a")
    sign_study(ledger, study_id)
    do(ledger, "UPDATE installation SET served_bundle = 'next'")
    resummarise(ledger, study_ids=[study_id], bundle=None)
    summarise(ledger, study_id, bundle="next")
    (row,) = worklist(ledger, WorklistView.AWAITING, limit=5).rows
    assert row.supersedes_reviewed


def test_more_haste_moves_a_draft_up_that_was_written_before(ledger: Ledger) -> None:
    old, late = summarised(ledger, Lane.ROUTINE, "old"), summarised(ledger, Lane.BACKLOG, "late")
    assert listed(ledger) == [old, late]
    put(ledger, "late.dcm", lane=Lane.STAT)
    assert listed(ledger) == [late, old]
    put(ledger, "late.dcm", lane=Lane.BACKLOG)
    assert listed(ledger) == [late, old]


def test_a_stat_image_that_joins_a_summarised_study_moves_its_draft_up(ledger: Ledger) -> None:
    old, joined = summarised(ledger, Lane.ROUTINE, "old"), summarised(ledger, Lane.BACKLOG, "joined")
    ingest(ledger, put(ledger, lane=Lane.STAT), film("joined"))
    assert listed(ledger) == [joined, old]


def test_the_lane_of_a_summary_is_the_one_its_study_has_when_it_is_written(ledger: Ledger) -> None:
    study_id = ingest(ledger, put(ledger, "a.dcm", lane=Lane.BACKLOG), film("a"))
    put(ledger, "a.dcm", lane=Lane.STAT)
    settle_now(ledger, study_id)
    summarise(ledger, study_id)
    assert one(ledger, "SELECT lane_rank FROM summaries") == Lane.STAT.rank


@pytest.mark.parametrize("listing", list(WorklistView))
def test_pages_follow_each_other_without_a_gap_or_a_repeat(ledger: Ledger, listing: WorklistView) -> None:
    made = [summarised(ledger, Lane.of_rank(n % 3), f"s{n}") for n in range(7)]
    if listing is WorklistView.SIGNED:
        for study_id in made:
            sign_study(ledger, study_id)
    whole, seen, after = listed(ledger, listing), [], None
    while True:
        page = worklist(ledger, listing, limit=2, after=after)
        seen += [row.study_id for row in page.rows]
        if (after := page.after) is None:
            break
    assert seen == whole
    assert sorted(seen) == sorted(made)


def test_what_is_signed_between_two_pages_makes_none_skip_a_study(ledger: Ledger) -> None:
    made = [summarised(ledger, Lane.ROUTINE, f"s{n}") for n in range(4)]
    page = worklist(ledger, WorklistView.AWAITING, limit=2)
    for row in page.rows:
        sign_study(ledger, row.study_id)
    assert listed(ledger, after=page.after) == made[2:]


def test_a_filter_looks_at_a_bounded_part_and_says_where_to_go_on(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "REACH", 3)
    first = put(ledger)
    reject(ledger, first)
    for _ in range(4):
        put(ledger)
    rejected = Filters(states=[StudyState.REJECTED])
    page = worklist(ledger, WorklistView.ALL, limit=2, filters=rejected)
    assert page.rows == []
    assert page.after is not None
    page = worklist(ledger, WorklistView.ALL, limit=2, filters=rejected, after=page.after)
    assert ([row.study_id for row in page.rows], page.after) == ([first.study_id], None)


def test_registering_again_costs_no_search_for_drafts_where_nothing_is_raised(ledger: Ledger) -> None:
    summarised(ledger, Lane.STAT, "a")
    before = rows(ledger, "SELECT xmin::text FROM summaries")
    for lane in Lane:
        register_objects(ledger, [], lane, actor="test")
        put(ledger, "a.dcm", lane=lane)
    assert rows(ledger, "SELECT xmin::text FROM summaries") == before

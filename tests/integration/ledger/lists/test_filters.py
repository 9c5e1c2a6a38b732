"""Filters, orders and counts: whatever finds the rows of a list, they are those that the filters say, in its order."""

import dataclasses
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.made_lists import DAY, FINDINGS, WORDS, Made, made, put_all
from xraygpt_core.errors import InvalidRequest
from xraygpt_core.ledger.lists import search
from xraygpt_core.ledger.lists.assign import Reader
from xraygpt_core.ledger.lists.filters import Filters
from xraygpt_core.ledger.lists.orders import ORDERS, Order, Sorting, WorklistView, own_sorting
from xraygpt_core.ledger.lists.worklist import Counts, count, worklist
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import Flag, Lane, ReviewState, StudyState

TIMES = st.datetimes(DAY.replace(tzinfo=None), DAY.replace(tzinfo=None) + timedelta(hours=40), timezones=st.just(UTC))
DAYS = st.dates(date(2025, 12, 30), date(2026, 2, 6))


def some(values: Any) -> Any:
    return st.lists(st.sampled_from(list(values)), max_size=2, unique=True)


FILTERS = st.builds(
    Filters,
    lane=st.none() | st.sampled_from(Lane),
    states=st.just(()) | some(StudyState),
    reviews=st.just(()) | some(ReviewState),
    findings=st.just(()) | some(FINDINGS),
    uncertain=st.just(()) | some(FINDINGS),
    views=st.just(()) | some(["PA", "AP", "none"]),
    flags=st.just(()) | some([Flag.SYNTHETIC, Flag.CHEST_UNCERTAIN, Flag.CONSISTENCY]),
    bundle=st.none() | st.sampled_from(["one", "zero"]),
    reviewer=st.none() | st.sampled_from(["Dr. A", "Dr. Z"]),
    text=st.none() | st.sampled_from([*WORDS, "small left", "eff", "zebra", " ", "'", "&!", "low"]),
    received_from=st.none() | TIMES,
    received_until=st.none() | TIMES,
    acquired_from=st.none() | DAYS,
    acquired_until=st.none() | DAYS,
    mine=st.none() | st.sampled_from([Reader(None, "Dr. A"), Reader(None, "Dr. Z")]),
)
LISTINGS = st.sampled_from(WorklistView).flatmap(
    lambda one: st.tuples(st.just(one), st.sampled_from(ORDERS[one]), st.booleans())
)


def fits(one: Made, listing: WorklistView, chosen: Filters) -> bool:
    """The same as the filters say, in Python."""
    if listing is WorklistView.AWAITING and one.review != "draft":
        return False
    if listing is WorklistView.SIGNED and one.review in (None, "draft"):
        return False
    asserted, uncertain = (one.asserted, one.uncertain) if one.review else ((), ())
    words = [word.strip("'") for word in (chosen.text or "").split() if any(letter.isalnum() for letter in word)]
    signed = one.reviewer if one.signed else None
    return all([
        chosen.lane is None or one.rank == chosen.lane.rank,
        not chosen.states or one.state in chosen.states,
        not chosen.reviews or one.review in chosen.reviews,
        set(chosen.findings) <= set(asserted),
        set(chosen.uncertain) <= set(uncertain),
        not chosen.views or one.view in chosen.views,
        set(chosen.flags) <= {*one.flags, *one.text_flags},
        chosen.bundle is None or (one.review is not None and one.bundle == chosen.bundle),
        chosen.reviewer is None or signed == chosen.reviewer,
        not words or (one.review is not None and all(any(w.startswith(word) for w in one.words) for word in words)),
        chosen.received_from is None or one.at >= chosen.received_from,
        chosen.received_until is None or one.at < chosen.received_until,
        chosen.acquired_from is None or (one.day is not None and one.day >= chosen.acquired_from),
        chosen.acquired_until is None or (one.day is not None and one.day <= chosen.acquired_until),
        chosen.mine is None or one.assigned == chosen.mine.name,
    ])  # fmt: skip


def place(one: Made, order: Order) -> tuple[Any, ...]:
    match order:
        case Order.URGENCY:
            return one.rank, one.drafted, one.summary
        case Order.SIGNED:
            return one.signed, one.summary
        case Order.RECEIVED:
            return one.at, one.id
        case Order.ACQUIRED:
            return one.day or date.min, one.image if one.day else one.id


def expected(studies: list[Made], listing: WorklistView, chosen: Filters, sorting: Sorting) -> list[UUID]:
    found = sorted(
        (one for one in studies if fits(one, listing, chosen)),
        key=lambda one: place(one, sorting.order),
        reverse=sorting.descending,
    )
    if sorting.order is Order.ACQUIRED:
        found.sort(key=lambda one: one.day is None)
    return [one.id for one in found]


def whole(ledger: Ledger, listing: WorklistView, chosen: Filters, sorting: Sorting, limit: int) -> list[UUID]:
    """Page after page; one may be short."""
    seen: list[UUID] = []
    after = None
    for _ in range(500):
        page = worklist(ledger, listing, limit=limit, after=after, filters=chosen, sorting=sorting)
        seen += [row.study_id for row in page.rows]
        if (after := page.after) is None:
            return seen
    raise AssertionError("the pages do not end")


@pytest.fixture
def house(ledger: Ledger) -> tuple[Ledger, list[Made]]:
    """A hundred studies by chance, always the same."""
    random = Random(7)
    studies = [made(random) for _ in range(100)]
    put_all(ledger, studies)
    return ledger, studies


@pytest.mark.parametrize(("picked", "reach"), [(4000, 1), (0, 1), (3, 2)], ids=["picked", "walked", "either"])
def test_a_list_shows_what_its_filters_say_in_its_order_whatever_finds_it(
    house: tuple[Ledger, list[Made]], monkeypatch: pytest.MonkeyPatch, picked: int, reach: int
) -> None:
    ledger, studies = house
    monkeypatch.setattr(search, "MOST_PICKED", picked)
    for name in ("REACH", "REACH_TEXT", "REACH_WORDS"):
        monkeypatch.setattr(search, name, 17 * reach)

    @settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(LISTINGS, FILTERS, st.integers(1, 9).map(lambda n: n * 11))
    def holds(which: tuple[WorklistView, Order, bool], chosen: Filters, limit: int) -> None:
        listing, order, descending = which
        sorting = Sorting(order, descending and order is not Order.URGENCY)
        assert whole(ledger, listing, chosen, sorting, limit) == expected(studies, listing, chosen, sorting)

    holds()


def test_each_filter_alone_finds_what_it_says(house: tuple[Ledger, list[Made]]) -> None:
    ledger, studies = house
    for chosen in (
        Filters(findings=["effusion"]),
        Filters(uncertain=["nodule"]),
        Filters(flags=[Flag.CONSISTENCY]),
        Filters(text="ödem"),
        Filters(text="low-ly"),
        Filters(text="DON'T"),
        Filters(mine=Reader(None, "Dr. A")),
        Filters(acquired_from=date(2026, 2, 2)),
        Filters(reviews=[ReviewState.EDITED]),
    ):
        sorting = own_sorting(WorklistView.ALL)
        want = expected(
            studies, WorklistView.ALL, dataclasses.replace(chosen, text=(chosen.text or "").lower()), sorting
        )
        assert whole(ledger, WorklistView.ALL, chosen, sorting, 50) == want, chosen
        assert want, chosen


def test_the_numbers_beside_filters_are_those_of_the_rows(house: tuple[Ledger, list[Made]]) -> None:
    ledger, studies = house
    found = count(ledger, WorklistView.SIGNED, filters=Filters(views=["PA", "AP"]))
    shown = [one for one in studies if fits(one, WorklistView.SIGNED, Filters(views=["PA", "AP"]))]
    assert (found.total, found.whole) == (len(shown), True)
    for view in ("PA", "AP"):
        assert found.by["view"][view] == sum(one.view == view for one in shown)
    for finding in FINDINGS:
        assert found.by["finding"].get(finding, 0) == sum(finding in one.asserted for one in shown)
    assert sum(found.by["reviewer"].values()) == len(shown)
    assert set(found.by["lane"]) <= set(Lane)


def test_numbers_of_a_part_say_that_they_are(house: tuple[Ledger, list[Made]], monkeypatch: pytest.MonkeyPatch) -> None:
    ledger, _ = house
    monkeypatch.setattr(search, "REACH_TEXT", 20)
    found = count(ledger, WorklistView.ALL)
    assert found == Counts(10, False, found.by)


def test_a_list_has_its_own_orders_only(ledger: Ledger) -> None:
    with pytest.raises(InvalidRequest, match="ordered by"):
        worklist(ledger, WorklistView.ALL, limit=1, sorting=Sorting(Order.SIGNED, descending=True))


@given(st.text(max_size=300))
def test_whatever_is_typed_becomes_words_or_nothing(typed: str) -> None:
    words = Filters(text=typed).words
    assert words is None or words.count("'") == 2 * (words.count(" & ") + 1)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=200))
def test_whatever_is_typed_is_searched_for_without_an_error(ledger: Ledger, typed: str) -> None:
    assert worklist(ledger, WorklistView.AWAITING, limit=1, filters=Filters(text=typed)).rows == []


def test_moments_at_the_ends_of_time_are_places(ledger: Ledger) -> None:
    ends = Filters(received_from=datetime(1, 1, 1, tzinfo=UTC), acquired_until=date.max)
    assert worklist(ledger, WorklistView.ALL, limit=1, filters=ends).rows == []

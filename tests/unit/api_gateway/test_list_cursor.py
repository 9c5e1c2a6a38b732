"""Places in a list as text: what goes out comes back, and nothing else is taken for it."""

import re
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_gateway import list_cursor
from xraygpt_core.errors import InvalidRequest
from xraygpt_core.ledger.lists.orders import ORDERS, Cursor, Order, Sorting, WorklistView, own_sorting

LISTS = st.sampled_from([
    (listing, Sorting(order, descending))
    for listing in WorklistView
    for order in ORDERS[listing]
    for descending in (False, True)
])  # fmt: skip
MOMENTS = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))
PLACES = st.builds(Cursor, st.integers(-1, 2), MOMENTS, st.uuids())


@given(LISTS, PLACES)
def test_a_place_comes_back_as_it_went_out(which: tuple[WorklistView, Sorting], place: Cursor) -> None:
    text = list_cursor.written(*which, place)
    assert re.fullmatch(list_cursor.LETTERS, text)
    assert list_cursor.read(*which, text) == place


@given(LISTS, LISTS, PLACES)
def test_a_place_is_of_its_list_and_its_order(
    one: tuple[WorklistView, Sorting], other: tuple[WorklistView, Sorting], place: Cursor
) -> None:
    text = list_cursor.written(*one, place)
    if one == other:
        assert list_cursor.read(*other, text) == place
    else:
        with pytest.raises(InvalidRequest, match="another"):
            list_cursor.read(*other, text)


@given(st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", min_size=36, max_size=36))
def test_what_was_made_up_is_a_place_or_refused(text: str) -> None:
    try:
        place = list_cursor.read(WorklistView.AWAITING, own_sorting(WorklistView.AWAITING), text)
    except InvalidRequest:
        return
    assert isinstance(place.id, UUID)


def test_every_list_has_orders_and_urgency_is_of_what_waits_alone() -> None:
    assert all(ORDERS[listing] for listing in WorklistView)
    assert [listing for listing in WorklistView if Order.URGENCY in ORDERS[listing]] == [WorklistView.AWAITING]

"""Opaque ids: RFC 9562 version 7, sorting by the time they were made."""

import time
from uuid import RFC_4122, UUID

from xraygpt_core.ids import new_id, new_ids


def test_an_id_is_a_version_7_uuid() -> None:
    made = new_id()
    assert made.version == 7
    assert made.variant == RFC_4122


def test_the_first_48_bits_are_the_milliseconds_of_now() -> None:
    before = time.time_ns() // 1_000_000
    milliseconds = new_id().int >> 80
    assert before <= milliseconds <= time.time_ns() // 1_000_000


def test_ids_made_one_after_the_other_sort_in_that_order_across_milliseconds() -> None:
    first = new_id()
    while time.time_ns() // 1_000_000 <= first.int >> 80:
        pass
    assert first < new_id()


def test_ids_sort_within_a_millisecond_by_its_fraction(monkeypatch) -> None:
    moment = 1_700_000_000_000_000_000
    made = []
    for nanoseconds in range(0, 1_000_000, 100_000):
        monkeypatch.setattr(time, "time_ns", lambda: moment + nanoseconds)  # noqa: B023  # called at once
        made.append(new_id())
    assert made == sorted(made)
    assert len({one.int >> 80 for one in made}) == 1


def test_a_hundred_thousand_ids_are_all_different() -> None:
    assert len({new_id() for _ in range(100_000)}) == 100_000


def test_many_ids_made_at_once_are_as_good_as_single_ones() -> None:
    texts = new_ids(3000)
    ids = [UUID(text) for text in texts]
    assert texts == [str(one) for one in ids]
    assert len(set(ids)) == 3000
    assert {one.version for one in ids} == {7}
    assert texts == sorted(texts), "they stand together in an index, in the order they were made"
    assert abs(ids[0].int - new_id().int) >> 80 < 60_000, "and beside those of the same moment"

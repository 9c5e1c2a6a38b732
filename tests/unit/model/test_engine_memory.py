"""How many slots of which lengths fit into the memory that is free."""

import pytest

from xraygpt_core.errors import BundleError
from xraygpt_core.model.engine.arena import SlotClass
from xraygpt_core.model.engine.memory import plan_slots


def test_slots_are_counted_from_memory() -> None:
    assert plan_slots(10**9, 1000, 250, 8192, 16) == (SlotClass(256, 16), SlotClass(2048, 2))
    assert plan_slots(5 * 10**6, 1000, 250, 8192, 16) == (SlotClass(256, 11), SlotClass(2048, 1))
    assert plan_slots(10**9, 1000, 250, 1024, 4) == (SlotClass(256, 4), SlotClass(1024, 1))


def test_a_bundle_of_several_images_has_one_memory_for_all_its_summaries() -> None:
    """MAIRA-2 on a GPU of 80 GB: half a MiB a token, 1369 tokens an image, 300 for text and answer."""
    lengths = [images * 1369 + 300 for images in (1, 2, 3)]
    shared, talk = plan_slots(55 * 2**30, 2**19, lengths[2], 6144, 64, lengths[:2])
    assert (shared.lengths, talk.length) == ((1696, 3040, 4416), 4928)
    assert (shared.count, shared.rows, talk.count) == (21, 64, 4)
    assert [shared.tokens // length for length in shared.lengths] == [54, 30, 21]
    assert 55 * 2**30 - 2**19 * (shared.tokens + talk.tokens) < 2**19 * shared.length, "less than one slot is left"


def test_prompts_that_differ_by_a_few_words_share_their_slots() -> None:
    shared, _ = plan_slots(10**9, 1000, 1000, 8192, 16, [400, 690, 700, 980, 1000])
    assert shared.lengths == (416, 704, 1024)


def test_a_device_without_room_for_one_slot_is_refused() -> None:
    with pytest.raises(BundleError, match="one slot of each kind"):
        plan_slots(2 * 10**6, 1000, 250, 8192, 16)

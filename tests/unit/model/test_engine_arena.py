"""Rows of several lengths in one memory: side by side, never one upon the other, and moved where one is in the way."""

import itertools
import random

import pytest

from xraygpt_core.model.engine.arena import Arena, SlotClass

SHARED = SlotClass(30, 4, shorter=(10, 20), most=12)


def placed(arena: Arena[str], size: int, name: str) -> int | None:
    slot = arena.free(size)
    if slot is not None:
        arena.slots[size][slot] = name
    return slot


def taken(arena: Arena[str], one: SlotClass) -> list[tuple[int, int]]:
    """From which token to which, for each row."""
    return sorted(
        (slot * pitch, (slot + 1) * pitch)
        for pitch, slots in zip(one.pitches, arena.slots, strict=True)
        for slot, row in enumerate(slots)
        if row is not None
    )


def test_a_memory_of_one_length_is_filled_from_its_beginning() -> None:
    arena: Arena[str] = Arena(SlotClass(10, 3))
    assert [placed(arena, 0, name) for name in "abcd"] == [0, 1, 2, None]
    arena.slots[0][0] = None
    assert [(step.source, step.target) for step in arena.close_holes()] == [(2, 0)]
    assert arena.slots == [["c", "b", None]]


def test_the_shortest_and_the_longest_rows_grow_towards_each_other() -> None:
    arena: Arena[str] = Arena(SHARED)
    assert [placed(arena, 0, name) for name in "abc"] == [0, 1, 2]
    assert [placed(arena, 2, name) for name in "xyz"] == [3, 2, 1]
    assert placed(arena, 2, "w") is None
    assert placed(arena, 0, "d") is None


def test_all_of_the_memory_serves_whatever_length_is_asked_for() -> None:
    for size, count in enumerate((12, 6, 4)):
        arena: Arena[str] = Arena(SHARED)
        assert sum(placed(arena, size, str(number)) is not None for number in range(20)) == count


def test_no_more_rows_enter_than_are_wanted() -> None:
    arena: Arena[str] = Arena(SlotClass(30, 4, shorter=(10,), most=5))
    assert sum(placed(arena, 0, str(number)) is not None for number in range(12)) == 5


def test_a_hole_belongs_to_its_length_until_it_is_closed() -> None:
    arena: Arena[str] = Arena(SHARED)
    for name in "abcdefghi":
        placed(arena, 0, name)
    for slot in range(3, 6):
        arena.slots[0][slot] = None
    assert placed(arena, 2, "x") == 3
    assert placed(arena, 2, "y") is None
    assert [(step.source, step.target) for step in arena.close_holes()] == [(8, 3), (7, 4), (6, 5)]
    assert placed(arena, 2, "y") == 2


def test_rows_between_step_aside_for_one_that_would_fit_without_them() -> None:
    arena: Arena[str] = Arena(SHARED)
    placed(arena, 0, "a")
    assert placed(arena, 1, "m") == 1
    assert [placed(arena, 0, name) for name in "bc"] == [1, None]
    assert [(step.size, step.source, step.target) for step in arena.make_way(0)] == [(1, 1, 2)]
    assert placed(arena, 0, "c") == 2


def test_nothing_moves_where_that_makes_no_room() -> None:
    arena: Arena[str] = Arena(SlotClass(30, 1, shorter=(10, 20)))
    placed(arena, 1, "m")
    before = [list(slots) for slots in arena.slots]
    assert arena.make_way(2) == []
    assert arena.slots == before


def test_slots_lie_as_far_apart_as_their_length_and_what_a_step_ahead_writes() -> None:
    one = SlotClass(30, 2, shorter=(10,), most=5, ahead=1)
    assert (one.pitches, one.tokens) == ((11, 31), 62)
    arena: Arena[str] = Arena(one)
    for name in "abc":
        placed(arena, 0, name)
    assert placed(arena, 1, "x") is None
    arena.slots[0][2] = None
    assert placed(arena, 1, "x") == 1


@pytest.mark.parametrize("seed", range(5))
def test_whatever_comes_and_goes_rows_stay_apart_dense_and_findable(seed: int) -> None:
    chance, arena = random.Random(seed), Arena[str](SHARED)
    for name in map(str, range(400)):
        size = chance.randrange(3)
        if placed(arena, size, name) is None:
            before = sorted(arena.rows)
            arena.make_way(size)
            assert sorted(arena.rows) == before
            placed(arena, size, name)
        for slots in arena.slots:
            for slot, row in enumerate(slots):
                if row is not None and chance.random() < 0.15:
                    slots[slot] = None
        list(arena.close_holes())
        places = taken(arena, SHARED)
        assert all(end <= start for (_, end), (start, _) in itertools.pairwise(places))
        assert places[-1][1] <= SHARED.tokens if places else True
        assert all(None not in [slots[slot] for slot in arena.stretch(size)] for size, slots in enumerate(arena.slots))


def test_little_of_the_memory_is_lost_between_rows_of_different_lengths() -> None:
    """MAIRA-2's lengths on 80 GB: requests come in any mixture, and enter in their order or not at all."""
    one = SlotClass(4416, 22, shorter=(1696, 3040), most=64)
    chance, arena, shares = random.Random(1), Arena[str](one), []
    for _ in range(600):
        while True:
            size = chance.choice([0, 0, 0, 1, 1, 2])
            if arena.free(size) is None:
                arena.make_way(size)
            if placed(arena, size, "row") is None:
                break
        used = sum(end - start for start, end in taken(arena, one))
        shares.append(used / one.tokens)
        for slots in arena.slots:
            for slot, row in enumerate(slots):
                if row is not None and chance.random() < 0.01:
                    slots[slot] = None
        list(arena.close_holes())
    assert sum(shares) / len(shares) > 0.93

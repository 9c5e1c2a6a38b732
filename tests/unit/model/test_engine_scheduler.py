"""The scheduler: nobody starves beyond the stated bound, no slot is lost, nobody is served twice, lanes in order."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xraygpt_core.errors import InvalidRequest
from xraygpt_core.model.engine.arena import SlotClass
from xraygpt_core.model.engine.scheduler import FAIR_EVERY, GROW_AFTER, Scheduler, Ticket, piece, similar

CLASSES = (SlotClass(10, 3), SlotClass(40, 1))


def ticket(rank: int = 1, tokens: int = 8, *, alone: bool = False) -> Ticket[str]:
    return Ticket("", rank, min(tokens, 4), tokens, alone)


def filled(scheduler: Scheduler[str], count: int, rank: int = 1) -> list[Ticket[str]]:
    made = [ticket(rank) for _ in range(count)]
    for one in made:
        scheduler.add(one)
    return made


def test_it_works_without_the_model_libraries() -> None:
    code = (
        "import sys; sys.modules['torch'] = sys.modules['transformers'] = None\n"
        "import xraygpt_core.model.engine.scheduler, xraygpt_core.model.engine.memory, "
        "xraygpt_core.model.backend"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_most_urgent_enters_first_and_within_a_rank_whoever_came_first() -> None:
    scheduler: Scheduler[str] = Scheduler([SlotClass(10, 4)])
    late = filled(scheduler, 2, rank=2)
    urgent = filled(scheduler, 2, rank=0)
    assert scheduler.admit(100) == [*urgent, *late]


def test_a_free_slot_is_given_at_the_next_call() -> None:
    scheduler: Scheduler[str] = Scheduler([SlotClass(10, 2)])
    first, second, third = filled(scheduler, 3)
    assert scheduler.admit(100) == [first, second]
    assert scheduler.admit(100) == []
    scheduler.leave(second)
    assert scheduler.admit(100) == [third]
    assert third.slot == 1


def test_a_request_takes_the_shortest_slot_that_holds_it() -> None:
    scheduler: Scheduler[str] = Scheduler(CLASSES)
    short, long = ticket(tokens=10), ticket(tokens=11)
    for one in (short, long):
        scheduler.add(one)
    scheduler.admit(100)
    assert (short.kind, long.kind) == (0, 1)


def test_a_full_class_does_not_hold_up_the_other() -> None:
    scheduler: Scheduler[str] = Scheduler(CLASSES)
    first, second, short = ticket(0, 30), ticket(0, 30), ticket(3)
    for one in (first, second, short):
        scheduler.add(one)
    assert scheduler.admit(100) == [first, short]


def test_what_fits_into_no_slot_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="41 tokens"):
        Scheduler[str](CLASSES).add(ticket(tokens=41))


def test_prompts_enter_up_to_the_budget_but_one_always() -> None:
    scheduler: Scheduler[str] = Scheduler([SlotClass(10, 4)])
    filled(scheduler, 4)
    assert len(scheduler.admit(9)) == 2
    assert len(scheduler.admit(1)) == 1


def test_a_long_prompt_enters_with_what_is_read_of_it_at_once() -> None:
    assert [piece(tokens, 100) for tokens in (1, 100, 101, 250, 400)] == [1, 100, 51, 84, 100]
    scheduler: Scheduler[str] = Scheduler([SlotClass(500, 4)])
    for tokens in (250, 10, 10):
        scheduler.add(Ticket("", 1, tokens, tokens))
    assert [one.prompt_tokens for one in scheduler.admit(100)] == [250, 10]
    assert scheduler.admit(100, reading=91) == []
    assert len(scheduler.admit(100, reading=84)) == 1


def test_images_enter_up_to_the_bound_but_one_request_always() -> None:
    scheduler: Scheduler[str] = Scheduler([SlotClass(10, 8)])
    for images in (3, 1, 1, 2, 0):
        scheduler.add(Ticket("", 1, 1, 4, images=images))
    assert [[one.images for one in scheduler.admit(100, 2)] for _ in range(4)] == [[3], [1, 1], [2, 0], []]


def test_rows_of_several_lengths_share_one_memory() -> None:
    scheduler: Scheduler[str] = Scheduler([SlotClass(30, 3, shorter=(10, 20), most=5), SlotClass(40, 1)])
    small, large, middle, talk = ticket(tokens=9), ticket(tokens=30), ticket(tokens=15), ticket(tokens=35)
    for one in (small, large, middle, talk):
        scheduler.add(one)
    assert scheduler.admit(100) == [small, large, middle, talk]
    assert [one.kind for one in (small, large, middle, talk)] == [0, 2, 1, 3]
    assert scheduler.at(2, 2) is large
    assert scheduler.running == [small, middle, large, talk]


def test_the_next_of_a_class_waits_for_memory_and_the_shorter_ones_behind_it_wait_too() -> None:
    scheduler: Scheduler[str] = Scheduler([SlotClass(30, 2, shorter=(10, 20), most=5)])
    first = filled(scheduler, 4)
    scheduler.admit(100)
    large = ticket(tokens=30)
    scheduler.add(large)
    filled(scheduler, 1)
    assert scheduler.admit(100) == []
    scheduler.leave(first[0])
    list(scheduler.compact())
    assert scheduler.admit(100)[0] is large


def test_every_eighth_place_goes_to_whoever_waits_longest() -> None:
    scheduler: Scheduler[str] = Scheduler([SlotClass(10, 1)])
    (patient,) = filled(scheduler, 1, rank=3)
    for turn in range(1, FAIR_EVERY + 1):
        filled(scheduler, 2, rank=0)
        (entered,) = scheduler.admit(100)
        assert (entered is patient) == (turn == FAIR_EVERY)
        scheduler.leave(entered)


def test_a_suspect_runs_alone() -> None:
    scheduler: Scheduler[str] = Scheduler([SlotClass(10, 3)])
    (first,) = filled(scheduler, 1)
    assert scheduler.admit(100) == [first]
    suspect = ticket(alone=True)
    scheduler.add(suspect)
    filled(scheduler, 1)
    assert scheduler.admit(100) == []
    scheduler.leave(first)
    assert scheduler.admit(100) == [suspect]
    assert scheduler.admit(100) == []
    scheduler.leave(suspect)
    assert len(scheduler.admit(100)) == 1


def test_out_of_memory_halves_what_runs_at_once() -> None:
    scheduler: Scheduler[str] = Scheduler([SlotClass(10, 8)])
    filled(scheduler, 8)
    running = scheduler.admit(100)
    assert scheduler.halve() == 4
    for one in running:
        scheduler.put_back(one)
    assert scheduler.admit(100) == running[:4]
    assert [scheduler.halve() for _ in range(4)] == [2, 1, 1, 1]


def test_after_a_thousand_admissions_without_trouble_twice_as_many_run() -> None:
    scheduler: Scheduler[str] = Scheduler([SlotClass(10, 8)])
    scheduler.limit = 6
    for count in range(GROW_AFTER):
        assert scheduler.limit == 6, count
        filled(scheduler, 1)
        (one,) = scheduler.admit(100)
        scheduler.leave(one)
    assert scheduler.limit == 8


def test_a_class_with_a_free_slot_is_not_passed_over_for_ever() -> None:
    scheduler: Scheduler[str] = Scheduler(CLASSES)
    scheduler.limit = 1
    short = ticket(rank=1)
    scheduler.add(short)
    for turn in range(1, FAIR_EVERY + 1):
        scheduler.add(ticket(rank=0, tokens=30))
        (one,) = scheduler.admit(100)
        assert (one is short) == (turn == FAIR_EVERY)
        scheduler.leave(one)


def test_who_is_put_back_keeps_its_place_in_the_queue() -> None:
    scheduler: Scheduler[str] = Scheduler([SlotClass(10, 1)])
    first, second = filled(scheduler, 2)
    scheduler.admit(100)
    scheduler.put_back(first)
    assert scheduler.waiting == [first, second]
    assert scheduler.admit(100) == [first]


def test_holes_are_closed_from_the_end() -> None:
    scheduler: Scheduler[str] = Scheduler([SlotClass(10, 4)])
    a, b, c, d = filled(scheduler, 4)
    scheduler.admit(100)
    scheduler.leave(a)
    scheduler.leave(c)
    assert [(move.source, move.target) for move in scheduler.compact()] == [(3, 0)]
    assert scheduler.on(0) == [d, b]
    assert (d.slot, b.slot) == (0, 1)


@given(st.lists(st.integers(1, 500), min_size=1, max_size=40))
def test_prompts_of_similar_length_are_padded_together(lengths: list[int]) -> None:
    groups = similar(lengths)
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    for group in groups:
        inside = [lengths[index] for index in group]
        assert sum(inside) >= 0.75 * max(inside) * len(inside)

"""The scheduler: nobody starves beyond the stated bound, no slot is lost, nobody is served twice, lanes in order."""

import subprocess
import sys
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from xraygpt_core.errors import BundleError, InvalidRequest
from xraygpt_core.model.engine.memory import plan_slots
from xraygpt_core.model.engine.scheduler import FAIR_EVERY, GROW_AFTER, Scheduler, SlotClass, State, Ticket, similar

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


@dataclass
class Watched:
    """What the test itself knows about a ticket."""

    older: int  # how many waited for its class when it came
    admissions: int  # of its class, when it came
    entered: int = 0


@dataclass
class World:
    watched: dict[Ticket[str], Watched] = field(default_factory=dict)
    admissions: list[int] = field(default_factory=lambda: [0] * len(CLASSES))


class SchedulerMachine(RuleBasedStateMachine):
    """Arrivals, departures, cancellations, retries and steps in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.scheduler: Scheduler[str] = Scheduler(CLASSES)
        self.world = World()

    @rule(rank=st.integers(0, 3), tokens=st.integers(1, 40), alone=st.booleans(), often=st.integers(1, 4))
    def arrive(self, rank: int, tokens: int, alone: bool, often: int) -> None:
        for _ in range(often):
            one = ticket(rank, tokens, alone=alone and often == 1)
            self.scheduler.add(one)
            older = sum(other.kind == one.kind for other in self.scheduler.waiting) - 1
            self.world.watched[one] = Watched(older, self.world.admissions[one.kind])

    @rule(budget=st.integers(1, 20))
    def step(self, budget: int) -> None:
        waiting, turns = self.scheduler.waiting, list(self.world.admissions)
        for one in self.scheduler.admit(budget):
            same = [other for other in waiting if other.kind == one.kind and other.state is State.WAITING]
            turns[one.kind] += 1
            if turns[one.kind] % FAIR_EVERY:
                assert all(other.rank >= one.rank for other in same), "a less urgent request went first"
                assert all(other.order > one.order for other in same if other.rank == one.rank)
            else:
                assert all(other.order > one.order for other in same)
            known = self.world.watched[one]
            known.entered += 1
            assert known.entered == 1, "served twice"
            self.world.admissions[one.kind] += 1
            passed = self.world.admissions[one.kind] - known.admissions
            assert passed <= FAIR_EVERY * (known.older + 1), "starved beyond the bound"

    @precondition(lambda self: self.scheduler.running)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.scheduler.running))
        self.scheduler.leave(one)

    @precondition(lambda self: self.scheduler.waiting)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self.scheduler.leave(data.draw(st.sampled_from(self.scheduler.waiting)))

    @rule()
    def close_holes(self) -> None:
        places = {one: (one.kind, one.slot) for one in self.scheduler.running}
        for move in self.scheduler.compact():
            mover = next(one for one, place in places.items() if place == (move.kind, move.source))
            places[mover] = (move.kind, move.target)
        assert places == {one: (one.kind, one.slot) for one in self.scheduler.running}
        for kind in range(len(CLASSES)):
            assert None not in self.scheduler.on(kind)

    @invariant()
    def every_slot_has_at_most_one_owner_and_knows_it(self) -> None:
        running = self.scheduler.running
        assert len({(one.kind, one.slot) for one in running}) == len(running)
        for kind in range(len(CLASSES)):
            for slot, one in enumerate(self.scheduler.on(kind)):
                assert one is None or (one.kind, one.slot, one.state) == (kind, slot, State.RUNNING)

    @invariant()
    def nobody_is_lost(self) -> None:
        here = {*self.scheduler.running, *self.scheduler.waiting}
        assert here == {one for one in self.world.watched if one.state is not State.GONE}

    def teardown(self) -> None:
        """Everybody who still waits gets a slot in the end, and every slot is free again."""
        for _ in range(2 * len(self.world.watched) + 1):
            self.step(1000)
            for one in self.scheduler.running:
                self.scheduler.leave(one)
        assert self.scheduler.waiting == []
        assert self.scheduler.running == []


SchedulerMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestSchedulerMachine = SchedulerMachine.TestCase


@given(st.lists(st.integers(1, 500), min_size=1, max_size=40))
def test_prompts_of_similar_length_are_padded_together(lengths: list[int]) -> None:
    groups = similar(lengths)
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    for group in groups:
        inside = [lengths[index] for index in group]
        assert sum(inside) >= 0.75 * max(inside) * len(inside)


def test_slots_are_counted_from_memory() -> None:
    assert plan_slots(10**9, 1000, 250, 8192, 16) == (SlotClass(256, 16), SlotClass(2048, 2))
    assert plan_slots(5 * 10**6, 1000, 250, 8192, 16) == (SlotClass(256, 11), SlotClass(2048, 1))
    assert plan_slots(10**9, 1000, 250, 1024, 4) == (SlotClass(256, 4), SlotClass(1024, 1))


def test_a_device_without_room_for_one_slot_is_refused() -> None:
    with pytest.raises(BundleError, match="one slot of each kind"):
        plan_slots(2 * 10**6, 1000, 250, 8192, 16)

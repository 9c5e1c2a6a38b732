"""The scheduler under arrivals, departures and steps in any order, with classes of one length and of several."""

import itertools
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.unit.model.test_engine_scheduler import ticket
from xraygpt_core.model.engine.arena import SlotClass
from xraygpt_core.model.engine.scheduler import FAIR_EVERY, Scheduler, State, Ticket

MIXED = (SlotClass(10, 3), SlotClass(30, 2, shorter=(12, 21), most=4), SlotClass(40, 1))


@dataclass
class Watched:
    """What the test itself knows about a ticket."""

    older: int  # how many waited for its class when it came
    admissions: int  # of its class, when it came
    entered: int = 0


@dataclass
class World:
    watched: dict[Ticket[str], Watched] = field(default_factory=dict)
    admissions: list[int] = field(default_factory=lambda: [0] * len(MIXED))


def class_of(one: Ticket[str]) -> int:
    return next(number for number, length in enumerate((10, 30, 40)) if one.tokens <= length)


class SchedulerMachine(RuleBasedStateMachine):
    """Arrivals, departures, cancellations, retries and steps in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.scheduler: Scheduler[str] = Scheduler(MIXED)
        self.world = World()

    @rule(rank=st.integers(0, 3), tokens=st.integers(1, 40), alone=st.booleans(), often=st.integers(1, 4))
    def arrive(self, rank: int, tokens: int, alone: bool, often: int) -> None:
        for _ in range(often):
            one = ticket(rank, tokens, alone=alone and often == 1)
            self.scheduler.add(one)
            older = sum(class_of(other) == class_of(one) for other in self.scheduler.waiting) - 1
            self.world.watched[one] = Watched(older, self.world.admissions[class_of(one)])

    @rule(budget=st.integers(1, 20))
    def step(self, budget: int) -> None:
        waiting, turns = self.scheduler.waiting, list(self.world.admissions)
        for one in self.scheduler.admit(budget):
            kind = class_of(one)
            same = [other for other in waiting if class_of(other) == kind and other.state is State.WAITING]
            turns[kind] += 1
            if turns[kind] % FAIR_EVERY:
                assert all(other.rank >= one.rank for other in same), "a less urgent request went first"
                assert all(other.order > one.order for other in same if other.rank == one.rank)
            else:
                assert all(other.order > one.order for other in same)
            known = self.world.watched[one]
            known.entered += 1
            assert known.entered == 1, "served twice"
            self.world.admissions[kind] += 1
            passed = self.world.admissions[kind] - known.admissions
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
        for kind in range(len(self.scheduler.lengths)):
            assert None not in self.scheduler.on(kind)

    @invariant()
    def every_slot_has_at_most_one_owner_and_knows_it(self) -> None:
        running = self.scheduler.running
        assert len({(one.kind, one.slot) for one in running}) == len(running)
        for one in running:
            assert self.scheduler.at(one.kind, one.slot) is one
            assert one.state is State.RUNNING

    @invariant()
    def no_two_rows_have_a_token_in_common(self) -> None:
        taken: dict[int, list[tuple[int, int]]] = {}
        for one in self.scheduler.running:
            length = self.scheduler.lengths[one.kind]
            taken.setdefault(class_of(one), []).append((one.slot * length, (one.slot + 1) * length))
        for number, places in taken.items():
            places.sort()
            assert all(end <= start for (_, end), (start, _) in itertools.pairwise(places))
            assert places[-1][1] <= MIXED[number].tokens
            assert len(places) <= MIXED[number].rows

    @invariant()
    def nobody_is_lost(self) -> None:
        here = {*self.scheduler.running, *self.scheduler.waiting}
        assert here == {one for one in self.world.watched if one.state is not State.GONE}

    def teardown(self) -> None:
        """Everybody who still waits gets a slot in the end, and every slot is free again."""
        for _ in range(2 * len(self.world.watched) + 1):
            self.step(1000)
            self.close_holes()
            for one in self.scheduler.running:
                self.scheduler.leave(one)
        assert self.scheduler.waiting == []
        assert self.scheduler.running == []


SchedulerMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestSchedulerMachine = SchedulerMachine.TestCase

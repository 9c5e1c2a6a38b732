"""Places in a lane, against a lane that is served in their order: who waits for whom."""

from collections import Counter
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from xraygpt_core.ledger.actor import Actor
from xraygpt_core.ledger.fair_share import LOOK_SECONDS, Shares, sender_of
from xraygpt_core.states import Lane

ROUTINE = Lane.ROUTINE


class LaneModel:
    """A lane of the ledger: what waits, by place and age; an empty one is where its clock stands."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.waiting: list[tuple[int, int, str]] = []
        self.count = 0
        self.shares = [Shares(lambda: self.seconds), Shares(lambda: self.seconds)]

    def served(self) -> int:
        return min(self.waiting)[0] if self.waiting else 10**9 + int(self.seconds * 1e6)

    def register(self, sender: str, films: int, *, process: int = 0) -> None:
        first = self.shares[process].take(ROUTINE, sender, films, self.served)
        for place in range(first, first + films):
            self.count += 1
            self.waiting.append((place, self.count, sender))

    def work(self, films: int = 1) -> list[str]:
        done = sorted(self.waiting)[:films]
        self.waiting = sorted(self.waiting)[films:]
        self.seconds += LOOK_SECONDS * len(done)
        return [sender for _, _, sender in done]


def test_one_film_is_read_next_whatever_others_have_waiting() -> None:
    lane = LaneModel()
    lane.register("flood", 1000)
    lane.work(10)
    lane.register("one", 1)
    assert "one" in lane.work(2)


def test_two_floods_take_turns_from_when_the_second_begins() -> None:
    lane = LaneModel()
    lane.register("first", 1000)
    lane.work(300)
    lane.register("second", 1000)
    counts = Counter(lane.work(200))
    assert abs(counts["first"] - counts["second"]) <= 2


def test_who_worked_alone_yesterday_owes_nothing_today() -> None:
    lane = LaneModel()
    lane.register("early", 500)
    lane.work(500)
    lane.register("late", 100)
    lane.register("early", 100)
    counts = Counter(lane.work(100))
    assert abs(counts["early"] - counts["late"]) <= 2


def test_a_sender_s_own_films_keep_their_order() -> None:
    lane = LaneModel()
    for _ in range(5):
        lane.register("a", 3)
        lane.register("b", 1)
    mine = [count for _, count, sender in sorted(lane.waiting) if sender == "a"]
    assert mine == sorted(mine)


def test_what_is_tried_again_with_an_old_place_gives_no_newcomer_an_old_one() -> None:
    lane = LaneModel()
    lane.register("flood", 100)
    lane.work(50)
    lane.register("flood", 1)
    lane.waiting.append((3, 0, "again"))
    lane.seconds += LOOK_SECONDS
    lane.register("newcomers", 100)
    lane.work(1)
    counts = Counter(lane.work(40))
    assert abs(counts["flood"] - counts["newcomers"]) <= 2


def test_lanes_know_nothing_of_each_other() -> None:
    shares = Shares(lambda: 0.0)
    assert shares.take(Lane.STAT, "a", 5, lambda: 100) == 100
    assert shares.take(Lane.ROUTINE, "a", 5, lambda: 7) == 7
    assert shares.take(Lane.STAT, "a", 5, lambda: 0) == 105


def test_the_ledger_is_asked_a_few_times_a_second_at_most() -> None:
    asked, clock = [], [0.0]
    shares = Shares(lambda: clock[0])
    for _ in range(1000):
        shares.take(ROUTINE, "a", 1, lambda: asked.append(1) or 0)
        clock[0] += LOOK_SECONDS / 100
    assert len(asked) <= 11


def test_a_sender_is_a_key_a_part_of_the_system_or_a_door() -> None:
    key = UUID(int=1)
    assert sender_of(Actor("Dr. A", key_id=key, address="10.0.0.1"), "gateway") == str(key)
    assert sender_of(Actor("webhook"), "event") == "webhook"
    assert sender_of(None, "sweep") == "sweep"


ACTS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from("abcd"), st.integers(1, 40), st.integers(0, 1)),
        st.integers(1, 30),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(ACTS)
def test_no_sender_with_work_waits_for_more_than_its_share(acts: list[tuple[str, int, int] | int]) -> None:
    """Between two films of a sender that has some waiting, each other one has two at most for each process that
    registers for it (and what is known of the served place is new)."""
    lane = LaneModel()
    since: dict[str, Counter[str]] = {}
    for act in acts:
        if isinstance(act, tuple):
            sender, films, process = act
            lane.seconds += LOOK_SECONDS
            lane.register(sender, films, process=process)
            since.setdefault(sender, Counter())
            continue
        for _ in range(act):
            for done in lane.work():
                for counter in since.values():
                    counter[done] += 1
                since[done] = Counter()
            waiting = {sender for _, _, sender in lane.waiting}
            since = {sender: since.get(sender, Counter()) for sender in waiting}
            for sender, counter in since.items():
                assert all(count <= 4 for other, count in counter.items() if other != sender), (sender, counter)

"""How fast a backlog goes, and the proof that all of it has ended."""

import pytest

from tests.support.backlog_answer import NOW
from xraygpt.backlog_progress import SPAN_SECONDS, Proof, Speed, progress_line
from xraygpt.submit import ResultRow


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def running(speed: Speed, clock: Clock, per_second: int, seconds: int) -> None:
    for second in range(seconds + 1):
        clock.now = float(second)
        speed.note(per_second * second)


def test_speed_is_that_of_the_last_half_minute() -> None:
    clock = Clock()
    speed = Speed(clock)
    running(speed, clock, 2, 100)
    assert speed.per_second == pytest.approx(2.0)
    clock.now += SPAN_SECONDS
    speed.note(200)
    assert speed.per_second == 0.0
    assert speed.eta(5) == "?"


@pytest.mark.parametrize(("left", "said"), [(10, "5 s"), (250, "2 min 05 s"), (9000, "1 h 15 min")])
def test_the_rest_is_told_as_people_say_it(left: int, said: str) -> None:
    clock = Clock()
    speed = Speed(clock)
    running(speed, clock, 2, 10)
    assert speed.eta(left) == said


def test_nobody_knows_before_something_moved() -> None:
    speed = Speed(Clock())
    speed.note(0)
    assert (speed.per_second, speed.eta(10)) == (0.0, "?")


def test_a_line_says_what_was_listed_and_what_became_of_it() -> None:
    clock = Clock()
    speed = Speed(clock)
    running(speed, clock, 1, 5)
    line = progress_line(NOW | {"open": 4}, speed)
    assert line == "listing: 10 listed, 9 registered, 4 summarised, 1 rejected, 0 dead, 1.0/s, ETA 4 s"
    assert "2 cancelled" in progress_line(NOW | {"open": 4, "cancelled": 2}, speed)


def proof(*states: str) -> Proof:
    found = Proof()
    for number, state in enumerate(states, 1):
        found.note(ResultRow(f"s3://b/{number}", "backlog", state))
    return found


def test_everything_at_its_end_is_the_proof() -> None:
    said: list[str] = []
    found = proof("summarised", "rejected", "dead", "cancelled")
    found.show(said.append)
    assert found.document() == {"listed": 4, "ended": 4, "differences": []}
    assert said == ["proof: 4 objects listed, 4 images ended; nothing is missing"]


def test_a_difference_is_named_object_by_object() -> None:
    said: list[str] = []
    found = proof("summarised", "received", "running")
    found.show(said.append)
    assert found.document()["differences"] == [
        {"source": "s3://b/2", "state": "received"},
        {"source": "s3://b/3", "state": "running"},
    ]
    assert said == [
        "not at its end: s3://b/2 (received)",
        "not at its end: s3://b/3 (running)",
        "proof: 3 objects listed, 1 images ended; 2 are not at their end",
    ]


@pytest.mark.parametrize(
    ("states", "done"),
    [([], True), (["summarised", "rejected"], True), (["summarised", "dead"], False), (["cancelled"], False)],
)
def test_done_is_summarised_or_rejected(states: list[str], done: bool) -> None:
    assert proof(*states).done == done


def test_what_keeps_a_listing_from_going_on_is_said() -> None:
    speed = Speed(Clock())
    speed.note(0)
    line = progress_line(NOW | {"open": 4, "problem": "the bucket refuses (AccessDenied)"}, speed)
    assert line.endswith("; listing stands still: the bucket refuses (AccessDenied)")


def test_a_prefix_below_which_nothing_lies_is_doubted() -> None:
    said: list[str] = []
    proof().show(said.append)
    assert said[0] == "nothing lies there: is the prefix right?"

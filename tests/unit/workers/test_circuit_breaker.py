"""What waits while the buckets are away, and for how long."""

import threading
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from prometheus_client import REGISTRY

from workers.circuit_breaker import CircuitBreaker
from xraygpt_core.errors import Unavailable

MOST = 16.0


@dataclass
class Buckets:
    """Two buckets that are away when told so, and a clock that moves when told so."""

    away: bool = False
    asked: int = 0
    now: float = 100.0
    gate: CircuitBreaker = field(init=False)

    def __post_init__(self) -> None:
        self.gate = CircuitBreaker("test", self.probe, MOST, lambda: self.now)

    def probe(self) -> None:
        self.asked += 1
        if self.away:
            raise Unavailable("no answer")

    def begins(self, later: float = 0.0) -> bool:
        self.now += later
        return self.gate.allows()


@pytest.fixture
def buckets() -> Buckets:
    return Buckets()


@pytest.fixture
def away() -> Buckets:
    """A gate that a job has just shut."""
    made = Buckets(away=True)
    assert made.gate.trip()
    return made


def test_while_nothing_fails_nobody_asks(buckets: Buckets) -> None:
    assert all(buckets.begins() for _ in range(1000))
    assert buckets.asked == 0


def test_a_job_that_fails_while_the_buckets_answer_is_its_own_fault(buckets: Buckets) -> None:
    assert not buckets.gate.trip()
    assert buckets.begins()


def test_a_job_that_fails_while_they_are_away_shuts_the_gate(away: Buckets) -> None:
    assert away.gate.is_open
    assert not away.begins()


def test_the_others_that_fail_then_ask_nothing(away: Buckets) -> None:
    assert all(away.gate.trip() for _ in range(40))
    assert away.asked == 1


def test_nothing_is_asked_before_the_pause_is_over(away: Buckets) -> None:
    away.away = False
    assert not away.begins(later=0.9 * MOST / 16)
    assert away.asked == 1
    assert away.begins(later=0.2 * MOST / 16)
    assert away.begins()


def test_the_pauses_double_up_to_the_longest(away: Buckets) -> None:
    asked_at = []
    for _ in range(1000):
        before = away.asked
        away.begins(later=0.1)
        if away.asked > before:
            asked_at.append(away.now)
    pauses = [later - earlier for earlier, later in pairwise(asked_at)]
    assert pauses == pytest.approx([2, 4, 8, *[MOST] * (len(pauses) - 3)], abs=0.11)


def test_after_an_outage_the_next_one_begins_with_a_short_pause_again(away: Buckets) -> None:
    for _ in range(10):
        away.begins(later=MOST)
    away.away = False
    assert away.begins(later=MOST)
    away.away = True
    assert away.gate.trip()
    away.away = False
    assert away.begins(later=MOST / 16)


def test_one_thread_asks_and_the_others_do_not_wait_for_the_answer() -> None:
    began, answer = threading.Event(), threading.Event()

    def slow() -> None:
        if shut:
            began.set()
            assert answer.wait(60)
        else:
            raise Unavailable("no answer")

    shut = False
    gate = CircuitBreaker("test", slow, 0.0)
    assert gate.trip()
    shut = True
    seen: list[bool] = []
    asking = threading.Thread(target=lambda: seen.append(gate.allows()))
    asking.start()
    assert began.wait(60)
    assert not gate.allows()
    answer.set()
    asking.join(60)
    assert seen == [True]
    assert gate.allows()


def test_an_error_nobody_foresaw_is_not_taken_for_an_outage() -> None:
    def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        CircuitBreaker("test", broken, MOST).trip()


def test_the_metrics_tell_an_outage(away: Buckets) -> None:
    def told() -> float | None:
        return REGISTRY.get_sample_value("xraygpt_buckets_away", {"buckets": "test"})

    assert told() == 1
    away.away = False
    assert away.begins(later=MOST)
    assert told() == 0


def test_the_log_tells_the_beginning_and_the_end_once(away: Buckets, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    away.away = False
    away.begins(later=MOST)
    away.begins(later=MOST)
    away.away = True
    for _ in range(5):
        away.gate.trip()
        away.begins(later=MOST)
    assert [record.message for record in caplog.records] == [
        "the buckets answer again: jobs go on",
        "the buckets do not answer: jobs wait",
    ]

"""The heart, against a lease book of our own and a clock that we move."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import pytest
from sqlalchemy.exc import OperationalError, ProgrammingError

from tests.support.postgres_errors import DISK_FULL, LOCK_NOT_AVAILABLE, UNDEFINED_COLUMN, server_error
from workers.heartbeat import Heartbeat, hand_back
from xraygpt_core.errors import LeaseLost, Unavailable
from xraygpt_core.exit_codes import BROKEN
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.states import JobKind, Lane


@dataclass
class Leases:
    """What the ledger would say; ``taken`` belongs to somebody else, ``down`` is what it answers instead."""

    down: Exception | None = None
    taken: set[UUID] = field(default_factory=set)
    extended: list[set[UUID]] = field(default_factory=list)
    failed: dict[UUID, str] = field(default_factory=dict)
    released: list[UUID] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    now: float = 1000.0

    def extend(self, claims: Sequence[Claim]) -> set[UUID]:
        if self.down is not None:
            raise self.down
        self.extended.append({claim.job_id for claim in claims})
        return self.extended[-1] - self.taken

    def fail(self, claim: Claim, error: str) -> None:
        if self.down is not None:
            raise self.down
        self.failed[claim.job_id] = error

    def release(self, claim: Claim) -> None:
        if self.down is not None:
            raise self.down
        self.released.append(claim.job_id)

    def clock(self) -> float:
        return self.now


@pytest.fixture
def leases() -> Leases:
    return Leases()


@pytest.fixture
def heart(leases: Leases) -> Heartbeat:
    return Heartbeat(
        leases.extend, leases.fail, leases.release, interval=0.01, leave=leases.left.append, clock=leases.clock
    )


def a_claim() -> Claim:
    return Claim(uuid4(), JobKind.SUMMARISE, uuid4(), 1, 1, Lane.ROUTINE)


def test_all_jobs_that_move_are_extended_in_one_statement(heart: Heartbeat, leases: Leases) -> None:
    first, second = a_claim(), a_claim()
    with heart.beating(first, 10, 100), heart.beating(second, 10, 100):
        heart.beat()
    assert leases.extended == [{first.job_id, second.job_id}]


def test_nothing_is_asked_of_the_database_when_nothing_runs(heart: Heartbeat, leases: Leases) -> None:
    heart.beat()
    assert leases.extended == []


def test_a_finished_job_is_extended_no_more(heart: Heartbeat, leases: Leases) -> None:
    with heart.beating(a_claim(), 10, 100):
        pass
    heart.beat()
    assert leases.extended == []


def test_a_job_somebody_else_took_learns_it(heart: Heartbeat, leases: Leases) -> None:
    claim = a_claim()
    leases.taken.add(claim.job_id)
    with heart.beating(claim, 10, 100) as pulse:
        heart.beat()
        with pytest.raises(LeaseLost):
            pulse.check()
        heart.beat()
    assert leases.extended == [{claim.job_id}]
    assert leases.left == []


def test_progress_keeps_a_slow_job_alive(heart: Heartbeat, leases: Leases) -> None:
    with heart.beating(a_claim(), 10, 100) as pulse:
        for _ in range(5):
            leases.now += 9
            pulse.progress()
            heart.beat()
        pulse.check()
    assert len(leases.extended) == 5


def test_a_silent_job_fails_and_its_process_exits(heart: Heartbeat, leases: Leases) -> None:
    claim = a_claim()
    with heart.beating(claim, 10, 100):
        leases.now += 11
        heart.beat()
    assert leases.extended == []
    assert "no progress for 10 seconds" in leases.failed[claim.job_id]
    assert leases.left == [BROKEN]


def test_the_stalled_jobs_neighbours_are_handed_back(heart: Heartbeat, leases: Leases) -> None:
    hung, well = a_claim(), a_claim()
    with heart.beating(hung, 10, 100), heart.beating(well, 100, 100):
        leases.now += 11
        heart.beat()
    assert list(leases.failed) == [hung.job_id]
    assert leases.released == [well.job_id]


def test_a_job_that_takes_too_long_is_told_and_the_process_stays(heart: Heartbeat, leases: Leases) -> None:
    claim = a_claim()
    with heart.beating(claim, 10, 100) as pulse:
        leases.now += 101
        pulse.progress()
        heart.beat()
        with pytest.raises(LeaseLost):
            pulse.check()
    assert "longer than 100 seconds" in leases.failed[claim.job_id]
    assert leases.left == []


def test_a_job_that_waits_for_others_of_its_batch_does_not_stall(heart: Heartbeat, leases: Leases) -> None:
    waiting, working = a_claim(), a_claim()
    with heart.beating(waiting, 10, 100) as one, heart.beating(working, 10, 100) as other:
        with one.turn():
            pass
        with other.turn():
            leases.now += 11
            heart.beat()
    assert list(leases.failed) == [working.job_id]
    assert leases.released == [waiting.job_id]


def test_the_time_of_a_job_counts_from_its_own_turn(heart: Heartbeat, leases: Leases) -> None:
    claim = a_claim()
    with heart.beating(claim, 1000, 100) as pulse:
        leases.now += 99
        with pulse.turn():
            leases.now += 99
            heart.beat()
            assert leases.failed == {}
            leases.now += 2
            heart.beat()
    assert "longer than 100 seconds" in leases.failed[claim.job_id]


def test_a_job_that_does_not_listen_ends_the_process(heart: Heartbeat, leases: Leases) -> None:
    claim = a_claim()
    leases.taken.add(claim.job_id)
    with heart.beating(claim, 10, 100):
        heart.beat()
        assert leases.left == []
        leases.now += 11
        heart.beat()
    assert leases.left == [BROKEN]
    assert leases.failed == {}  # it was not ours any more


def test_a_database_outage_takes_no_job_away(heart: Heartbeat, leases: Leases) -> None:
    claim = a_claim()
    with heart.beating(claim, 10, 100) as pulse:
        leases.down = Unavailable("down")
        heart.beat()
        pulse.check()
        leases.down = None
        heart.beat()
        pulse.check()
    assert leases.extended == [{claim.job_id}]


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("UPDATE", {}, server_error(DISK_FULL)),
        OperationalError("UPDATE", {}, server_error(LOCK_NOT_AVAILABLE)),
        ProgrammingError("UPDATE", {}, server_error(UNDEFINED_COLUMN)),
    ],
)
def test_a_beat_that_fails_in_the_database_is_followed_by_another(
    heart: Heartbeat, leases: Leases, error: Exception
) -> None:
    claim = a_claim()
    with heart.beating(claim, 10, 100) as pulse:
        leases.down = error
        heart.beat()
        pulse.check()
        leases.down = None
        heart.beat()
    assert leases.extended == [{claim.job_id}]
    assert leases.left == []


def test_a_job_that_cannot_be_handed_back_keeps_none_of_the_others(leases: Leases) -> None:
    refused, well = a_claim(), a_claim()

    def release(claim: Claim) -> None:
        if claim is refused:
            raise ProgrammingError("UPDATE", {}, server_error(UNDEFINED_COLUMN))
        leases.release(claim)

    hand_back([refused, well], release)
    assert leases.released == [well.job_id]


def test_a_stalled_job_ends_the_process_even_without_a_database(heart: Heartbeat, leases: Leases) -> None:
    with heart.beating(a_claim(), 10, 100), heart.beating(a_claim(), 100, 100):
        leases.down = Unavailable("down")
        leases.now += 11
        heart.beat()
    assert leases.left == [BROKEN]


def test_a_second_claim_of_the_same_job_has_a_pulse_of_its_own(heart: Heartbeat, leases: Leases) -> None:
    first = a_claim()
    again = Claim(first.job_id, first.kind, first.subject, 2, 2, first.lane)
    with heart.beating(first, 10, 100):
        with heart.beating(again, 10, 100):
            pass
        assert [pulse.claim.epoch for pulse in heart.running()] == [1]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_process_whose_heart_breaks_exits(leases: Leases) -> None:
    gone = threading.Event()

    def extend(claims: Sequence[Claim]) -> set[UUID]:
        raise ZeroDivisionError

    def leave(code: int) -> None:
        leases.left.append(code)
        gone.set()

    heart = Heartbeat(extend, leases.fail, leases.release, interval=0.001, leave=leave)
    heart.start()
    with heart.beating(a_claim(), 10, 100):
        assert gone.wait(60)
    heart.close()
    assert leases.left == [BROKEN]


def test_the_thread_beats_until_it_is_closed(leases: Leases) -> None:
    beaten = threading.Event()

    def extend(claims: Sequence[Claim]) -> set[UUID]:
        beaten.set()
        return leases.extend(claims)

    heart = Heartbeat(extend, leases.fail, leases.release, interval=0.001)
    heart.start()
    with heart.beating(a_claim(), 10, 100):
        assert beaten.wait(60)
    heart.close()
    assert not any(thread.name == "heartbeat" for thread in threading.enumerate())

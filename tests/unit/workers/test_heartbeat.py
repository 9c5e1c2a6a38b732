"""The heartbeat, against a lease book of our own and a clock that we move."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import pytest
from sqlalchemy.exc import OperationalError, ProgrammingError

from tests.support.postgres_errors import DISK_FULL, LOCK_NOT_AVAILABLE, UNDEFINED_COLUMN, server_error
from workers.heartbeat import Heartbeat, release_each
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
def heartbeat(leases: Leases) -> Heartbeat:
    return Heartbeat(
        leases.extend, leases.fail, leases.release, interval=0.01, leave=leases.left.append, clock=leases.clock
    )


def a_claim() -> Claim:
    return Claim(uuid4(), JobKind.SUMMARISE, uuid4(), 1, 1, Lane.ROUTINE)


def test_all_jobs_that_move_are_extended_in_one_statement(heartbeat: Heartbeat, leases: Leases) -> None:
    first, second = a_claim(), a_claim()
    with heartbeat.keep_alive(first, 10, 100), heartbeat.keep_alive(second, 10, 100):
        heartbeat.beat()
    assert leases.extended == [{first.job_id, second.job_id}]


def test_nothing_is_asked_of_the_database_when_nothing_runs(heartbeat: Heartbeat, leases: Leases) -> None:
    heartbeat.beat()
    assert leases.extended == []


def test_a_finished_job_is_extended_no_more(heartbeat: Heartbeat, leases: Leases) -> None:
    with heartbeat.keep_alive(a_claim(), 10, 100):
        pass
    heartbeat.beat()
    assert leases.extended == []


def test_a_job_somebody_else_took_learns_it(heartbeat: Heartbeat, leases: Leases) -> None:
    claim = a_claim()
    leases.taken.add(claim.job_id)
    with heartbeat.keep_alive(claim, 10, 100) as progress:
        heartbeat.beat()
        with pytest.raises(LeaseLost):
            progress.check()
        heartbeat.beat()
    assert leases.extended == [{claim.job_id}]
    assert leases.left == []


def test_progress_keeps_a_slow_job_alive(heartbeat: Heartbeat, leases: Leases) -> None:
    with heartbeat.keep_alive(a_claim(), 10, 100) as progress:
        for _ in range(5):
            leases.now += 9
            progress.report()
            heartbeat.beat()
        progress.check()
    assert len(leases.extended) == 5


def test_a_silent_job_fails_and_its_process_exits(heartbeat: Heartbeat, leases: Leases) -> None:
    claim = a_claim()
    with heartbeat.keep_alive(claim, 10, 100):
        leases.now += 11
        heartbeat.beat()
    assert leases.extended == []
    assert "no progress for 10 seconds" in leases.failed[claim.job_id]
    assert leases.left == [BROKEN]


def test_the_stalled_jobs_neighbours_are_handed_back(heartbeat: Heartbeat, leases: Leases) -> None:
    hung, well = a_claim(), a_claim()
    with heartbeat.keep_alive(hung, 10, 100), heartbeat.keep_alive(well, 100, 100):
        leases.now += 11
        heartbeat.beat()
    assert list(leases.failed) == [hung.job_id]
    assert leases.released == [well.job_id]


def test_a_job_that_takes_too_long_is_told_and_the_process_stays(heartbeat: Heartbeat, leases: Leases) -> None:
    claim = a_claim()
    with heartbeat.keep_alive(claim, 10, 100) as progress:
        leases.now += 101
        progress.report()
        heartbeat.beat()
        with pytest.raises(LeaseLost):
            progress.check()
    assert "longer than 100 seconds" in leases.failed[claim.job_id]
    assert leases.left == []


def test_a_job_that_waits_for_others_of_its_batch_does_not_stall(heartbeat: Heartbeat, leases: Leases) -> None:
    waiting, working = a_claim(), a_claim()
    with heartbeat.keep_alive(waiting, 10, 100) as one, heartbeat.keep_alive(working, 10, 100) as other:
        with one.turn():
            pass
        with other.turn():
            leases.now += 11
            heartbeat.beat()
    assert list(leases.failed) == [working.job_id]
    assert leases.released == [waiting.job_id]


def test_the_time_of_a_job_counts_from_its_own_turn(heartbeat: Heartbeat, leases: Leases) -> None:
    claim = a_claim()
    with heartbeat.keep_alive(claim, 1000, 100) as progress:
        leases.now += 99
        with progress.turn():
            leases.now += 99
            heartbeat.beat()
            assert leases.failed == {}
            leases.now += 2
            heartbeat.beat()
    assert "longer than 100 seconds" in leases.failed[claim.job_id]


def test_a_job_that_does_not_listen_ends_the_process(heartbeat: Heartbeat, leases: Leases) -> None:
    claim = a_claim()
    leases.taken.add(claim.job_id)
    with heartbeat.keep_alive(claim, 10, 100):
        heartbeat.beat()
        assert leases.left == []
        leases.now += 11
        heartbeat.beat()
    assert leases.left == [BROKEN]
    assert leases.failed == {}  # it was not ours any more


def test_a_database_outage_takes_no_job_away(heartbeat: Heartbeat, leases: Leases) -> None:
    claim = a_claim()
    with heartbeat.keep_alive(claim, 10, 100) as progress:
        leases.down = Unavailable("down")
        heartbeat.beat()
        progress.check()
        leases.down = None
        heartbeat.beat()
        progress.check()
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
    heartbeat: Heartbeat, leases: Leases, error: Exception
) -> None:
    claim = a_claim()
    with heartbeat.keep_alive(claim, 10, 100) as progress:
        leases.down = error
        heartbeat.beat()
        progress.check()
        leases.down = None
        heartbeat.beat()
    assert leases.extended == [{claim.job_id}]
    assert leases.left == []


def test_a_job_that_cannot_be_handed_back_keeps_none_of_the_others(leases: Leases) -> None:
    refused, well = a_claim(), a_claim()

    def release(claim: Claim) -> None:
        if claim is refused:
            raise ProgrammingError("UPDATE", {}, server_error(UNDEFINED_COLUMN))
        leases.release(claim)

    release_each([refused, well], release)
    assert leases.released == [well.job_id]


def test_a_stalled_job_ends_the_process_even_without_a_database(heartbeat: Heartbeat, leases: Leases) -> None:
    with heartbeat.keep_alive(a_claim(), 10, 100), heartbeat.keep_alive(a_claim(), 100, 100):
        leases.down = Unavailable("down")
        leases.now += 11
        heartbeat.beat()
    assert leases.left == [BROKEN]


def test_a_second_claim_of_the_same_job_has_a_pulse_of_its_own(heartbeat: Heartbeat, leases: Leases) -> None:
    first = a_claim()
    again = Claim(first.job_id, first.kind, first.subject, 2, 2, first.lane)
    with heartbeat.keep_alive(first, 10, 100):
        with heartbeat.keep_alive(again, 10, 100):
            pass
        assert [progress.claim.epoch for progress in heartbeat.running()] == [1]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_process_whose_heart_breaks_exits(leases: Leases) -> None:
    gone = threading.Event()

    def extend(claims: Sequence[Claim]) -> set[UUID]:
        raise ZeroDivisionError

    def leave(code: int) -> None:
        leases.left.append(code)
        gone.set()

    heartbeat = Heartbeat(extend, leases.fail, leases.release, interval=0.001, leave=leave)
    heartbeat.start()
    with heartbeat.keep_alive(a_claim(), 10, 100):
        assert gone.wait(60)
    heartbeat.close()
    assert leases.left == [BROKEN]


def test_the_thread_beats_until_it_is_closed(leases: Leases) -> None:
    beaten = threading.Event()

    def extend(claims: Sequence[Claim]) -> set[UUID]:
        beaten.set()
        return leases.extend(claims)

    heartbeat = Heartbeat(extend, leases.fail, leases.release, interval=0.001)
    heartbeat.start()
    with heartbeat.keep_alive(a_claim(), 10, 100):
        assert beaten.wait(60)
    heartbeat.close()
    assert not any(thread.name == "heartbeat" for thread in threading.enumerate())

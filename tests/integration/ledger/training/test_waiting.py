"""A run is paused, resumed, cancelled, fails and waits for a device: at every moment, whoever holds it."""

from collections.abc import Callable
from random import Random
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.ledger_tools import claim, do, expire, job, job_of, one, rows, take
from xraygpt_core.errors import Conflict, LeaseLost, NotFound
from xraygpt_core.ids import new_id
from xraygpt_core.ledger.actor import Actor
from xraygpt_core.ledger.jobs.claims import claim_next, fail, release
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.ledger.jobs.reconcile import tick
from xraygpt_core.ledger.jobs.replay import replay_dead
from xraygpt_core.ledger.training.curves import Point, note_progress
from xraygpt_core.ledger.training.runs import (
    cancel_run,
    complete_run,
    create_run,
    move_checkpoint,
    run,
    run_input,
)
from xraygpt_core.ledger.training.waiting import is_paused, note_failure, note_waiting, pause_run, resume_run
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import Failure, JobKind, Lane

pytestmark = pytest.mark.usefixtures("sound")


def queued(ledger: Ledger) -> UUID:
    return create_run(ledger, "stage1", {"steps": 3}, None)


def nobody_can_take_it(ledger: Ledger) -> bool:
    tick(ledger)
    return claim_next(ledger, [(JobKind.TRAIN, lane) for lane in Lane], "w") == []


def test_a_paused_run_waits_until_it_is_resumed(ledger: Ledger) -> None:
    run_id = queued(ledger)
    pause_run(ledger, run_id)
    assert run(ledger, run_id).state == "paused"
    assert nobody_can_take_it(ledger)
    resume_run(ledger, run_id)
    assert run(ledger, run_id).state == "queued"
    complete_run(ledger, take(ledger, JobKind.TRAIN, run_id), "runs/r")
    assert run(ledger, run_id).state == "done"


def test_a_running_run_is_paused_once_its_worker_has_let_go_of_it(ledger: Ledger) -> None:
    run_id = queued(ledger)
    got = take(ledger, JobKind.TRAIN, run_id)
    run_input(ledger, got)
    assert not is_paused(ledger, run_id)
    pause_run(ledger, run_id)
    assert is_paused(ledger, run_id)
    assert (run(ledger, run_id).state, run(ledger, run_id).paused_at is None) == ("running", False)
    move_checkpoint(ledger, got, "runs/r/1/2", 2)
    release(ledger, got)
    assert run(ledger, run_id).state == "paused"
    assert nobody_can_take_it(ledger)
    resume_run(ledger, run_id)
    assert run(ledger, run_id).state == "queued", "no worker has it yet"
    given = run_input(ledger, take(ledger, JobKind.TRAIN, run_id))
    assert (given.checkpoint_prefix, given.paused) == ("runs/r/1/2", False)


@pytest.mark.parametrize("end", ["lost", "failed"])
def test_a_paused_run_whose_worker_is_lost_or_fails_stays_paused(ledger: Ledger, end: str) -> None:
    run_id = queued(ledger)
    got = take(ledger, JobKind.TRAIN, run_id)
    run_input(ledger, got)
    pause_run(ledger, run_id)
    if end == "lost":
        expire(ledger, got.job_id)
    else:
        fail(ledger, got, "the device was lost")
    assert nobody_can_take_it(ledger)
    assert run(ledger, run_id).state == "paused"


def test_a_run_that_was_paused_before_it_had_a_job_waits_when_it_gets_one(ledger: Ledger) -> None:
    run_id = queued(ledger)
    do(ledger, "UPDATE training_runs SET paused_at = clock_timestamp() WHERE id = :id", id=run_id)
    got = take(ledger, JobKind.TRAIN, run_id)
    assert run_input(ledger, got).paused
    release(ledger, got)
    assert nobody_can_take_it(ledger)
    resume_run(ledger, run_id)
    assert run_input(ledger, take(ledger, JobKind.TRAIN, run_id)).paused is False


def test_only_what_is_open_is_paused_and_only_what_is_paused_resumed(ledger: Ledger) -> None:
    run_id = queued(ledger)
    with pytest.raises(Conflict, match="queued, not paused"):
        resume_run(ledger, run_id)
    pause_run(ledger, run_id)
    with pytest.raises(Conflict, match="paused already"):
        pause_run(ledger, run_id)
    cancel_run(ledger, run_id)
    for act in (pause_run, resume_run, cancel_run):
        with pytest.raises(Conflict, match="cancelled"):
            act(ledger, run_id)
        with pytest.raises(NotFound):
            act(ledger, new_id())
    assert job(ledger, job_of(ledger, JobKind.TRAIN, run_id))["state"] == "cancelled"


def test_a_run_without_a_device_is_queued_again_and_says_so(ledger: Ledger) -> None:
    run_id = queued(ledger)
    got = take(ledger, JobKind.TRAIN, run_id)
    run_input(ledger, got)
    note_waiting(ledger, got, "device")
    release(ledger, got, delay=30.0)
    assert (run(ledger, run_id).state, run(ledger, run_id).waits_for) == ("queued", "device")
    assert job(ledger, got.job_id)["attempts"] == 0
    assert claim(ledger, got.job_id, JobKind.TRAIN) is None, "it is left alone for a while"
    run_input(ledger, take(ledger, JobKind.TRAIN, run_id))
    assert run(ledger, run_id).waits_for is None


def test_why_an_attempt_failed_stands_there_until_the_run_comes_on(ledger: Ledger) -> None:
    run_id = queued(ledger)
    got = take(ledger, JobKind.TRAIN, run_id)
    note_failure(ledger, got, Failure.DISK_FULL, "the worker's disk is full")
    fail(ledger, got, "the worker's disk is full")
    found = run(ledger, run_id)
    assert (found.failure, found.failure_says) == ("disk_full", "the worker's disk is full")
    note_progress(ledger, take(ledger, JobKind.TRAIN, run_id), Point(1, 3, 1.0, 1.0))
    assert run(ledger, run_id).failure is None


def test_who_paused_and_resumed_is_in_the_audit(ledger: Ledger) -> None:
    run_id = queued(ledger)
    acting = ledger.acting(Actor("Dr. T"))
    for act in (pause_run, resume_run, cancel_run):
        act(acting, run_id)
    found = [row["what"] for row in rows(ledger, "SELECT what FROM audit WHERE subject = :id ORDER BY id", id=run_id)]
    assert found == ["run paused", "run resumed", "run cancelled"]


class Trainers:
    """A run to which something happens at each step, and two workers that may hold it or believe so."""

    def __init__(self, ledger: Ledger, run_id: UUID, chance: Random) -> None:
        self.ledger, self.run_id, self.chance = ledger, run_id, chance
        self.claims: list[Claim] = []
        self.step = 0

    def a_worker_takes_it(self) -> None:
        for got in claim_next(self.ledger, [(JobKind.TRAIN, Lane.ROUTINE)], "w"):
            given = run_input(self.ledger, got)
            assert given.paused == (run(self.ledger, self.run_id).paused_at is not None)
            if given.paused:
                release(self.ledger, got)
            else:
                self.claims.append(got)

    def it_comes_on(self) -> None:
        self.step += 1
        note_progress(self.ledger, self._claim(), Point(self.step, 99, 1.0, 1.0))
        move_checkpoint(self.ledger, self._claim(), f"runs/r/{self.step}", self.step)

    def it_is_handed_back(self) -> None:
        release(self.ledger, self._claim(), delay=self.chance.choice([None, 0.001]))

    def it_fails(self) -> None:
        note_failure(self.ledger, self._claim(), Failure.CRASHED, "as the test says")
        fail(self.ledger, self._claim(), "as the test says", retry=self.chance.random() < 0.7)

    def it_is_done(self) -> None:
        complete_run(self.ledger, self._claim(), "runs/r")

    def its_worker_is_lost(self) -> None:
        expire(self.ledger, self._claim().job_id)

    def a_person_acts(self) -> None:
        self.chance.choice([pause_run, resume_run, pause_run, resume_run, cancel_run])(self.ledger, self.run_id)

    def it_is_replayed(self) -> None:
        replay_dead(self.ledger)

    def control_ticks(self) -> None:
        do(
            self.ledger,
            "UPDATE jobs SET not_before = clock_timestamp() WHERE not_before IS NOT NULL AND not_before <> 'infinity'",
        )
        tick(self.ledger)

    def _claim(self) -> Claim:
        if not self.claims:
            raise LeaseLost("nobody has it")
        return self.chance.choice(self.claims[-2:])


_OPEN = {"queued": {"queued", "running", "paused"}, "running": {"queued", "running", "paused"}}
_ENDED = {"done": "done", "dead": "dead", "cancelled": "cancelled"}


@given(seed=st.integers(0, 10**6))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happens_a_run_and_its_job_say_the_same_and_a_paused_one_is_taken_by_nobody(
    ledger: Ledger, seed: int
) -> None:
    chance = Random(seed)
    do(ledger, "UPDATE training_runs SET state = 'cancelled', paused_at = NULL WHERE state <> 'done'")
    do(
        ledger,
        "UPDATE jobs SET state = 'cancelled', lease_until = NULL, not_before = NULL, finished_at = clock_timestamp() "
        "WHERE state IN ('queued', 'running', 'dead')",
    )
    trainers = Trainers(ledger, queued(ledger), chance)
    do(ledger, "UPDATE jobs SET max_attempts = 1000 WHERE subject = :id", id=trainers.run_id)
    happens: list[Callable[[], None]] = [
        *[trainers.a_worker_takes_it, trainers.it_comes_on, trainers.control_ticks, trainers.a_person_acts] * 3,
        *[trainers.it_is_handed_back, trainers.it_fails, trainers.its_worker_is_lost] * 2,
        *[trainers.it_is_done, trainers.it_is_replayed],
    ]
    for _ in range(25):
        before = one(ledger, "SELECT lease_epoch FROM jobs WHERE subject = :id", id=trainers.run_id)
        try:
            chance.choice(happens)()
        except (Conflict, LeaseLost):
            continue
        now = run(ledger, trainers.run_id)
        (its_job,) = rows(ledger, "SELECT * FROM jobs WHERE subject = :id", id=trainers.run_id)
        assert its_job["lease_epoch"] >= before
        if its_job["state"] in _ENDED:
            assert now.state == _ENDED[its_job["state"]]
            assert now.paused_at is None
        else:
            assert now.state in _OPEN[its_job["state"]], (now.state, its_job["state"])
            assert (now.state == "paused") == (now.paused_at is not None and its_job["state"] == "queued")
            if now.state == "paused":
                assert str(its_job["not_before"]) == "infinity" or its_job["not_before"].year == 9999

"""Claim, heartbeat, fail and release on real PostgreSQL: one owner at a time, by the database's clock."""

from uuid import UUID

import pytest

from tests.support.ledger_tools import (
    claim,
    do,
    expire,
    film,
    image_state,
    ingest,
    job,
    job_of,
    no_errors,
    one,
    put,
    rows,
    settle_now,
    start_summary,
    state_of,
    take,
    together,
    whole_study,
)
from xraygpt_core.errors import LeaseLost
from xraygpt_core.ledger.jobs.claims import add_job, claim_next, fail, heartbeat, release
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.ledger.jobs.reconcile import tick
from xraygpt_core.ledger.studies import read
from xraygpt_core.ledger.studies.chat import ask, turn
from xraygpt_core.ledger.training.runs import create_run, run
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import JobKind, JobState, Lane

QUEUE = [(JobKind.INGEST, Lane.ROUTINE)]

pytestmark = pytest.mark.usefixtures("sound")


@pytest.fixture
def job_id(ledger: Ledger) -> UUID:
    return job_of(ledger, JobKind.INGEST, put(ledger).image_id)


def taken(ledger: Ledger, job_id: UUID, worker: str = "w") -> Claim:
    got = claim(ledger, job_id, JobKind.INGEST, worker)
    assert got is not None
    return got


def last_attempt(ledger: Ledger, job_id: UUID) -> None:
    do(
        ledger,
        "UPDATE jobs SET attempts = max_attempts - 1, lease_epoch = max_attempts - 1 WHERE id = :id",
        id=job_id,
    )


def test_of_eight_threads_one_gets_the_job(ledger: Ledger, job_id: UUID) -> None:
    results = no_errors(together(*[lambda: claim_next(ledger, QUEUE, "w")] * 8))
    assert [got.job_id for result in results for got in result] == [job_id]
    assert (job(ledger, job_id)["attempts"], job(ledger, job_id)["lease_epoch"]) == (1, 1)


def test_a_claim_is_of_the_kinds_that_were_asked_for(ledger: Ledger, job_id: UUID) -> None:
    assert claim_next(ledger, [(JobKind.SETTLE, Lane.ROUTINE)], "w") == []


def test_a_claim_knows_its_lane_its_subject_and_its_count(ledger: Ledger) -> None:
    registered = put(ledger, lane=Lane.STAT)
    got = take(ledger, JobKind.INGEST, registered.image_id)
    assert (got.kind, got.subject, got.lane) == (JobKind.INGEST, registered.image_id, Lane.STAT)
    assert (got.epoch, got.attempts) == (1, 1)


def test_a_claim_lasts_for_the_lease_by_the_databases_clock(ledger: Ledger, job_id: UUID) -> None:
    before = one(ledger, "SELECT clock_timestamp()")
    taken(ledger, job_id)
    claimed = one(
        ledger,
        "SELECT lease_until - make_interval(secs => :lease) FROM jobs WHERE id = :id",
        lease=ledger.settings.lease_seconds,
        id=job_id,
    )
    assert before <= claimed <= one(ledger, "SELECT clock_timestamp()")


def test_epochs_grow_with_every_claim_even_after_a_release(ledger: Ledger, job_id: UUID) -> None:
    epochs = []
    for _ in range(3):
        got = taken(ledger, job_id)
        epochs.append((got.epoch, got.attempts))
        release(ledger, got)
    assert epochs == [(1, 1), (2, 1), (3, 1)]


def test_a_job_that_is_not_due_is_not_given_away(ledger: Ledger, job_id: UUID) -> None:
    do(ledger, "UPDATE jobs SET not_before = clock_timestamp() + interval '1 hour'")
    tick(ledger)
    assert claim_next(ledger, QUEUE, "w") == []
    do(ledger, "UPDATE jobs SET not_before = clock_timestamp()")
    tick(ledger)
    assert [got.job_id for got in claim_next(ledger, QUEUE, "w")] == [job_id]


def test_a_job_whose_lease_ended_goes_to_the_next_worker_under_a_new_epoch(ledger: Ledger, job_id: UUID) -> None:
    first = taken(ledger, job_id, "first")
    tick(ledger)
    assert claim_next(ledger, QUEUE, "second") == []
    expire(ledger, job_id)
    tick(ledger)
    (second,) = claim_next(ledger, QUEUE, "second")
    assert second.epoch == first.epoch + 1
    assert job(ledger, job_id)["claimed_by"] == "second"


def test_a_job_whose_attempts_are_used_up_is_left_to_the_reconciler(ledger: Ledger, job_id: UUID) -> None:
    last_attempt(ledger, job_id)
    taken(ledger, job_id)
    expire(ledger, job_id)
    assert claim_next(ledger, QUEUE, "w") == []
    assert tick(ledger).buried == 1


def test_a_claim_is_told_on_the_timeline_with_how_long_it_waited(ledger: Ledger) -> None:
    registered = put(ledger)
    got = take(ledger, JobKind.INGEST, registered.image_id, worker="ingest@host-1")
    step = read.timeline(ledger, registered.study_id)[-1]
    assert (step["what"], step["who"], step["attempt"], step["epoch"]) == (
        "ingest started",
        "ingest@host-1",
        1,
        got.epoch,
    )
    assert step["detail"]["waited_seconds"] >= 0


def test_a_heartbeat_extends_all_leases_in_one_statement(ledger: Ledger) -> None:
    claims = [take(ledger, JobKind.INGEST, put(ledger).image_id) for _ in range(3)]
    before = one(ledger, "SELECT max(lease_until) FROM jobs")
    assert heartbeat(ledger, claims) == {one.job_id for one in claims}
    assert one(ledger, "SELECT count(*) FROM jobs WHERE lease_until > :before", before=before) == 3


def test_a_heartbeat_names_the_lost_ones_and_keeps_the_others(ledger: Ledger) -> None:
    kept, expired, retaken, finished = (take(ledger, JobKind.INGEST, put(ledger).image_id) for _ in range(4))
    expire(ledger, expired.job_id)
    expire(ledger, retaken.job_id)
    taken(ledger, retaken.job_id, "another")
    fail(ledger, finished, "no", retry=False)
    assert heartbeat(ledger, [kept, expired, retaken, finished]) == {kept.job_id}


def test_a_heartbeat_never_revives_a_dead_lease(ledger: Ledger, job_id: UUID) -> None:
    got = taken(ledger, job_id)
    expire(ledger, job_id)
    before = job(ledger, job_id)["lease_until"]
    assert heartbeat(ledger, [got]) == set()
    assert job(ledger, job_id)["lease_until"] == before


def test_a_heartbeat_for_nothing_asks_nobody(ledger: Ledger) -> None:
    ledger.close()
    assert heartbeat(ledger, []) == set()


def test_a_failed_attempt_waits_twice_as_long_each_time(ledger: Ledger, make_settings: object) -> None:
    slow = Ledger(ledger.settings.model_copy(update={"retry_seconds": 8.0}), ledger.database, ledger.doorbell)
    job_id = job_of(ledger, JobKind.INGEST, put(ledger).image_id)
    began = "SELECT not_before - make_interval(secs => :pause) FROM jobs WHERE id = :id"
    for number, pause in enumerate((8, 16, 32)):
        got, before = taken(ledger, job_id), one(ledger, "SELECT clock_timestamp()")
        assert fail(slow, got, f"failure {number}") is JobState.QUEUED
        assert before <= one(ledger, began, pause=pause, id=job_id) <= one(ledger, "SELECT clock_timestamp()")
        do(ledger, "UPDATE jobs SET not_before = NULL")
    assert job(ledger, job_id)["last_error"] == "failure 2"


def test_the_last_failed_attempt_ends_the_job_and_its_image(ledger: Ledger) -> None:
    registered = put(ledger)
    job_id = job_of(ledger, JobKind.INGEST, registered.image_id)
    last_attempt(ledger, job_id)
    assert fail(ledger, taken(ledger, job_id), "out of luck") is JobState.DEAD
    found = job(ledger, job_id)
    assert (found["state"], found["last_error"]) == ("dead", "out of luck")
    assert image_state(ledger, registered.image_id) == ("dead", None)
    assert state_of(ledger, registered.study_id) == "dead"
    assert [row["job_id"] for row in read.dead(ledger)] == [job_id]


def test_a_failure_that_nothing_can_mend_is_not_repeated(ledger: Ledger, job_id: UUID) -> None:
    assert fail(ledger, taken(ledger, job_id), "nonsense", retry=False) is JobState.DEAD


def test_an_error_is_kept_whatever_bytes_are_in_it(ledger: Ledger, job_id: UUID) -> None:
    fail(ledger, taken(ledger, job_id), "a\0b" + "c" * 5000)
    assert job(ledger, job_id)["last_error"] == ("ab" + "c" * 5000)[:2000]


def test_a_study_one_of_whose_images_is_dead_and_the_other_rejected_is_dead(ledger: Ledger) -> None:
    """Both end at the same moment: the second must see the first, or the study would stay open for ever."""
    first, second = put(ledger, "a"), put(ledger, "a", "e2")
    claims = [take(ledger, JobKind.INGEST, one.image_id) for one in (first, second)]
    no_errors(together(*[lambda got=got: fail(ledger, got, "no", retry=False) for got in claims]))
    assert state_of(ledger, first.study_id) == "dead"


def test_a_study_whose_settling_failed_for_the_last_time_is_dead(ledger: Ledger) -> None:
    study_id = ingest(ledger, put(ledger))
    fail(ledger, take(ledger, JobKind.SETTLE, study_id), "no", retry=False)
    assert state_of(ledger, study_id) == "dead"


def test_a_study_whose_summary_failed_for_the_last_time_is_dead(ledger: Ledger) -> None:
    study_id = ingest(ledger, put(ledger))
    settle_now(ledger, study_id)
    fail(ledger, take(ledger, JobKind.SUMMARISE, study_id), "no", retry=False)
    assert state_of(ledger, study_id) == "dead"


def test_the_death_of_a_job_of_an_older_revision_says_nothing_about_the_study(ledger: Ledger) -> None:
    study_id = ingest(ledger, put(ledger), film("u", view="AP"))
    settle_now(ledger, study_id)
    old, _ = start_summary(ledger, study_id)
    ingest(ledger, put(ledger), film("u", view="PA"))
    fail(ledger, old, "no", retry=False)
    assert state_of(ledger, study_id) == "waiting"


def test_a_turn_and_a_run_that_failed_for_the_last_time_are_dead(ledger: Ledger) -> None:
    _, study_id = whole_study(ledger)
    asked = ask(ledger, study_id, "Is the heart large?")
    fail(ledger, take(ledger, JobKind.CHAT, asked.turn_id), "no", retry=False)
    assert turn(ledger, asked.turn_id).state == "dead"
    run_id = create_run(ledger, "stage1", {}, None)
    fail(ledger, take(ledger, JobKind.TRAIN, run_id), "no", retry=False)
    assert run(ledger, run_id).state == "dead"


def test_a_released_job_is_rung_again_and_its_attempt_does_not_count(ledger: Ledger, job_id: UUID) -> None:
    got = taken(ledger, job_id)
    ledger.doorbell.app.control.purge()
    release(ledger, got)
    found = job(ledger, job_id)
    assert (found["state"], found["attempts"], found["lease_epoch"]) == ("queued", 0, 1)
    assert ledger.doorbell.lengths(["ingest.routine"])["ingest.routine"] == 1


def test_nobody_fails_or_releases_a_job_that_is_not_theirs(ledger: Ledger, job_id: UUID) -> None:
    zombie = taken(ledger, job_id)
    expire(ledger, job_id)
    for attempt in (lambda: fail(ledger, zombie, "late"), lambda: release(ledger, zombie)):
        with pytest.raises(LeaseLost):
            attempt()
    owner = taken(ledger, job_id, "another")
    for attempt in (lambda: fail(ledger, zombie, "late"), lambda: release(ledger, zombie)):
        with pytest.raises(LeaseLost):
            attempt()
    found = job(ledger, job_id)
    assert (found["state"], found["lease_epoch"]) == ("running", owner.epoch)
    assert found["last_error"] == "the worker was lost"


def test_dead_jobs_are_read_page_by_page_and_by_reason(ledger: Ledger) -> None:
    for number in range(5):
        fail(ledger, take(ledger, JobKind.INGEST, put(ledger).image_id), f"100% wrong {number}", retry=False)
    first = read.dead(ledger, limit=2)
    rest = read.dead(ledger, after=first[-1]["job_id"])
    assert len(first) == 2
    assert len(rest) == 3
    assert [row["last_error"] for row in read.dead(ledger, reason="wrong 3")] == ["100% wrong 3"]
    assert read.dead(ledger, reason="%5") == []
    assert len(rows(ledger, "SELECT FROM jobs WHERE state = 'dead'")) == 5


def test_a_job_is_written_once_under_a_key_of_its_subject_its_revision_and_its_bundle(ledger: Ledger) -> None:
    registered, study_id = whole_study(ledger)
    asked, run_id = ask(ledger, study_id, "Is the heart large?").turn_id, create_run(ledger, "stage1", {}, None)
    found = rows(ledger, "SELECT kind, key, revision FROM jobs")
    assert {row["kind"]: (row["key"], row["revision"]) for row in found} == {
        "ingest": (str(registered.image_id), None),
        "settle": (f"{study_id}:1", 1),
        "summarise": (f"{study_id}:1:demo", 1),
        "chat": (str(asked), None),
        "train": (str(run_id), None),
    }
    with ledger.work() as work:
        lane = {"max_attempts": 5, "revision": 1}
        assert add_job(work, JobKind.SETTLE, study_id, Lane.ROUTINE, **lane) is None
        assert work.rings == []

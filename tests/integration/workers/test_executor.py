"""The executor: whatever a job does, the ledger learns exactly one thing."""

import threading
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest

from tests.support.worker_bench import Bench, claim_some, run_one
from workers.consumer import Consumer
from workers.executor import HandedBack
from workers.heartbeat import JobProgress
from xraygpt_core.db import Database
from xraygpt_core.errors import InvalidRequest, LeaseLost, Unavailable
from xraygpt_core.ledger.jobs import claims
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.ledger.studies.end_image import reject_image
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.queue import queues_of
from xraygpt_core.states import JobKind, ReasonCode

CANARY = "DOE^JANE"


@pytest.fixture
def job(bench: Bench) -> UUID:
    """An ingest job nobody has touched."""
    bench.register("incoming/a.dcm", b"no film")
    job_id: UUID = bench.value("SELECT id FROM jobs")
    return job_id


def state(bench: Bench) -> dict[str, Any]:
    return bench.rows("SELECT state, attempts, lease_epoch, last_error FROM jobs")[0]


def raising(error: Exception) -> Callable[[Claim, JobProgress], None]:
    def body(_claim: Claim, _progress: JobProgress) -> None:
        raise error

    return body


def rejecting(bench: Bench) -> Callable[[Claim, JobProgress], None]:
    return lambda claim, _progress: reject_image(bench.ledger, claim, ReasonCode.EMPTY, "empty")


def test_a_job_is_done_once_however_often_somebody_looks_for_it(bench: Bench, job: UUID) -> None:
    for _ in range(3):
        run_one(bench.context, JobKind.INGEST, rejecting(bench))
    assert state(bench) == {"state": "done", "attempts": 1, "lease_epoch": 1, "last_error": None}


def test_an_outage_is_retried(bench: Bench, job: UUID) -> None:
    run_one(bench.context, JobKind.INGEST, raising(Unavailable("the bucket does not answer")))
    assert state(bench) == {
        "state": "queued",
        "attempts": 1,
        "lease_epoch": 1,
        "last_error": "Unavailable: the bucket does not answer",
    }


def test_the_last_attempt_ends_dead_with_its_error(bench: Bench, job: UUID) -> None:
    for _ in range(bench.settings.max_attempts):
        run_one(bench.context, JobKind.INGEST, raising(Unavailable("no answer")))
    assert (state(bench)["state"], state(bench)["attempts"]) == ("dead", bench.settings.max_attempts)
    assert bench.value("SELECT state FROM images") == "dead"


def test_what_can_never_work_is_not_repeated(bench: Bench, job: UUID) -> None:
    run_one(bench.context, JobKind.INGEST, raising(InvalidRequest("the derived bucket")))
    assert (state(bench)["state"], state(bench)["attempts"]) == ("dead", 1)


def test_a_foreign_error_is_kept_without_its_words(bench: Bench, job: UUID, caplog: pytest.LogCaptureFixture) -> None:
    run_one(bench.context, JobKind.INGEST, raising(ValueError(f"cannot read {CANARY}")))
    error = state(bench)["last_error"]
    assert error.startswith("ValueError in body (test_executor.py:")
    assert CANARY not in error
    assert CANARY not in "".join(record.getMessage() for record in caplog.records)


def test_a_job_handed_back_has_its_attempt_again(bench: Bench, job: UUID) -> None:
    run_one(bench.context, JobKind.INGEST, raising(HandedBack("stopping")))
    assert state(bench) == {"state": "queued", "attempts": 0, "lease_epoch": 1, "last_error": None}


def test_a_lost_lease_changes_nothing(bench: Bench, job: UUID) -> None:
    run_one(bench.context, JobKind.INGEST, raising(LeaseLost("lost")))
    assert state(bench) == {"state": "running", "attempts": 1, "lease_epoch": 1, "last_error": None}


def expire(bench: Bench) -> None:
    with bench.ledger.work() as work:
        work.run("UPDATE jobs SET lease_until = clock_timestamp() - interval '1 second'")


def test_a_zombies_commit_is_refused(bench: Bench, job: UUID) -> None:
    def sleeping_past_the_lease(claim: Claim, _progress: JobProgress) -> None:
        expire(bench)
        run_one(bench.context, JobKind.INGEST, raising(Unavailable("the second owner failed")))
        reject_image(bench.ledger, claim, ReasonCode.EMPTY, "written by the first owner")

    run_one(bench.context, JobKind.INGEST, sleeping_past_the_lease)
    assert (state(bench)["state"], state(bench)["lease_epoch"]) == ("queued", 2)
    assert bench.value("SELECT state FROM images") == "received"


def test_a_zombies_failure_is_nobodys_business(bench: Bench, job: UUID) -> None:
    def failing_past_the_lease(_claim: Claim, _progress: JobProgress) -> None:
        expire(bench)
        run_one(bench.context, JobKind.INGEST, rejecting(bench))
        raise Unavailable("the first owner failed")

    run_one(bench.context, JobKind.INGEST, failing_past_the_lease)
    assert state(bench) == {"state": "done", "attempts": 2, "lease_epoch": 2, "last_error": "the worker was lost"}


@pytest.fixture
def beating_bench(bench: Bench) -> Iterator[Bench]:
    bench.context.heartbeat.start()
    yield bench
    bench.context.heartbeat.close()


def test_a_job_longer_than_its_lease_keeps_it(beating_bench: Bench, job: UUID) -> None:
    until = "SELECT lease_until FROM jobs"
    seen = []

    def long(claim: Claim, progress: JobProgress) -> None:
        start = beating_bench.value(until)
        while beating_bench.value(until) == start:
            progress.lost.wait(0.05)
        seen.append(beating_bench.value(until) > start)
        reject_image(beating_bench.ledger, claim, ReasonCode.EMPTY, "empty")

    run_one(beating_bench.context, JobKind.INGEST, long)
    assert seen == [True]
    assert state(beating_bench)["state"] == "done"


def test_a_cancelled_job_is_told_by_the_next_beat(beating_bench: Bench, job: UUID) -> None:
    told = threading.Event()

    def waiting(_claim: Claim, progress: JobProgress) -> None:
        with beating_bench.ledger.work() as work:
            work.run("UPDATE jobs SET state = 'cancelled', lease_until = NULL")
        assert progress.lost.wait(60)
        told.set()
        progress.check()

    run_one(beating_bench.context, JobKind.INGEST, waiting)
    assert told.is_set()
    assert state(beating_bench)["state"] == "cancelled"


def test_a_row_that_is_being_written_holds_up_no_heartbeat(bench: Bench, job: UUID) -> None:
    bench.register("incoming/b.dcm", b"no film either")
    ids = [row["id"] for row in bench.rows("SELECT id FROM jobs ORDER BY id")]
    taken = claim_some(bench.ledger, JobKind.INGEST, 2)
    other = Ledger(bench.settings, Database(bench.settings.database_url.get_secret_value()), bench.ledger.doorbell)
    before = {row["id"]: row["lease_until"] for row in bench.rows("SELECT id, lease_until FROM jobs")}
    with other.work() as work:
        work.row("SELECT id FROM jobs WHERE id = :id FOR UPDATE", {"id": taken[0].job_id})
        assert claims.heartbeat(bench.ledger, taken) == set(ids)
        after = {row["id"]: row["lease_until"] for row in bench.rows("SELECT id, lease_until FROM jobs")}
    other.database.close()
    assert after[ids[0]] == before[ids[0]]
    assert after[ids[1]] > before[ids[1]]


def test_a_database_that_is_away_costs_the_worker_nothing(bench: Bench, job: UUID) -> None:
    database = Database("postgresql://nobody:nothing@127.0.0.1:9/nowhere")
    away = Ledger(bench.settings, database, bench.ledger.doorbell)
    context = type(bench.context)(bench.settings, away, bench.store, bench.context.heartbeat, "test")
    Consumer(context, queues_of(JobKind.INGEST), {JobKind.INGEST: rejecting(bench)})()
    database.close()
    assert state(bench)["attempts"] == 0

"""What people may have done again: a summary with another bundle, work that died. Repeating it does nothing."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.support.ledger_tools import (
    expire,
    film,
    ingest,
    job,
    job_of,
    new_summary,
    one,
    put,
    settle_now,
    start_summary,
    state_of,
    summarise,
    take,
    whole_study,
)
from xraygpt_core.errors import Conflict, NotFound
from xraygpt_core.ids import new_id
from xraygpt_core.ledger.jobs.claims import fail
from xraygpt_core.ledger.jobs.reconcile import tick
from xraygpt_core.ledger.studies import read
from xraygpt_core.ledger.studies.cancel import cancel_study
from xraygpt_core.ledger.studies.resummarise import replay_dead, resummarise
from xraygpt_core.ledger.studies.summarise import complete_summary
from xraygpt_core.ledger.training.serving import serve
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import JobKind, Lane


def bury_job(ledger: Ledger, kind: JobKind, subject: object, error: str = "out of luck") -> None:
    fail(ledger, take(ledger, kind, subject), error, retry=False)  # type: ignore[arg-type]


def test_summarising_again_needs_another_bundle_and_repeats_nothing(ledger: Ledger) -> None:
    _, study_id = whole_study(ledger)
    assert resummarise(ledger, study_ids=[study_id], bundle=None) == 0
    serve(ledger, "better")
    assert resummarise(ledger, study_ids=None, bundle="better") == 1
    assert resummarise(ledger, study_ids=None, bundle="better") == 0
    queued = job(ledger, job_of(ledger, JobKind.SUMMARISE, study_id))
    assert queued["lane_rank"] == Lane.BACKLOG.rank
    assert state_of(ledger, study_id) == "summarised"
    summarise(ledger, study_id, bundle="better")
    assert resummarise(ledger, study_ids=None, bundle=None) == 0
    found = read.study(ledger, study_id).summary
    assert found is not None
    assert found.bundle == "better"


def test_a_second_opinion_given_with_the_former_bundle_can_be_asked_for_once_more(ledger: Ledger) -> None:
    """A worker that has not noticed the promotion yet takes the job."""
    _, study_id = whole_study(ledger)
    serve(ledger, "better")
    assert resummarise(ledger, study_ids=None, bundle=None) == 1
    summarise(ledger, study_id, bundle="demo")
    assert resummarise(ledger, study_ids=None, bundle=None) == 1
    assert resummarise(ledger, study_ids=None, bundle=None) == 0
    summarise(ledger, study_id, bundle="better")
    assert resummarise(ledger, study_ids=None, bundle=None) == 0
    assert one(ledger, "SELECT count(*) FROM summaries") == 3


def test_summarising_again_with_a_bundle_that_is_not_served_is_refused(ledger: Ledger) -> None:
    with pytest.raises(Conflict):
        resummarise(ledger, study_ids=None, bundle="better")
    with pytest.raises(NotFound):
        resummarise(ledger, study_ids=[new_id()], bundle=None)


def test_summarising_again_picks_by_bundle_day_and_view(ledger: Ledger) -> None:
    for view in ("PA", "AP"):
        whole_study(ledger, film(view, view=view))
    serve(ledger, "better")
    now = datetime.now(UTC)
    assert resummarise(ledger, study_ids=None, bundle=None, from_bundle="other") == 0
    assert resummarise(ledger, study_ids=None, bundle=None, since=now + timedelta(days=1)) == 0
    assert resummarise(ledger, study_ids=None, bundle=None, until=now - timedelta(days=1)) == 0
    assert resummarise(ledger, study_ids=None, bundle=None, from_bundle="demo", view="AP") == 1
    assert resummarise(ledger, study_ids=None, bundle=None, since=now - timedelta(days=1)) == 1


def test_a_second_opinion_that_fails_leaves_the_study_summarised(ledger: Ledger) -> None:
    _, study_id = whole_study(ledger)
    serve(ledger, "better")
    resummarise(ledger, study_ids=None, bundle=None)
    bury_job(ledger, JobKind.SUMMARISE, study_id)
    assert state_of(ledger, study_id) == "summarised"


def test_a_second_opinion_of_a_study_that_changed_meanwhile_is_not_given(ledger: Ledger) -> None:
    _, study_id = whole_study(ledger, film("u1", view="AP"))
    serve(ledger, "better")
    resummarise(ledger, study_ids=None, bundle=None)
    running, given = start_summary(ledger, study_id)
    ingest(ledger, put(ledger), film("u1", view="PA"))
    complete_summary(ledger, running, given, new_summary(bundle="better"))
    assert state_of(ledger, study_id) == "waiting"
    settle_now(ledger, study_id)
    summarise(ledger, study_id, bundle="better")
    assert one(ledger, "SELECT count(*) FROM summaries WHERE superseded_at IS NULL") == 1


def test_a_dead_study_may_be_summarised_with_another_bundle(ledger: Ledger) -> None:
    study_id = ingest(ledger, put(ledger))
    settle_now(ledger, study_id)
    bury_job(ledger, JobKind.SUMMARISE, study_id)
    serve(ledger, "better")
    assert resummarise(ledger, study_ids=None, bundle=None) == 1
    assert state_of(ledger, study_id) == "queued"
    summarise(ledger, study_id, bundle="better")
    assert state_of(ledger, study_id) == "summarised"


@pytest.mark.parametrize("kind", [JobKind.INGEST, JobKind.SETTLE, JobKind.SUMMARISE])
def test_a_dead_job_goes_on_where_it_died(ledger: Ledger, kind: JobKind) -> None:
    registered = put(ledger)
    study_id = registered.study_id
    if kind is not JobKind.INGEST:
        ingest(ledger, registered, film("u1"))
    if kind is JobKind.SUMMARISE:
        settle_now(ledger, study_id)
    subject = registered.image_id if kind is JobKind.INGEST else study_id
    bury_job(ledger, kind, subject)
    assert read.study(ledger, study_id).state == "dead"
    epoch = job(ledger, job_of(ledger, kind, subject))["lease_epoch"]
    ledger.doorbell.app.control.purge()
    assert replay_dead(ledger) == 1
    assert replay_dead(ledger) == 0
    found = job(ledger, job_of(ledger, kind, subject))
    assert (found["state"], found["attempts"], found["lease_epoch"]) == ("queued", 0, epoch)
    assert read.study(ledger, study_id).state in {"received", "waiting", "queued"}
    assert tick(ledger).rung == 1
    if kind is JobKind.INGEST:
        ingest(ledger, registered, film("u1"))
    if kind is not JobKind.SUMMARISE:
        settle_now(ledger, study_id)
    summarise(ledger, study_id)
    assert state_of(ledger, study_id) == "summarised"


def test_dead_jobs_are_replayed_by_id_by_reason_or_all(ledger: Ledger) -> None:
    for number in range(4):
        bury_job(ledger, JobKind.INGEST, put(ledger).image_id, f"100% wrong {number}")
    ids = [row["job_id"] for row in read.dead(ledger)]
    assert replay_dead(ledger, job_ids=ids[:1]) == 1
    assert replay_dead(ledger, reason="wrong 2") == 1
    assert replay_dead(ledger, reason="%3") == 0
    assert replay_dead(ledger, job_ids=[]) == 0
    assert replay_dead(ledger) == 2


def test_replaying_what_the_study_has_left_behind_does_not_open_it_for_ever(ledger: Ledger) -> None:
    study_id = ingest(ledger, put(ledger), film("u1", view="AP"))
    settle_now(ledger, study_id)
    old = job_of(ledger, JobKind.SUMMARISE, study_id)
    bury_job(ledger, JobKind.SUMMARISE, study_id)
    ingest(ledger, put(ledger), film("u1", view="PA"))
    bury_job(ledger, JobKind.SETTLE, study_id)
    assert replay_dead(ledger, job_ids=[old]) == 1
    assert state_of(ledger, study_id) == "dead"


def test_a_cancelled_study_has_nothing_to_replay(ledger: Ledger) -> None:
    registered = put(ledger)
    bury_job(ledger, JobKind.INGEST, registered.image_id)
    cancel_study(ledger, registered.study_id)
    assert replay_dead(ledger) == 0
    assert state_of(ledger, registered.study_id) == "cancelled"


def test_replayed_work_that_loses_its_worker_again_counts_its_attempts_afresh(ledger: Ledger) -> None:
    registered = put(ledger)
    bury_job(ledger, JobKind.INGEST, registered.image_id)
    replay_dead(ledger)
    got = take(ledger, JobKind.INGEST, registered.image_id)
    assert (got.attempts, got.epoch) == (1, 2)
    expire(ledger, got.job_id)
    assert tick(ledger).requeued == 1

"""What people may have done again: a summary with another bundle, work that died. Repeating it does nothing."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.support.ledger_tools import (
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
from xraygpt_core.ledger.studies import read
from xraygpt_core.ledger.studies.resummarise import resummarise
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

"""A stat study is drafted from its first frontal film at once; what comes after it loses and doubles nothing."""

from itertools import count
from typing import Any
from uuid import UUID

import pytest

from tests.support.ledger_tools import (
    claim,
    film,
    ingest,
    job,
    job_of,
    one,
    picture,
    put,
    settle_now,
    state_of,
    summarise,
    take,
    until_it_waits,
)
from xraygpt_core.ledger.jobs.claims import claim_next, fail
from xraygpt_core.ledger.studies import read
from xraygpt_core.ledger.studies.accept import complete_ingests
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import Flag, JobKind, Lane, Origin

pytestmark = pytest.mark.usefixtures("sound")

STAT, ROUTINE = Lane.STAT, Lane.ROUTINE
_worlds = count()


@pytest.fixture
def patient(ledger: Ledger) -> Ledger:
    """A ledger that waits for the rest of a study: ten minutes, and one after the first draft of a stat study."""
    changes = {"settle_seconds": 600.0, "stat_quiet_seconds": 60.0}
    return Ledger(ledger.settings.model_copy(update=changes), ledger.database, ledger.doorbell)


def send(ledger: Ledger, view: str | None = "PA", lane: Lane = STAT, study: str = "u1", **changes: Any) -> UUID:
    """An image comes and is read; its study."""
    return ingest(ledger, put(ledger, lane=lane), film(study, view=view, **changes))


def pause(ledger: Ledger, study_id: UUID) -> int | None:
    """For how many minutes the newest settle job of a study was made to wait; None: it is ready."""
    sql = "SELECT extract(epoch FROM not_before - created_at) / 60 AS minutes FROM jobs WHERE id = :id"
    minutes = one(ledger, sql, id=job_of(ledger, JobKind.SETTLE, study_id))
    return None if minutes is None else round(minutes)


def test_the_first_frontal_film_of_a_stat_study_waits_for_nothing(patient: Ledger) -> None:
    for view in ("PA", "AP", "FRONTAL"):
        assert pause(patient, send(patient, view, study=f"stat {view}")) is None
        assert pause(patient, send(patient, view, ROUTINE, study=f"routine {view}")) == 10
        assert pause(patient, send(patient, view, Lane.BACKLOG, study=f"backlog {view}")) == 10


def test_a_worker_is_called_for_it_at_once(patient: Ledger) -> None:
    send(patient)
    assert [taken.kind for taken in claim_next(patient, [(JobKind.SETTLE, STAT)], "w")] == [JobKind.SETTLE]
    assert patient.doorbell.lengths(["settle.stat"])["settle.stat"] == 1


NOT_SURE = {
    "lateral": {"view": "LATERAL"},
    "oblique": {"view": "OBLIQUE"},
    "a view without a name": {"view": None},
    "bone": {"origin": Origin.BONE},
    "raw": {"origin": Origin.FOR_PROCESSING},
    "derived": {"origin": Origin.DERIVED},
    "a copy": {"flags": (Flag.SECONDARY_CAPTURE,)},
    "noise": {"flags": (Flag.IMPLAUSIBLE_PIXELS,)},
}


@pytest.mark.parametrize("first", NOT_SURE.values(), ids=NOT_SURE)
def test_what_may_not_be_the_film_to_read_waits_for_the_rest_even_in_stat(
    patient: Ledger, first: dict[str, Any]
) -> None:
    study_id = send(patient, **({"view": "PA"} | first))
    assert pause(patient, study_id) == 10
    assert send(patient, "AP") == study_id
    assert pause(patient, study_id) is None, "the frontal film is here"


def test_a_lateral_film_alone_ends_a_stat_study_only_after_the_whole_quiet_time(patient: Ledger) -> None:
    study_id = send(patient, "LATERAL")
    assert claim(patient, job_of(patient, JobKind.SETTLE, study_id), JobKind.SETTLE) is None
    assert state_of(patient, study_id) == "waiting"
    settle_now(patient, study_id)
    assert read.study(patient, study_id).reason_code == "no_frontal_view"
    send(patient, "PA")
    assert pause(patient, study_id) is None
    settle_now(patient, study_id)
    summarise(patient, study_id)


def test_what_follows_the_first_draft_waits_for_the_short_quiet_time(patient: Ledger) -> None:
    study_id = send(patient, "AP")
    settle_now(patient, study_id)
    for view in ("LATERAL", "PA"):
        send(patient, view)
        assert pause(patient, study_id) == 1
    send(patient, expected_images=4)
    assert pause(patient, study_id) is None, "it is complete by its own count"


def test_the_short_quiet_time_is_never_the_longer_one(ledger: Ledger) -> None:
    study_id = send(ledger)
    settle_now(ledger, study_id)
    send(ledger, "LATERAL")
    assert pause(ledger, study_id) is None


def test_a_waiting_study_that_is_raised_to_stat_is_settled_now(patient: Ledger) -> None:
    study_id = ingest(patient, put(patient, "a"), film("u1"))
    assert pause(patient, study_id) == 10
    put(patient, "a", lane=STAT)
    assert pause(patient, study_id) is None
    assert [taken.subject for taken in claim_next(patient, [(JobKind.SETTLE, STAT)], "w")] == [study_id]


def test_a_lateral_film_that_is_raised_to_stat_goes_on_waiting(patient: Ledger) -> None:
    study_id = ingest(patient, put(patient, "a"), film("u1", view="LATERAL"))
    put(patient, "a", lane=STAT)
    assert pause(patient, study_id) == 10


def test_a_stat_image_that_joins_a_waiting_routine_study_has_it_settled_now(patient: Ledger) -> None:
    study_id = send(patient, "PA", ROUTINE)
    assert send(patient, "LATERAL", STAT) == study_id
    assert pause(patient, study_id) is None


def test_a_settle_job_that_failed_keeps_its_pause_when_its_study_is_raised(patient: Ledger) -> None:
    slow = Ledger(patient.settings.model_copy(update={"retry_seconds": 300.0}), patient.database, patient.doorbell)
    study_id = ingest(slow, put(slow, "a"), film("u1"))
    fail(slow, take(slow, JobKind.SETTLE, study_id), "as the test says")
    put(slow, "a", lane=STAT)
    assert pause(slow, study_id) is not None


def test_an_image_that_is_accepted_while_its_study_is_raised_does_not_wait(patient: Ledger) -> None:
    registered = put(patient, "a")
    (taken,) = claim_next(patient, [(JobKind.INGEST, ROUTINE)], "w")
    with patient.work() as work:  # the study is being looked at, so both have to wait for it
        work.rows("SELECT FROM studies WHERE id = :id FOR UPDATE", {"id": registered.study_id})
        accepting = until_it_waits(patient, lambda: complete_ingests(patient, [(taken, film("u1"))]))
        raising = until_it_waits(patient, lambda: put(patient, "a", lane=STAT))
    accepting()
    raising()
    assert pause(patient, registered.study_id) is None
    settle_now(patient, registered.study_id)
    assert job(patient, job_of(patient, JobKind.SUMMARISE, registered.study_id))["lane_rank"] == STAT.rank


def test_a_picture_is_drafted_at_once_as_ever(patient: Ledger) -> None:
    assert pause(patient, ingest(patient, put(patient, lane=STAT), picture())) is None

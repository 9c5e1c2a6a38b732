"""The draft of a stat study and what comes after its first film: nothing is thrown away, and nothing done twice."""

from itertools import count
from typing import Any
from uuid import UUID

import pytest

from tests.support.ledger_tools import (
    claim,
    film,
    ingest,
    new_summary,
    no_errors,
    one,
    put,
    rows,
    settle_now,
    sign,
    start_summary,
    state_of,
    summarise,
    together,
)
from xraygpt_core.ledger.jobs.claims import claim_next, fail
from xraygpt_core.ledger.studies import read
from xraygpt_core.ledger.studies.resummarise import resummarise
from xraygpt_core.ledger.studies.summarise import complete_summary, summarise_input
from xraygpt_core.ledger.training.serving import note_images, serve
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import Flag, ImageRole, JobKind, Lane, ReviewState

pytestmark = pytest.mark.usefixtures("sound")

STAT, ROUTINE = Lane.STAT, Lane.ROUTINE
_worlds = count()


@pytest.fixture
def patient(ledger: Ledger) -> Ledger:
    """A ledger that waits for the rest of a study: ten minutes, and one after the first draft of a stat study."""
    note_images(ledger, "demo", [ImageRole.FRONTAL])
    changes = {"settle_seconds": 600.0, "stat_quiet_seconds": 60.0}
    return Ledger(ledger.settings.model_copy(update=changes), ledger.database, ledger.doorbell)


def send(ledger: Ledger, view: str | None = "PA", lane: Lane = STAT, study: str = "u1", **changes: Any) -> UUID:
    """An image comes and is read; its study."""
    return ingest(ledger, put(ledger, lane=lane), film(study, view=view, **changes))


def texts(ledger: Ledger) -> list[tuple[str, bool]]:
    found = rows(ledger, "SELECT summary, superseded_at IS NULL AS current FROM summaries ORDER BY id")
    return [(row["summary"], row["current"]) for row in found]


def summarise_jobs(ledger: Ledger) -> list[str]:
    return [row["state"] for row in rows(ledger, "SELECT state FROM jobs WHERE kind = 'summarise' ORDER BY id")]


def test_a_draft_that_is_written_while_the_rest_waits_is_current_and_stays_so(patient: Ledger) -> None:
    study_id = send(patient, "PA")
    settle_now(patient, study_id)
    running, given_film = start_summary(patient, study_id)
    send(patient, "LATERAL")
    complete_summary(patient, running, given_film, new_summary("at once"))
    assert (state_of(patient, study_id), texts(patient)) == ("waiting", [("at once", True)])
    settle_now(patient, study_id)
    assert (state_of(patient, study_id), texts(patient)) == ("summarised", [("at once", True)])
    assert summarise_jobs(patient) == ["done"]


def test_a_draft_that_nobody_began_is_begun_while_the_rest_waits(patient: Ledger) -> None:
    study_id = send(patient, "PA")
    settle_now(patient, study_id)
    send(patient, "LATERAL")
    summarise(patient, study_id, text="at once")
    assert texts(patient) == [("at once", True)]


def test_a_draft_that_is_written_after_its_image_was_chosen_again_answers_both_jobs(patient: Ledger) -> None:
    study_id = send(patient, "PA")
    settle_now(patient, study_id)
    running, given_film = start_summary(patient, study_id)
    send(patient, "LATERAL")
    settle_now(patient, study_id)
    assert summarise_jobs(patient) == ["running", "queued"]
    complete_summary(patient, running, given_film, new_summary("once"))
    assert (state_of(patient, study_id), texts(patient)) == ("summarised", [("once", True)])
    assert summarise_jobs(patient) == ["done", "done"]


def test_an_image_that_is_being_drafted_is_not_drafted_twice_at_once(patient: Ledger) -> None:
    study_id = send(patient, "PA")
    settle_now(patient, study_id)
    running, given_film = start_summary(patient, study_id)
    for _ in range(2):
        send(patient, "LATERAL")
        settle_now(patient, study_id)
        assert claim_next(patient, [(JobKind.SUMMARISE, STAT)], "another") == []
    send(patient, "LATERAL")
    complete_summary(patient, running, given_film, new_summary("once"))
    settle_now(patient, study_id)
    assert (state_of(patient, study_id), texts(patient)) == ("summarised", [("once", True)])
    stale = [claim(patient, row["id"], JobKind.SUMMARISE, early=True) for row in waiting(patient)]
    assert [summarise_input(patient, one_claim) for one_claim in stale if one_claim is not None] == [None, None]
    assert summarise_jobs(patient) == ["done", "cancelled", "cancelled"]


def waiting(ledger: Ledger) -> list[dict[str, Any]]:
    return rows(ledger, "SELECT id FROM jobs WHERE kind = 'summarise' AND state = 'queued' ORDER BY id")


def test_a_draft_whose_worker_is_lost_is_written_by_the_job_that_waited_for_it(patient: Ledger) -> None:
    study_id = send(patient, "PA")
    settle_now(patient, study_id)
    fails, _ = start_summary(patient, study_id)
    send(patient, "LATERAL")
    settle_now(patient, study_id)
    fail(patient, fails, "as the test says", retry=False)
    assert state_of(patient, study_id) == "queued"
    summarise(patient, study_id, text="by another worker")
    assert texts(patient) == [("by another worker", True)]


def test_another_image_does_not_wait_for_the_draft_of_a_worse_one(patient: Ledger) -> None:
    study_id = send(patient, "AP")
    settle_now(patient, study_id)
    start_summary(patient, study_id)
    send(patient, "PA")
    settle_now(patient, study_id)
    assert len(claim_next(patient, [(JobKind.SUMMARISE, STAT)], "another")) == 1


def test_a_study_whose_job_was_answered_can_be_summarised_again(patient: Ledger) -> None:
    test_a_draft_that_is_written_after_its_image_was_chosen_again_answers_both_jobs(patient)
    (study_id,) = [row["id"] for row in rows(patient, "SELECT id FROM studies WHERE alias_of IS NULL")]
    for bundle in ("another", "demo"):
        serve(patient, bundle)
        assert resummarise(patient, study_ids=[study_id], bundle=None) == 1
        summarise(patient, study_id, text=bundle, bundle=bundle)
    assert texts(patient) == [("once", False), ("another", False), ("demo", True)]


def test_a_job_for_another_bundle_is_not_answered(patient: Ledger) -> None:
    study_id = send(patient, "PA")
    settle_now(patient, study_id)
    running, given_film = start_summary(patient, study_id)
    serve(patient, "another")
    send(patient, "LATERAL")
    settle_now(patient, study_id)
    complete_summary(patient, running, given_film, new_summary("of the former bundle"))
    assert (state_of(patient, study_id), texts(patient)) == ("queued", [("of the former bundle", False)])
    summarise(patient, study_id, bundle="another")


def test_of_two_workers_on_one_image_the_one_of_the_newest_revision_counts(patient: Ledger) -> None:
    study_id = send(patient, "PA")
    settle_now(patient, study_id)
    first = start_summary(patient, study_id)
    send(patient, "LATERAL")
    settle_now(patient, study_id)
    second = start_summary(patient, study_id)
    runs = [(first, "first"), (second, "second")]
    no_errors(
        together(*[lambda run=run, text=text: complete_summary(patient, *run, new_summary(text)) for run, text in runs])
    )
    assert sorted(texts(patient)) == [("first", False), ("second", True)]


def test_an_old_draft_does_not_take_the_place_of_a_newer_one(patient: Ledger) -> None:
    study_id = send(patient, "PA")
    settle_now(patient, study_id)
    old, given_film = start_summary(patient, study_id)
    send(patient, "LATERAL")
    settle_now(patient, study_id)
    summarise(patient, study_id, text="newer")
    send(patient, "LATERAL")
    complete_summary(patient, old, given_film, new_summary("older"))
    assert sorted(texts(patient)) == [("newer", True), ("older", False)]


def test_a_better_image_supersedes_the_draft_that_came_at_once(patient: Ledger) -> None:
    study_id = send(patient, "AP")
    settle_now(patient, study_id)
    summarise(patient, study_id, text="of the AP view")
    better = put(patient, lane=STAT)
    ingest(patient, better, film("u1", view="PA"))
    settle_now(patient, study_id)
    assert start_summary(patient, study_id)[1].image_id == better.image_id


def test_a_draft_of_an_image_that_was_replaced_meanwhile_is_not_current(patient: Ledger) -> None:
    study_id = ingest(patient, put(patient, "a", lane=STAT), film("u1"))
    settle_now(patient, study_id)
    running, given_film = start_summary(patient, study_id)
    ingest(patient, put(patient, "a", "e2", lane=STAT), film("u1"))
    complete_summary(patient, running, given_film, new_summary("of what is gone"))
    assert texts(patient) == [("of what is gone", False)]


def test_a_signed_text_is_superseded_with_a_flag_and_stays_to_be_read(patient: Ledger) -> None:
    study_id = send(patient, "AP")
    settle_now(patient, study_id)
    signed = summarise(patient, study_id, text="signed")
    sign(patient, signed, ReviewState.ACCEPTED)
    for view in ("PA", "LATERAL"):
        send(patient, view)
        settle_now(patient, study_id) if view == "PA" else None
    running, given_film = start_summary(patient, study_id)
    complete_summary(patient, running, given_film, new_summary("newer"))
    found = read.study(patient, study_id)
    assert found.summary is not None
    assert (found.summary.summary, Flag.SUPERSEDES_REVIEWED in found.summary.flags) == ("newer", True)
    assert one(patient, "SELECT review_state FROM summaries WHERE id = :id", id=signed) == "accepted"
    settle_now(patient, study_id)
    assert state_of(patient, study_id) == "summarised"


def test_a_routine_study_keeps_its_timer_and_its_rule(patient: Ledger) -> None:
    study_id = send(patient, "PA", ROUTINE)
    settle_now(patient, study_id)
    running, given_film = start_summary(patient, study_id)
    send(patient, "LATERAL", ROUTINE)
    complete_summary(patient, running, given_film, new_summary("too early"))
    assert texts(patient) == [("too early", False)]

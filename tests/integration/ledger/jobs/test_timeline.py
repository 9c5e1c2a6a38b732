"""The timeline tells what went wrong, too: each failure, death, lost lease, hand-back and replay, as it is written."""

from typing import Any
from uuid import UUID

import pytest

from tests.support.ledger_tools import (
    expire,
    ingest,
    new_summary,
    one,
    put,
    rows,
    settle_now,
    start_summary,
    take,
    whole_study,
)
from xraygpt_core.errors import LeaseLost
from xraygpt_core.ledger.jobs.claims import fail, release
from xraygpt_core.ledger.jobs.reconcile import tick
from xraygpt_core.ledger.jobs.replay import replay_dead
from xraygpt_core.ledger.studies import read
from xraygpt_core.ledger.studies.chat import ask
from xraygpt_core.ledger.studies.purge import purge_study
from xraygpt_core.ledger.studies.summarise import complete_summary
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import JobKind

pytestmark = pytest.mark.usefixtures("sound")


def story(ledger: Ledger, study_id: UUID) -> list[str]:
    return [step["what"] for step in read.timeline(ledger, study_id)]


def last(ledger: Ledger, study_id: UUID) -> dict[str, Any]:
    return read.timeline(ledger, study_id)[-1]


def test_a_failed_attempt_is_told_with_its_error_and_its_pause(ledger: Ledger) -> None:
    registered = put(ledger)
    got = take(ledger, JobKind.INGEST, registered.image_id, worker="ingest@host-1")
    fail(ledger, got, "the codec\0 crashed")
    step = last(ledger, registered.study_id)
    assert (step["what"], step["who"], step["attempt"], step["epoch"]) == ("ingest failed", "ingest@host-1", 1, 1)
    assert (step["image_id"], step["job_id"]) == (registered.image_id, got.job_id)
    assert step["detail"] == {"error": "the codec crashed", "retry_in_seconds": ledger.settings.retry_seconds}


def test_five_failures_and_a_death_are_all_told(ledger: Ledger) -> None:
    registered = put(ledger)
    for _ in range(ledger.settings.max_attempts):
        fail(ledger, take(ledger, JobKind.INGEST, registered.image_id), "boom")
    told = story(ledger, registered.study_id)
    assert told == ["registered", *["ingest started", "ingest failed"] * 4, "ingest started", "ingest dead"]
    step = last(ledger, registered.study_id)
    assert (step["who"], step["attempt"], step["detail"]) == ("worker-1", 5, {"error": "boom"})


def test_a_lease_that_ended_is_told_with_its_worker(ledger: Ledger) -> None:
    registered = put(ledger)
    expire(ledger, take(ledger, JobKind.INGEST, registered.image_id, worker="ingest@lost").job_id)
    assert tick(ledger).requeued == 1
    step = last(ledger, registered.study_id)
    assert (step["what"], step["who"], step["attempt"]) == ("ingest lease ended", "control", 1)
    assert step["detail"] == {"worker": "ingest@lost"}


def test_many_leases_that_ended_at_once_are_told_on_every_timeline(ledger: Ledger) -> None:
    images = [put(ledger) for _ in range(4)]
    for image in images:
        expire(ledger, take(ledger, JobKind.INGEST, image.image_id).job_id)
    assert tick(ledger).requeued == 4
    assert {last(ledger, image.study_id)["what"] for image in images} == {"ingest lease ended"}
    assert one(ledger, "SELECT count(*) FROM timeline WHERE what = 'ingest lease ended'") == 4


def test_a_job_whose_last_worker_was_lost_is_told_as_dead_by_control(ledger: Ledger) -> None:
    study_id = ingest(ledger, put(ledger))
    for _ in range(ledger.settings.max_attempts - 1):
        fail(ledger, take(ledger, JobKind.SETTLE, study_id), "no")
    expire(ledger, take(ledger, JobKind.SETTLE, study_id).job_id)
    assert tick(ledger).buried == 1
    step = last(ledger, study_id)
    assert (step["what"], step["who"], step["image_id"]) == ("settle dead", "control", None)
    assert step["detail"] == {"error": "the worker was lost in attempt 5 of as many; before that: no"}


def test_a_job_that_was_handed_back_is_told_with_the_attempt_that_does_not_count(ledger: Ledger) -> None:
    study_id = ingest(ledger, put(ledger))
    settle_now(ledger, study_id)
    fail(ledger, take(ledger, JobKind.SUMMARISE, study_id), "no")
    release(ledger, take(ledger, JobKind.SUMMARISE, study_id, worker="gpu@host-2"))
    step = last(ledger, study_id)
    assert (step["what"], step["who"], step["attempt"], step["epoch"]) == ("summarise handed back", "gpu@host-2", 2, 2)
    assert step["detail"] is None


def test_a_replayed_job_is_told_and_goes_on(ledger: Ledger) -> None:
    registered = put(ledger)
    fail(ledger, take(ledger, JobKind.INGEST, registered.image_id), "no", retry=False)
    replay_dead(ledger)
    step = last(ledger, registered.study_id)
    assert (step["what"], step["who"], step["attempt"], step["epoch"]) == ("ingest replayed", "person", None, 1)
    ingest(ledger, registered)
    assert story(ledger, registered.study_id)[1:] == [
        "ingest started",
        "ingest dead",
        "ingest replayed",
        "ingest started",
        "image accepted",
    ]


def test_what_happens_to_a_question_stands_on_its_studys_timeline(ledger: Ledger) -> None:
    _, study_id = whole_study(ledger)
    turn = ask(ledger, study_id, "Is the heart large?")
    fail(ledger, take(ledger, JobKind.CHAT, turn.turn_id), "no", retry=False)
    replay_dead(ledger)
    assert story(ledger, study_id)[-3:] == ["chat started", "chat dead", "chat replayed"]
    assert {row["image_id"] for row in rows(ledger, "SELECT * FROM timeline WHERE what LIKE 'chat %'")} == {None}


def test_an_image_that_moved_to_its_study_takes_its_failures_along(ledger: Ledger) -> None:
    home = ingest(ledger, put(ledger))
    second = put(ledger)
    fail(ledger, take(ledger, JobKind.INGEST, second.image_id), "no")
    assert ingest(ledger, second) == home
    assert "ingest failed" in story(ledger, home)


def test_a_failure_nobody_owns_any_more_is_not_told(ledger: Ledger) -> None:
    registered = put(ledger)
    zombie = take(ledger, JobKind.INGEST, registered.image_id)
    expire(ledger, zombie.job_id)
    for attempt in (lambda: fail(ledger, zombie, "late"), lambda: release(ledger, zombie)):
        with pytest.raises(LeaseLost):
            attempt()
    assert story(ledger, registered.study_id) == ["registered", "ingest started"]


def test_a_study_that_goes_well_has_no_step_more(ledger: Ledger) -> None:
    registered = put(ledger)
    study_id = ingest(ledger, registered)
    settle_now(ledger, study_id)
    running, given = start_summary(ledger, study_id)
    complete_summary(ledger, running, given, new_summary())
    assert story(ledger, study_id) == [
        "registered",
        "ingest started",
        "image accepted",
        "settle started",
        "settled",
        "summarise started",
        "summarised",
    ]


def test_the_errors_of_a_purged_study_are_forgotten_with_it(ledger: Ledger) -> None:
    registered = put(ledger)
    fail(ledger, take(ledger, JobKind.INGEST, registered.image_id), "no", retry=False)
    purge_study(ledger, registered.study_id, lambda _: None)
    assert story(ledger, registered.study_id) == ["purged"]

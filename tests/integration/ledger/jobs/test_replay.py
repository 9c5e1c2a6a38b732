"""Dead jobs are replayed by id, by reason or all; window by window, so that an interrupted replay goes on."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from tests.support.ledger_tools import (
    expire,
    film,
    image_state,
    ingest,
    job,
    job_of,
    one,
    put,
    rows,
    settle_now,
    state_of,
    summarise,
    take,
    whole_study,
)
from xraygpt_core.errors import Unavailable
from xraygpt_core.ledger.jobs import replay
from xraygpt_core.ledger.jobs.claims import fail
from xraygpt_core.ledger.jobs.reconcile import tick
from xraygpt_core.ledger.jobs.replay import replay_dead
from xraygpt_core.ledger.studies import read
from xraygpt_core.ledger.studies.cancel import cancel_study
from xraygpt_core.ledger.studies.chat import ask, turn
from xraygpt_core.ledger.training.runs import create_run
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import JobKind

pytestmark = pytest.mark.usefixtures("sound")

Between = Callable[[int, Callable[[], Any]], None]


@pytest.fixture(autouse=True)
def two_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    small = replay._REPLAY.replace("LIMIT 10000", "LIMIT 2")
    assert small != replay._REPLAY
    monkeypatch.setattr(replay, "_REPLAY", small)


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> Between:
    """Do something in front of a window, counted from one; once."""

    def install(number: int, happens: Callable[[], Any]) -> None:
        original, windows = replay.repeating, []

        def counted(ledger: Ledger, body: Any) -> Any:
            windows.append(body)
            if len(windows) == number:
                happens()
            return original(ledger, body)

        monkeypatch.setattr(replay, "repeating", counted)

    return install


def gone() -> None:
    raise Unavailable("PostgreSQL does not answer")


def bury_job(ledger: Ledger, kind: JobKind, subject: object, error: str = "out of luck") -> None:
    fail(ledger, take(ledger, kind, subject), error, retry=False)  # type: ignore[arg-type]


def died(ledger: Ledger, count: int) -> list[UUID]:
    images = [put(ledger).image_id for _ in range(count)]
    for image in images:
        fail(ledger, take(ledger, JobKind.INGEST, image), "no", retry=False)
    return images


def dead_jobs(ledger: Ledger) -> int:
    return int(one(ledger, "SELECT count(*) FROM jobs WHERE state = 'dead'"))


def test_all_dead_jobs_are_replayed_window_after_window(ledger: Ledger) -> None:
    images = died(ledger, 5)
    assert replay_dead(ledger) == 5
    assert {image_state(ledger, image) for image in images} == {("received", None)}
    assert replay_dead(ledger) == 0


def test_a_replay_that_was_interrupted_keeps_what_it_did_and_goes_on(ledger: Ledger, between: Between) -> None:
    died(ledger, 5)
    between(3, gone)
    with pytest.raises(Unavailable):
        replay_dead(ledger)
    assert dead_jobs(ledger) == 1
    assert replay_dead(ledger) == 1


def test_what_dies_again_during_a_replay_is_not_replayed_for_ever(ledger: Ledger, between: Between) -> None:
    first, *_ = died(ledger, 5)
    between(2, lambda: fail(ledger, take(ledger, JobKind.INGEST, first), "no", retry=False))
    assert replay_dead(ledger) == 5
    assert dead_jobs(ledger) == 1


def test_a_reason_leaves_the_others_dead_in_every_window(ledger: Ledger) -> None:
    for number in range(6):
        fail(ledger, take(ledger, JobKind.INGEST, put(ledger).image_id), f"100% {number % 2}", retry=False)
    assert replay_dead(ledger, reason="% 1") == 3
    assert {row["last_error"] for row in read.dead(ledger)} == {"100% 0"}


def test_named_jobs_are_replayed_however_many_and_however_often_they_are_named(ledger: Ledger) -> None:
    died(ledger, 5)
    ids = [row["job_id"] for row in read.dead(ledger)][1:]
    assert replay_dead(ledger, job_ids=ids + ids) == 4
    assert dead_jobs(ledger) == 1


def test_work_of_every_kind_goes_on_where_it_died(ledger: Ledger) -> None:
    image = put(ledger)
    settling = ingest(ledger, put(ledger), film("u1"))
    queued = ingest(ledger, put(ledger), film("u2"))
    settle_now(ledger, queued)
    _, summarised = whole_study(ledger, film("u3"))
    asked = ask(ledger, summarised, "Is the heart large?").turn_id
    run = create_run(ledger, "stage1", {}, None)
    dead = {
        JobKind.INGEST: image.image_id,
        JobKind.SETTLE: settling,
        JobKind.SUMMARISE: queued,
        JobKind.CHAT: asked,
        JobKind.TRAIN: run,
    }
    for kind, subject in dead.items():
        fail(ledger, take(ledger, kind, subject), "no", retry=False)
    assert replay_dead(ledger) == len(dead)
    assert [job(ledger, job_of(ledger, kind, subject))["state"] for kind, subject in dead.items()] == ["queued"] * 5
    assert image_state(ledger, image.image_id) == ("received", None)
    assert (state_of(ledger, settling), state_of(ledger, queued)) == ("waiting", "queued")
    assert turn(ledger, asked).state == "queued"
    assert rows(ledger, "SELECT state, finished_at FROM training_runs") == [{"state": "queued", "finished_at": None}]


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

"""A million studies done again: window by window, each kept for itself, so that an interrupted change goes on."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from tests.support.ledger_tools import (
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
from xraygpt_core.errors import Conflict, Unavailable
from xraygpt_core.ledger.jobs.claims import fail
from xraygpt_core.ledger.studies import read
from xraygpt_core.ledger.studies import resummarise as again
from xraygpt_core.ledger.studies.chat import ask, turn
from xraygpt_core.ledger.studies.resummarise import replay_dead, resummarise
from xraygpt_core.ledger.training.runs import create_run
from xraygpt_core.ledger.training.serving import serve
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import JobKind, Lane

pytestmark = pytest.mark.usefixtures("sound")

Between = Callable[[int, Callable[[], Any]], None]


@pytest.fixture(autouse=True)
def two_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_REPLAY", "_WINDOW_CANDIDATES", "_WINDOW_END"):
        sql = getattr(again, name)
        small = sql.replace("LIMIT 10000", "LIMIT 2").replace("OFFSET 9999", "OFFSET 1")
        assert small != sql
        monkeypatch.setattr(again, name, small)


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> Between:
    """Do something in front of a window, counted from one; once."""

    def install(number: int, happens: Callable[[], Any]) -> None:
        original, windows = again.repeating, []

        def counted(ledger: Ledger, body: Any) -> Any:
            windows.append(body)
            if len(windows) == number:
                happens()
            return original(ledger, body)

        monkeypatch.setattr(again, "repeating", counted)

    return install


def gone() -> None:
    raise Unavailable("PostgreSQL does not answer")


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


def test_studies_are_summarised_again_window_after_window(ledger: Ledger) -> None:
    studies = [whole_study(ledger)[1] for _ in range(5)]
    serve(ledger, "better")
    assert resummarise(ledger, study_ids=None, bundle=None) == 5
    assert resummarise(ledger, study_ids=None, bundle=None) == 0
    queued = rows(ledger, "SELECT subject, lane_rank FROM jobs WHERE state = 'queued' ORDER BY id")
    assert [(row["subject"], row["lane_rank"]) for row in queued] == [(one, Lane.BACKLOG.rank) for one in studies]


def test_summarising_again_that_was_interrupted_goes_on(ledger: Ledger, between: Between) -> None:
    for _ in range(5):
        whole_study(ledger)
    serve(ledger, "better")
    between(2, gone)
    with pytest.raises(Unavailable):
        resummarise(ledger, study_ids=None, bundle=None)
    assert resummarise(ledger, study_ids=None, bundle=None) == 3


def test_named_studies_are_summarised_again_at_once(ledger: Ledger) -> None:
    studies = [whole_study(ledger)[1] for _ in range(5)]
    serve(ledger, "better")
    assert resummarise(ledger, study_ids=studies[:3] + studies[:1], bundle=None) == 3


def test_a_bundle_that_is_replaced_meanwhile_ends_what_was_asked_for_it(ledger: Ledger, between: Between) -> None:
    for _ in range(5):
        whole_study(ledger)
    serve(ledger, "better")
    between(2, lambda: serve(ledger, "best"))
    with pytest.raises(Conflict):
        resummarise(ledger, study_ids=None, bundle="better")
    assert one(ledger, "SELECT count(*) FROM jobs WHERE state = 'queued'") == 2


def test_dead_studies_among_many_are_opened_and_summarised_ones_stay(ledger: Ledger) -> None:
    _, summarised = whole_study(ledger)
    dead = ingest(ledger, put(ledger), film("u-dead"))
    settle_now(ledger, dead)
    fail(ledger, take(ledger, JobKind.SUMMARISE, dead), "no", retry=False)
    serve(ledger, "better")
    assert resummarise(ledger, study_ids=None, bundle=None) == 2
    assert (state_of(ledger, summarised), state_of(ledger, dead)) == ("summarised", "queued")
    for study_id in (summarised, dead):
        summarise(ledger, study_id, bundle="better")
    assert state_of(ledger, dead) == "summarised"

"""A million studies done again: window by window, each kept for itself, so that an interrupted change goes on."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.ledger_tools import (
    film,
    ingest,
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
from xraygpt_core.ledger.studies import resummarise as again
from xraygpt_core.ledger.studies.resummarise import resummarise
from xraygpt_core.ledger.training.serving import serve
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import JobKind, Lane

pytestmark = pytest.mark.usefixtures("sound")

Between = Callable[[int, Callable[[], Any]], None]


@pytest.fixture(autouse=True)
def two_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_WINDOW_CANDIDATES", "_WINDOW_END"):
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

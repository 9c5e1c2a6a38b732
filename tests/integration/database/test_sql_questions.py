"""The twenty questions of docs/sql.md, asked by the analysts' role about made studies whose answers are known."""

import re
from collections.abc import Iterator
from datetime import date, time
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tests.support.ledger_tools import (
    do,
    film,
    ingest,
    new_summary,
    put,
    reject,
    settle_now,
    sign,
    signer,
    start_summary,
    take,
)
from tests.support.review_tools import REJECTED, UNDO, edited, say
from xraygpt_core.dicom.types import HeaderFacts
from xraygpt_core.ledger.actor import Actor
from xraygpt_core.ledger.card.analyst_dates import show_analyst_dates
from xraygpt_core.ledger.studies.chat import ask, complete_turn
from xraygpt_core.ledger.studies.resummarise import resummarise
from xraygpt_core.ledger.studies.review import Verdict, review_summary
from xraygpt_core.ledger.studies.summarise import complete_summary
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import JobKind, KeyKind, ReviewState

DOCUMENT = (Path(__file__).parents[3] / "docs" / "sql.md").read_text()
QUESTIONS = re.findall(
    r"\n\d+\. [^\n]+\?\n\n```sql\n(.*?)```", DOCUMENT.partition("\n## Twenty questions")[2], re.DOTALL
)
EFFUSION = "Large left effusion. No pneumothorax."
CONSOLIDATION = "Right upper zone consolidation. Possible pneumothorax. No effusion."


class World:
    """One study with a correction and an answer, one under two bundles that waits, and one that was rejected."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        facts = HeaderFacts(date(2021, 3, 4), time(5, 6), "L", (0.5, 0.25), "detector")
        self.corrected = self.study("one", "acc-1", facts)
        self.summary = self.draft(self.corrected, EFFUSION)
        self._review()
        self._answer()
        self.waiting = self.study("two", "acc-2", HeaderFacts())
        self.draft(self.waiting, "Large right effusion.")
        do(ledger, "UPDATE installation SET served_bundle = 'newer'")
        resummarise(ledger, study_ids=[self.waiting], bundle=None)
        self.draft(self.waiting, CONSOLIDATION, bundle="newer")
        rejected = put(ledger)
        reject(ledger, rejected)
        self.rejected = rejected.study_id
        do(ledger, "UPDATE studies SET received_at = '2026-01-02 03:04:05Z'")

    def study(self, uid: str, accession: str, facts: HeaderFacts) -> UUID:
        study_id = ingest(self.ledger, put(self.ledger), film(uid, facts=facts, accession_pseudonym=accession))
        settle_now(self.ledger, study_id)
        return study_id

    def draft(self, study_id: UUID, text: str, bundle: str = "demo") -> UUID:
        taken, given = start_summary(self.ledger, study_id)
        made = new_summary(text, bundle)
        provenance = {"waited_seconds": 1.0, "generate_seconds": 2.0, "software": {"device": "cpu"}}
        return complete_summary(self.ledger, taken, given, type(made)(**made.__dict__ | {"provenance": provenance}))

    def _review(self) -> None:
        reader = signer(self.ledger, "Dr. A")
        say(self.ledger, self.summary, reader, edited("Small left effusion. Nodule."))
        program = signer(self.ledger, "ris", KeyKind.PROGRAM)
        review_summary(self.ledger, self.summary, Verdict(ReviewState.REJECTED, reason="another film"), program)
        sign(self.ledger, self.summary, ReviewState.EDITED, "Small left effusion. Nodule. Mass.")

    def _answer(self) -> None:
        turn_id = ask(self.ledger, self.corrected, "And the bones?").turn_id
        complete_turn(
            self.ledger, take(self.ledger, JobKind.CHAT, turn_id), "A rib fracture. An effusion.", "demo", "f" * 64, {}
        )


@pytest.fixture
def world(ledger: Ledger) -> World:
    return World(ledger)


@pytest.fixture
def analyst(world: World, database_url: str) -> Iterator["psycopg.Connection[Any]"]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("GRANT xraygpt_reader TO CURRENT_USER WITH SET TRUE, INHERIT FALSE")
        connection.execute("SET ROLE xraygpt_reader")
        yield connection


def test_twenty_questions_are_there() -> None:
    assert len(QUESTIONS) == 20
    assert all(question.count(";") == 0 for question in QUESTIONS)


def test_each_question_has_its_answer(world: World, analyst: "psycopg.Connection[Any]") -> None:
    answers = [analyst.execute(question.encode()).fetchall() for question in QUESTIONS]
    day, one, two = date(2026, 1, 2), world.corrected, world.waiting

    assert answers[0] == [(day, 3, 2, 1, 0)]
    assert [row[:2] for row in answers[1]] == [("routine", 2)]
    assert [row[:2] for row in answers[2]] == [("Dr. A", 1)]
    assert [(finding, present, float(percent)) for finding, present, percent in answers[3]] == [
        ("consolidation", 1, 50.0),
        ("effusion", 1, 50.0),
        ("mass", 1, 50.0),
        ("nodule", 1, 50.0),
        ("pneumothorax", 0, 0.0),
    ]
    assert answers[4] == [("effusion", 0, 0), ("mass", 0, 1), ("nodule", 0, 1)]
    assert answers[5] == [("consolidation", "newer", 1), ("effusion", "demo", 1)]
    assert answers[6] == [(one, "left", "effusion")]
    assert answers[7] == [("acc-1", one, "summarised", None, "edited"), ("acc-2", two, "summarised", None, "draft")]
    assert {(row[0], row[1], row[5]) for row in answers[8]} == {
        (one, "edited", "Small left effusion. Nodule. Mass."),
        (two, "draft", CONSOLIDATION),
    }
    assert [(row[0], row[1], row[2], float(row[3]), row[5], row[6]) for row in answers[9]] == [
        ("demo", "cpu", 1, 9.0, 1.0, 2.0),
        ("newer", "cpu", 1, 9.0, 1.0, 2.0),
    ]
    assert answers[10] == [("blank", 1)]
    assert [row[:2] for row in answers[11]] == [(two, "routine")]
    assert answers[12] == [("DX", 2021, 1), ("DX", None, 1), (None, None, 1)]
    assert answers[13] == [("detector", 1), ("unknown", 1)]
    assert [row[1:] for row in answers[14]] == [(1, 1, 0), (1, 1, 0), (1, 0, 1)]
    assert answers[15] == [("rejected", "another film", 1), ("edited", "as the test says", 1)]
    assert answers[16] == [("right", "upper", 1)]
    assert answers[17][0] == ("effusion", "effusion", 3)
    assert [(row[0], *row[2:]) for row in answers[18]] == [(one, "fracture", "fracture")]
    assert [(row[0], row[1], sorted(row[2])) for row in answers[19]] == [
        ("patient-1", 2, ["consolidation", "effusion, mass, nodule"])
    ]


def test_what_findings_and_impression_both_say_is_one_finding_and_one_study(
    world: World, analyst: "psycopg.Connection[Any]"
) -> None:
    study_id = world.study("three", "acc-3", HeaderFacts())
    world.draft(
        study_id,
        "Findings: Large left effusion. Right upper zone consolidation. A pneumothorax, and again a pneumothorax.\n\n"
        "Impression: Left effusion. Right upper zone consolidation. Pneumothorax.",
    )
    answers = [analyst.execute(question.encode()).fetchall() for question in QUESTIONS]

    assert [row[:2] for row in answers[3]] == [
        *[("consolidation", 2), ("effusion", 2)],
        *[(finding, 1) for finding in ("mass", "nodule", "pneumothorax")],
    ]
    assert [row[:2] for row in answers[6] if row[0] == study_id] == [(study_id, "left")]
    assert sorted(row[0] for row in answers[11]) == sorted([world.waiting, study_id])
    assert answers[16] == [("right", "upper", 2)]
    assert {row[:2]: row[2] for row in answers[17]}["pneumothorax", "pneumothorax"] == 3


def test_an_answer_that_names_a_finding_twice_is_one_row(world: World, analyst: "psycopg.Connection[Any]") -> None:
    turn_id = ask(world.ledger, world.waiting, "Anything else?").turn_id
    words = "A rib fracture. The fracture is old. A fracture it is."
    complete_turn(world.ledger, take(world.ledger, JobKind.CHAT, turn_id), words, "demo", "f" * 64, {})

    answer = analyst.execute(QUESTIONS[18].encode()).fetchall()

    assert [row for row in answer if row[0] == world.waiting] == [(world.waiting, turn_id, "fracture", "fracture")]


def test_no_finding_of_a_rejected_text_is_counted_until_the_rejection_is_taken_back(
    world: World, analyst: "psycopg.Connection[Any]"
) -> None:
    about_findings = [QUESTIONS[number - 1] for number in (4, 5, 7, 12, 17, 20)]

    def answers() -> list[Any]:
        return [analyst.execute(question.encode()).fetchall() for question in about_findings]

    before = answers()
    study_id = world.study("three", "acc-3", HeaderFacts())
    summary_id = world.draft(study_id, f"{EFFUSION} {CONSOLIDATION}")
    counted = answers()
    reader = signer(world.ledger)

    say(world.ledger, summary_id, reader, REJECTED)
    assert answers() == before
    say(world.ledger, summary_id, reader, UNDO)
    assert answers() == counted


def test_the_day_of_acquisition_shows_only_where_the_setting_says_so(
    world: World, ledger: Ledger, analyst: "psycopg.Connection[Any]"
) -> None:
    days = "SELECT acquired_year, acquired_on FROM {} WHERE acquired_year IS NOT NULL"
    hidden = [analyst.execute(days.format(view).encode()).fetchall() for view in ("all_studies", "study_facts")]
    settings = ledger.settings.model_copy(update={"analyst_dates": True})
    shown_by = Ledger(settings, ledger.database, ledger.doorbell, Actor("settings"))
    assert [show_analyst_dates(shown_by), show_analyst_dates(shown_by)] == [True, False]
    shown = [analyst.execute(days.format(view).encode()).fetchall() for view in ("all_studies", "study_facts")]
    assert show_analyst_dates(ledger.acting(Actor("settings")))

    assert hidden == [[(2021, None)]] * 2
    assert shown == [[(2021, date(2021, 3, 4))]] * 2
    assert analyst.execute(days.format("all_studies").encode()).fetchall() == hidden[0]
    assert [row["what"] for row in rows_of_audit(ledger)] == [
        "days of acquisition shown to analysts",
        "days of acquisition hidden again",
    ]


def rows_of_audit(ledger: Ledger) -> list[dict[str, Any]]:
    with ledger.work() as work:
        return [dict(row) for row in work.rows("SELECT what FROM audit WHERE what LIKE 'days of%' ORDER BY id")]


def test_no_view_says_when_a_film_was_taken_but_by_its_year(world: World, analyst: "psycopg.Connection[Any]") -> None:
    views = analyst.execute("SELECT viewname FROM pg_views WHERE schemaname = 'public'").fetchall()

    for (view,) in views:
        seen = str(analyst.execute(f"SELECT to_jsonb(v) FROM {view} v".encode()).fetchall())
        assert "2021-03-04" not in seen, view
        assert "05:06" not in seen, view

"""The commands that read, against the small gateway: what each asks and prints, and how it ends."""

import io
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import Result

from xraygpt.durations import clock

Run = Callable[..., Result]
STUDY = "01a22344-2e7d-72e2-a1b2-0123456789ab"
NOTICE = "AI-generated draft, not a diagnosis"


SCOPE = {"made_for": "synthetic", "says": "Made for drawn films.", "card": "docs/card.md"}
TWO = [{"kind": "side", "one": "Left effusion.", "other": "Right effusion."}]


@pytest.mark.parametrize(
    "arguments",
    [
        ("submit",),
        ("submit", "no/such/file"),
        ("submit", "s3://b/x", "--lane", "urgent"),
        ("demo", "no/such/file"),
        ("find",),
        ("find", "--accession", "1", "--patient", "2"),
        ("resummarise",),
        ("resummarise", "s", "--where", "view=PA"),
        ("resummarise", "--where", "view"),
        ("backlog", "film.dcm"),
        ("backlog", "pause"),
        ("dead", "replay"),
        ("dead", "replay", "j", "--all"),
        ("train", "stage3"),
        ("train", "stage1", "--set", "steps"),
        ("models", "fetch", "other"),
        ("no-such-command",),
    ],
)
def test_wrong_usage_ends_with_2_and_asks_nothing(fake_gateway: Any, xraygpt: Run, arguments: tuple[str, ...]) -> None:
    assert xraygpt(*arguments).exit_code == 2
    assert fake_gateway.asked == []


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def study(**changes: Any) -> dict[str, Any]:
    summary = {
        "summary_id": "0197c1d2-0000-7000-8000-00000005184e",
        "summary": "Findings: clear. Impression: normal.",
        "findings": "clear.",
        "impression": "normal.",
        "bundle": "demo",
        "summarised_at": "2026-11-21T00:00:00Z",
        "review_state": "draft",
        "reviewed_by": None,
        "flags": [],
        "notice": NOTICE,
    }
    found = {"study_id": "s", "state": "summarised", "reason_code": None, "lane": "routine", "view": "PA", "flags": []}
    return found | {"summary": summary, "reviewed": None, "reviews": []} | changes


def test_summary_shows_the_text_with_the_notice(fake_gateway: Any, xraygpt: Run) -> None:
    fake_gateway.answers["GET /v1/studies/01a22344-2e7d-72e2-a1b2-0123456789ab"] = study(flags=["not_verified_chest"])
    shown = xraygpt("summary", "01a22344-2e7d-72e2-a1b2-0123456789ab").stdout
    assert "clear." in shown
    assert "normal." in shown
    assert NOTICE in shown
    assert "Nothing says that this picture shows a chest." in shown
    assert "0197c1d2-0000-7000-8000-00000005184e" in shown, "`xraygpt replay` takes it"
    assert json.loads(xraygpt("summary", "01a22344-2e7d-72e2-a1b2-0123456789ab", "--json").stdout)["flags"] == [
        "not_verified_chest"
    ]


def test_summary_says_what_lies_outside_of_the_scope(fake_gateway: Any, xraygpt: Run) -> None:
    limits = {"flags": ["out_of_scope", "consistency"], "scope": SCOPE, "consistency": TWO}
    fake_gateway.answers["GET /v1/studies/01a22344-2e7d-72e2-a1b2-0123456789ab"] = study(
        summary=study()["summary"] | limits
    )
    shown = xraygpt("summary", "01a22344-2e7d-72e2-a1b2-0123456789ab").stdout
    assert "Outside the model's scope: Made for drawn films." in shown
    assert "Contradiction (side): “Left effusion.” – “Right effusion.”" in shown
    assert (
        json.loads(xraygpt("summary", "01a22344-2e7d-72e2-a1b2-0123456789ab", "--json").stdout)["summary"]["scope"]
        == SCOPE
    )


def test_summary_says_that_its_text_was_cut_off(fake_gateway: Any, xraygpt: Run) -> None:
    cut = study(summary=study()["summary"] | {"flags": ["cut_off"]})
    fake_gateway.answers["GET /v1/studies/01a22344-2e7d-72e2-a1b2-0123456789ab"] = cut
    shown = " ".join(xraygpt("summary", "01a22344-2e7d-72e2-a1b2-0123456789ab").stdout.split())
    assert "Cut off: the model reached its longest answer before its text had ended" in shown


def test_a_corrected_summary_shows_the_correction_and_who_made_it(fake_gateway: Any, xraygpt: Run) -> None:
    text = {
        "summary": "Small left effusion.",
        "review_state": "edited",
        "reviewed_by": "Dr. Who",
        "reviewed_at": "2026-11-21",
    }
    corrected = study()["summary"] | {"findings": None, "impression": None} | text
    fake_gateway.answers["GET /v1/studies/01a22344-2e7d-72e2-a1b2-0123456789ab"] = study(summary=corrected)
    shown = xraygpt("summary", "01a22344-2e7d-72e2-a1b2-0123456789ab").stdout
    assert "Small left effusion." in shown
    assert "Signed by Dr. Who" in " ".join(shown.split())
    assert "based on an AI draft." in " ".join(shown.split())
    assert NOTICE not in shown


def test_what_was_reviewed_is_shown_beside_a_newer_draft(fake_gateway: Any, xraygpt: Run) -> None:
    newer = study()["summary"] | {"flags": ["supersedes_reviewed"]}
    older = {"findings": None, "impression": None, "summary": "Small left effusion.", "review_state": "edited"}
    fake_gateway.answers["GET /v1/studies/01a22344-2e7d-72e2-a1b2-0123456789ab"] = study(
        summary=newer, reviewed=study()["summary"] | older
    )
    shown = xraygpt("summary", "01a22344-2e7d-72e2-a1b2-0123456789ab").stdout
    assert shown.index("supersedes_reviewed") < shown.index("Small left effusion.")


def test_the_review_history_is_shown_with_what_was_taken_back(fake_gateway: Any, xraygpt: Run) -> None:
    act = {"at": "2026-11-21T00:00:00Z", "reviewer": "Dr. A", "key_name": "pacs", "reason": None, "text": None}
    acts = [act | {"action": "edited", "text": "Heart enlarged."}, act | {"action": "draft", "reason": "Wrong side."}]
    fake_gateway.answers["GET /v1/studies/01a22344-2e7d-72e2-a1b2-0123456789ab"] = study(reviews=acts)
    shown = xraygpt("summary", "01a22344-2e7d-72e2-a1b2-0123456789ab").stdout
    assert shown.index("Heart enlarged.") < shown.index("draft by Dr. A, signed by pacs") < shown.index("Wrong side.")
    assert json.loads(xraygpt("summary", "01a22344-2e7d-72e2-a1b2-0123456789ab", "--json").stdout)["reviews"] == acts


def test_a_study_without_a_summary_shows_its_state(fake_gateway: Any, xraygpt: Run) -> None:
    fake_gateway.answers["GET /v1/studies/01a22344-2e7d-72e2-a1b2-0123456789ab"] = study(
        summary=None, state="rejected", reason_code="blank"
    )
    shown = xraygpt("summary", "01a22344-2e7d-72e2-a1b2-0123456789ab").stdout
    assert "blank" in shown
    assert NOTICE not in shown


def test_timeline_shows_every_step(fake_gateway: Any, xraygpt: Run) -> None:
    step = {
        "at": "2026-11-21T00:00:00Z",
        "what": "registered",
        "who": "gateway",
        "image_id": None,
        "job_id": None,
        "attempt": 1,
        "epoch": 2,
    }
    fake_gateway.answers["GET /v1/studies/01a22344-2e7d-72e2-a1b2-0123456789ab/timeline"] = {
        "study_id": "s",
        "steps": [step | {"detail": {"view": "PA"}}],
    }
    assert "registered" in xraygpt("timeline", "01a22344-2e7d-72e2-a1b2-0123456789ab").stdout
    assert len(json.loads(xraygpt("timeline", "01a22344-2e7d-72e2-a1b2-0123456789ab", "--json").stdout)["steps"]) == 1


def test_find_sends_the_number_in_the_body(fake_gateway: Any, xraygpt: Run) -> None:
    fake_gateway.answers["POST /v1/lookup"] = {"studies": ["s1", "s2"]}
    assert xraygpt("find", "--accession", "A 1", "--issuer", "HIS").stdout == "s1\ns2\n"
    xraygpt("find", "--study-uid", "1.2")
    assert fake_gateway.bodies("/v1/lookup") == [{"accession": "A 1", "issuer": "HIS"}, {"study_uid": "1.2"}]
    assert all("A" not in asked.path for asked in fake_gateway.asked)


def test_find_says_why_a_rejected_film_has_no_draft(fake_gateway: Any, xraygpt: Run) -> None:
    fake_gateway.answers["POST /v1/lookup"] = {"studies": ["s1", "s2"], "rejected": {"s2": "wrong_body_part"}}
    said = xraygpt("find", "--accession", "A1")
    assert said.stdout == "s1\ns2\n"
    assert said.stderr == "s2 has no draft: it was rejected (wrong body part)\n"


def test_find_and_chat_read_from_standard_input_what_nobody_shall_see_in_ps(fake_gateway: Any, xraygpt: Run) -> None:
    fake_gateway.answers |= {
        "POST /v1/lookup": {"studies": []},
        "POST /v1/studies/01a22344-2e7d-72e2-a1b2-0123456789ab/chat": {"turn_id": "t", "summary_id": "m"},
        "GET /v1/turns/t/stream": b"event: done\ndata: {}\n\n",
        "GET /v1/turns/t": turn("done", "No."),
    }
    xraygpt("find", "--accession", "-", given="A 1\n")
    xraygpt("chat", "01a22344-2e7d-72e2-a1b2-0123456789ab", "-", given="Any effusion?\n")
    assert fake_gateway.bodies("/v1/lookup") == [{"accession": "A 1"}]
    assert fake_gateway.bodies("/v1/studies/01a22344-2e7d-72e2-a1b2-0123456789ab/chat") == [
        {"question": "Any effusion?"}
    ]


def test_find_says_that_it_found_nothing(fake_gateway: Any, xraygpt: Run) -> None:
    fake_gateway.answers["POST /v1/lookup"] = {"studies": []}
    nothing = xraygpt("find", "--accession", "A 1")
    assert (nothing.exit_code, nothing.stdout) == (1, "")
    assert "no study has this number" in nothing.stderr
    as_json = xraygpt("find", "--accession", "A 1", "--json")
    assert (as_json.exit_code, json.loads(as_json.stdout)) == (1, {"studies": []})


def test_find_shows_a_person_a_line_for_each_study(
    fake_gateway: Any, xraygpt: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_gateway.answers["POST /v1/lookup"] = {"studies": [STUDY] * 25}
    fake_gateway.answers[f"GET /v1/studies/{STUDY}"] = study(study_id=STUDY, received_at="2026-11-21T08:15:00Z")
    monkeypatch.setattr("xraygpt.commands.reading.sys", SimpleNamespace(stdout=Terminal()))
    monkeypatch.setenv("COLUMNS", "80")
    done = xraygpt("find", "--accession", "A 1")
    assert done.stdout.splitlines()[0] == f"✓ {STUDY[-5:]}  {clock('2026-11-21T08:15:00Z')}  PA  normal."
    assert "and 5 older ones" in done.stderr


def turn(state: str, answer: str) -> dict[str, Any]:
    return {"turn_id": "t", "question": "q", "answer": answer, "state": state, "summary_id": "m", "notice": NOTICE}


def test_chat_prints_the_answer_as_it_comes(fake_gateway: Any, xraygpt: Run) -> None:
    events = (
        b'event: token\ndata: {"text": "No, "}\n\nevent: token\ndata: {"text": "none."}\n\nevent: done\ndata: {}\n\n'
    )
    fake_gateway.answers |= {
        "POST /v1/studies/01a22344-2e7d-72e2-a1b2-0123456789ab/chat": (202, {"turn_id": "t", "summary_id": "m"}),
        "GET /v1/turns/t/stream": events,
        "GET /v1/turns/t": turn("done", "No, none.") | {"flags": ["out_of_scope"], "scope": SCOPE},
    }
    done = xraygpt("chat", "01a22344-2e7d-72e2-a1b2-0123456789ab", "Any effusion?")
    assert done.stdout.startswith("No, none.\n")
    assert NOTICE in done.stdout
    assert "Outside the model's scope: Made for drawn films." in done.stdout
    assert fake_gateway.bodies("/v1/studies/01a22344-2e7d-72e2-a1b2-0123456789ab/chat") == [
        {"question": "Any effusion?"}
    ]
    assert (
        json.loads(xraygpt("chat", "01a22344-2e7d-72e2-a1b2-0123456789ab", "Any effusion?", "--json").stdout)["answer"]
        == "No, none."
    )


def test_a_rules_answer_is_printed_as_one_and_not_as_a_draft(fake_gateway: Any, xraygpt: Run) -> None:
    fake_gateway.answers |= {
        "POST /v1/studies/01a22344-2e7d-72e2-a1b2-0123456789ab/chat": (202, {"turn_id": "t", "summary_id": "m"}),
        "GET /v1/turns/t/stream": b'event: token\ndata: {"text": "No knee."}\n\nevent: done\ndata: {}\n\n',
        "GET /v1/turns/t": turn("done", "No knee.") | {"answered_by": "rule", "flags": [], "scope": None},
    }
    done = xraygpt("chat", "01a22344-2e7d-72e2-a1b2-0123456789ab", "Is the knee broken?")
    assert done.stdout.splitlines() == ["No knee.", "A rule answered this: the model was not asked."]


def test_an_answer_that_began_anew_is_printed_whole(fake_gateway: Any, xraygpt: Run) -> None:
    fake_gateway.answers |= {
        "POST /v1/studies/01a22344-2e7d-72e2-a1b2-0123456789ab/chat": {"turn_id": "t", "summary_id": "m"},
        "GET /v1/turns/t/stream": b'event: token\ndata: {"text": "Perh"}\n\nevent: done\ndata: {}\n\n',
        "GET /v1/turns/t": turn("done", "No, none."),
    }
    assert "No, none." in xraygpt("chat", "01a22344-2e7d-72e2-a1b2-0123456789ab", "q").stdout


def test_a_turn_without_an_answer_ends_with_3(fake_gateway: Any, xraygpt: Run) -> None:
    fake_gateway.answers |= {
        "POST /v1/studies/01a22344-2e7d-72e2-a1b2-0123456789ab/chat": {"turn_id": "t", "summary_id": "m"},
        "GET /v1/turns/t/stream": b'event: error\ndata: {"state": "dead"}\n\n',
        "GET /v1/turns/t": turn("dead", ""),
    }
    assert xraygpt("chat", "01a22344-2e7d-72e2-a1b2-0123456789ab", "q").exit_code == 3

"""The commands that hand in and read, against the small gateway: what each asks and prints, and how it ends."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import Result

Run = Callable[..., Result]
NOTICE = "AI-generated draft, not a diagnosis"


def image(state: str, **changes: Any) -> dict[str, Any]:
    values = {"study_id": "s", "reason_code": None, "lane": "routine", "view": "PA", "flags": [], "seconds": 2.0}
    text = "Heart size is normal.\nNo effusion." if state == "summarised" else None
    values |= {"scope": None, "consistency": [], "findings": None, "impression": None}
    return values | {"state": state, "summary": text} | changes


@pytest.fixture
def intake(fake_gateway: Any) -> Any:
    """Takes uploads and objects; every image ends in the state of ``fake_gateway.ends`` (default: summarised)."""
    fake_gateway.ends = {}

    def register(asked: Any) -> tuple[int, Any]:
        uris = [one["uri"] for one in asked.document["objects"]]
        return 202, {"images": [{"image_id": uri, "study_id": f"study of {uri}", "source": uri} for uri in uris]}

    def states(asked: Any) -> Any:
        ends = fake_gateway.ends
        return {"images": [{"image_id": i} | ends.get(i, image("summarised")) for i in asked.document["image_ids"]]}

    fake_gateway.answers |= {"POST /v1/studies": register, "POST /v1/images/status": states}
    return fake_gateway


def test_submit_waits_for_the_end_of_every_input(intake: Any, xraygpt: Run) -> None:
    intake.ends = {"s3://b/bad": image("rejected", reason_code="blank")}
    done = xraygpt("submit", "s3://b/good", "s3://b/bad", "--lane", "stat", "--wait", "--json")
    assert done.exit_code == 0, "rejected inputs count as done"
    document = json.loads(done.stdout)
    assert document["counts"] == {"summarised": 1, "rejected": 1}
    assert [(row["source"], row["reason_code"]) for row in document["studies"]] == [
        ("s3://b/good", None),
        ("s3://b/bad", "blank"),
    ]
    names = {"study_id", "source", "state", "reason_code", "lane", "summary", "flags", "scope", "consistency"}
    assert set(document["studies"][0]) == names
    assert intake.bodies("/v1/studies")[0]["lane"] == "stat"
    assert intake.asked[0].headers["Authorization"] == "Bearer secret-key"


@pytest.mark.parametrize("state", ["dead", "cancelled"])
def test_submit_ends_with_3_if_something_is_lost(intake: Any, xraygpt: Run, state: str) -> None:
    intake.ends = {"s3://b/x": image(state)}
    assert xraygpt("submit", "s3://b/x", "--wait").exit_code == 3


def test_submit_ends_with_3_if_the_time_is_up(intake: Any, xraygpt: Run) -> None:
    intake.ends = {"s3://b/x": image("queued")}
    assert xraygpt("submit", "s3://b/x", "--wait", "--timeout", "0.01").exit_code == 3


def test_submit_without_wait_shows_the_state_of_now(intake: Any, xraygpt: Run) -> None:
    intake.ends = {"s3://b/x": image("queued")}
    done = xraygpt("submit", "s3://b/x", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["counts"] == {"queued": 1}


def test_submit_shows_a_table_with_the_first_line_and_the_notice(intake: Any, xraygpt: Run) -> None:
    intake.ends = {"s3://b/picture": image("summarised", flags=["not_verified_chest"])}
    done = xraygpt("submit", "s3://b/film", "s3://b/picture", "--wait")
    assert "Heart size is normal." in done.stdout
    assert "not verified as a chest" in done.stdout
    assert "No effusion." not in done.stdout
    assert NOTICE in done.stdout


SCOPE = {"made_for": "synthetic", "says": "Made for drawn films.", "card": "docs/card.md"}
TWO = [{"kind": "side", "one": "Left effusion.", "other": "Right effusion."}]


def test_submit_says_what_lies_outside_of_the_scope_and_what_contradicts_itself(intake: Any, xraygpt: Run) -> None:
    outside = image("summarised", flags=["out_of_scope", "consistency"], scope=SCOPE, consistency=TWO)
    intake.ends = {"s3://b/film": outside}
    shown = xraygpt("submit", "s3://b/film", "s3://b/drawn", "--wait").stdout
    assert shown.count("(outside the model's scope; contradicts itself)") == 1
    assert "1 of 2 texts: Outside the model's scope: Made for drawn films. Model card: docs/card.md." in shown
    assert "s: Contradiction (side): “Left effusion.” – “Right effusion.”" in shown
    film, drawn = json.loads(xraygpt("submit", "s3://b/film", "s3://b/drawn", "--wait", "--json").stdout)["studies"]
    assert (film["flags"], film["scope"], film["consistency"]) == (["out_of_scope", "consistency"], SCOPE, TWO)
    assert (drawn["flags"], drawn["consistency"]) == ([], [])


def test_progress_goes_to_stderr_only(intake: Any, xraygpt: Run) -> None:
    done = xraygpt("submit", "s3://b/x", "--wait", "--json")
    json.loads(done.stdout)
    assert "submitting 1 input" in done.stderr
    assert "1/1 1 summarised" in done.stderr


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


def study(**changes: Any) -> dict[str, Any]:
    summary = {
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
    fake_gateway.answers["GET /v1/studies/s"] = study(flags=["not_verified_chest"])
    shown = xraygpt("summary", "s").stdout
    assert "clear." in shown
    assert "normal." in shown
    assert NOTICE in shown
    assert "Nothing says that this picture shows a chest." in shown
    assert json.loads(xraygpt("summary", "s", "--json").stdout)["flags"] == ["not_verified_chest"]


def test_summary_says_what_lies_outside_of_the_scope(fake_gateway: Any, xraygpt: Run) -> None:
    limits = {"flags": ["out_of_scope", "consistency"], "scope": SCOPE, "consistency": TWO}
    fake_gateway.answers["GET /v1/studies/s"] = study(summary=study()["summary"] | limits)
    shown = xraygpt("summary", "s").stdout
    assert "Outside the model's scope: Made for drawn films." in shown
    assert "Contradiction (side): “Left effusion.” – “Right effusion.”" in shown
    assert json.loads(xraygpt("summary", "s", "--json").stdout)["summary"]["scope"] == SCOPE


def test_a_corrected_summary_shows_the_correction_and_who_made_it(fake_gateway: Any, xraygpt: Run) -> None:
    text = {"summary": "Small left effusion.", "review_state": "edited", "reviewed_by": "Dr. Who"}
    corrected = study()["summary"] | {"findings": None, "impression": None} | text
    fake_gateway.answers["GET /v1/studies/s"] = study(summary=corrected)
    shown = xraygpt("summary", "s").stdout
    assert "Small left effusion." in shown
    assert "Dr. Who" in shown


def test_what_was_reviewed_is_shown_beside_a_newer_draft(fake_gateway: Any, xraygpt: Run) -> None:
    newer = study()["summary"] | {"flags": ["supersedes_reviewed"]}
    older = {"findings": None, "impression": None, "summary": "Small left effusion.", "review_state": "edited"}
    fake_gateway.answers["GET /v1/studies/s"] = study(summary=newer, reviewed=study()["summary"] | older)
    shown = xraygpt("summary", "s").stdout
    assert shown.index("supersedes_reviewed") < shown.index("Small left effusion.")


def test_the_review_history_is_shown_with_what_was_taken_back(fake_gateway: Any, xraygpt: Run) -> None:
    act = {"at": "2026-11-21T00:00:00Z", "reviewer": "Dr. A", "key_name": "pacs", "reason": None, "text": None}
    acts = [act | {"action": "edited", "text": "Heart enlarged."}, act | {"action": "draft", "reason": "Wrong side."}]
    fake_gateway.answers["GET /v1/studies/s"] = study(reviews=acts)
    shown = xraygpt("summary", "s").stdout
    assert shown.index("Heart enlarged.") < shown.index("draft by Dr. A, signed by pacs") < shown.index("Wrong side.")
    assert json.loads(xraygpt("summary", "s", "--json").stdout)["reviews"] == acts


def test_a_study_without_a_summary_shows_its_state(fake_gateway: Any, xraygpt: Run) -> None:
    fake_gateway.answers["GET /v1/studies/s"] = study(summary=None, state="rejected", reason_code="blank")
    shown = xraygpt("summary", "s").stdout
    assert "blank" in shown
    assert NOTICE not in shown


def test_timeline_shows_every_step(fake_gateway: Any, xraygpt: Run) -> None:
    step = {
        "at": "t",
        "what": "registered",
        "who": "gateway",
        "image_id": None,
        "job_id": None,
        "attempt": 1,
        "epoch": 2,
    }
    fake_gateway.answers["GET /v1/studies/s/timeline"] = {"study_id": "s", "steps": [step | {"detail": {"view": "PA"}}]}
    assert "registered" in xraygpt("timeline", "s").stdout
    assert len(json.loads(xraygpt("timeline", "s", "--json").stdout)["steps"]) == 1


def test_find_sends_the_number_in_the_body(fake_gateway: Any, xraygpt: Run) -> None:
    fake_gateway.answers["POST /v1/lookup"] = {"studies": ["s1", "s2"]}
    assert xraygpt("find", "--accession", "A 1", "--issuer", "HIS").stdout == "s1\ns2\n"
    xraygpt("find", "--study-uid", "1.2")
    assert fake_gateway.bodies("/v1/lookup") == [{"accession": "A 1", "issuer": "HIS"}, {"study_uid": "1.2"}]
    assert all("A" not in asked.path for asked in fake_gateway.asked)


def test_find_and_chat_read_from_standard_input_what_nobody_shall_see_in_ps(fake_gateway: Any, xraygpt: Run) -> None:
    fake_gateway.answers |= {
        "POST /v1/lookup": {"studies": []},
        "POST /v1/studies/s/chat": {"turn_id": "t", "summary_id": "m"},
        "GET /v1/turns/t/stream": b"event: done\ndata: {}\n\n",
        "GET /v1/turns/t": turn("done", "No."),
    }
    xraygpt("find", "--accession", "-", given="A 1\n")
    xraygpt("chat", "s", "-", given="Any effusion?\n")
    assert fake_gateway.bodies("/v1/lookup") == [{"accession": "A 1"}]
    assert fake_gateway.bodies("/v1/studies/s/chat") == [{"question": "Any effusion?"}]


def test_find_says_that_it_found_nothing(fake_gateway: Any, xraygpt: Run) -> None:
    fake_gateway.answers["POST /v1/lookup"] = {"studies": []}
    nothing = xraygpt("find", "--accession", "A 1")
    assert (nothing.exit_code, nothing.stdout) == (0, "")
    assert "no study has this number" in nothing.stderr


def test_query_gives_columns_and_rows(fake_gateway: Any, xraygpt: Run) -> None:
    fake_gateway.answers["POST /v1/query"] = {"columns": ["n", "x"], "rows": [[1, None]], "truncated": True}
    done = xraygpt("query", "SELECT 1", "--json")
    assert json.loads(done.stdout) == {"columns": ["n", "x"], "rows": [[1, None]]}
    assert "more rows" in done.stderr


def test_a_query_without_rows_still_names_its_columns(fake_gateway: Any, xraygpt: Run) -> None:
    fake_gateway.answers["POST /v1/query"] = {"columns": ["study_id"], "rows": [], "truncated": False}
    assert "study_id" in xraygpt("query", "SELECT 1").stdout


def turn(state: str, answer: str) -> dict[str, Any]:
    return {"turn_id": "t", "question": "q", "answer": answer, "state": state, "summary_id": "m", "notice": NOTICE}


def test_chat_prints_the_answer_as_it_comes(fake_gateway: Any, xraygpt: Run) -> None:
    events = (
        b'event: token\ndata: {"text": "No, "}\n\nevent: token\ndata: {"text": "none."}\n\nevent: done\ndata: {}\n\n'
    )
    fake_gateway.answers |= {
        "POST /v1/studies/s/chat": (202, {"turn_id": "t", "summary_id": "m"}),
        "GET /v1/turns/t/stream": events,
        "GET /v1/turns/t": turn("done", "No, none.") | {"flags": ["out_of_scope"], "scope": SCOPE},
    }
    done = xraygpt("chat", "s", "Any effusion?")
    assert done.stdout.startswith("No, none.\n")
    assert NOTICE in done.stdout
    assert "Outside the model's scope: Made for drawn films." in done.stdout
    assert fake_gateway.bodies("/v1/studies/s/chat") == [{"question": "Any effusion?"}]
    assert json.loads(xraygpt("chat", "s", "Any effusion?", "--json").stdout)["answer"] == "No, none."


def test_an_answer_that_began_anew_is_printed_whole(fake_gateway: Any, xraygpt: Run) -> None:
    fake_gateway.answers |= {
        "POST /v1/studies/s/chat": {"turn_id": "t", "summary_id": "m"},
        "GET /v1/turns/t/stream": b'event: token\ndata: {"text": "Perh"}\n\nevent: done\ndata: {}\n\n',
        "GET /v1/turns/t": turn("done", "No, none."),
    }
    assert "No, none." in xraygpt("chat", "s", "q").stdout


def test_a_turn_without_an_answer_ends_with_3(fake_gateway: Any, xraygpt: Run) -> None:
    fake_gateway.answers |= {
        "POST /v1/studies/s/chat": {"turn_id": "t", "summary_id": "m"},
        "GET /v1/turns/t/stream": b'event: error\ndata: {"state": "dead"}\n\n',
        "GET /v1/turns/t": turn("dead", ""),
    }
    assert xraygpt("chat", "s", "q").exit_code == 3

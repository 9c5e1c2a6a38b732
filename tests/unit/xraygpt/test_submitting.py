"""``submit`` against the small gateway: what it sends and shows, how it ends, and what Ctrl-C leaves."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

Run = Callable[..., Result]
STUDY = "01a22344-2e7d-72e2-a1b2-0123456789ab"
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
    assert set(document["studies"][0]) == names | {"image_id", "view", "seconds", "known", "summary_id"}
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
    assert "⚠ not verified" in done.stdout
    assert "✓ 2 summarised" in done.stdout
    assert "No effusion." not in done.stdout
    assert NOTICE in done.stdout


SCOPE = {"made_for": "synthetic", "says": "Made for drawn films.", "card": "docs/card.md"}
TWO = [{"kind": "side", "one": "Left effusion.", "other": "Right effusion."}]


def test_submit_says_what_lies_outside_of_the_scope_and_what_contradicts_itself(intake: Any, xraygpt: Run) -> None:
    outside = image("summarised", flags=["out_of_scope", "consistency"], scope=SCOPE, consistency=TWO)
    intake.ends = {"s3://b/film": outside}
    shown = xraygpt("submit", "s3://b/film", "s3://b/drawn", "--wait").stdout
    assert shown.count("⚠ out of scope; contradicts itself") == 1
    said = " ".join(shown.split())
    assert "1 of 2 texts: Outside the model's scope: Made for drawn films. Model card: docs/card.md." in said
    assert "s: Contradiction (side): “Left effusion.” – “Right effusion.”" in said
    film, drawn = json.loads(xraygpt("submit", "s3://b/film", "s3://b/drawn", "--wait", "--json").stdout)["studies"]
    assert (film["flags"], film["scope"], film["consistency"]) == (["out_of_scope", "consistency"], SCOPE, TWO)
    assert (drawn["flags"], drawn["consistency"]) == ([], [])


def test_ctrl_c_says_that_the_work_goes_on_and_how_to_watch_it(
    intake: Any, xraygpt: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake.ends = {"s3://b/x": image("queued", study_id=STUDY)}
    monkeypatch.setattr("xraygpt.submit.time.sleep", interrupt)
    done = xraygpt("submit", "s3://b/x", "s3://b/y", "--wait")
    assert (done.exit_code, done.stdout) == (130, "")
    assert f"the work goes on: 1 of 2 are done; watch one of them with `xraygpt watch {STUDY[-5:]}`" in done.stderr
    as_json = xraygpt("submit", "s3://b/x", "--wait", "--json")
    assert (as_json.exit_code, json.loads(as_json.stdout)["counts"]) == (130, {"queued": 1})


def test_ctrl_c_while_inputs_are_sent_says_how_many_were(
    intake: Any, xraygpt: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xraygpt.submit._uri", interrupt)
    done = xraygpt("submit", "s3://b/x", "s3://b/y", "--wait")
    assert done.exit_code == 130
    assert "interrupted while sending: 0 of 2 inputs are submitted" in done.stderr


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_an_empty_folder_is_refused_with_what_was_looked_for(fake_gateway: Any, xraygpt: Run, tmp_path: Path) -> None:
    (tmp_path / ".hidden.dcm").touch()
    for command in ("submit", "demo"):
        done = xraygpt(command, str(tmp_path))
        assert done.exit_code == 1
        assert f"nothing to submit below {tmp_path}: looked for files" in str(done.exception)
    assert fake_gateway.asked == []


def test_progress_goes_to_stderr_only(intake: Any, xraygpt: Run) -> None:
    done = xraygpt("submit", "s3://b/x", "--wait", "--json")
    json.loads(done.stdout)
    assert "submitting 1 input" in done.stderr
    assert "1 of 1 done" in done.stderr


def test_what_is_known_of_the_films_goes_with_them(intake: Any, xraygpt: Run) -> None:
    said = ("--indication", "Cough since May.", "--technique", "AP", "--comparison", "-")
    assert xraygpt("submit", "s3://b/x", *said, given="Film of April.\n").exit_code == 0
    (body,) = intake.bodies("/v1/studies")
    assert body == {
        "objects": [{"uri": "s3://b/x"}],
        "lane": "routine",
        "indication": "Cough since May.",
        "technique": "AP",
        "comparison": "Film of April.",
    }


def test_words_for_more_films_than_a_study_has_are_wrong_usage(intake: Any, xraygpt: Run) -> None:
    done = xraygpt("submit", *(f"s3://b/{number}" for number in range(17)), "--indication", "Cough.")
    assert done.exit_code == 2
    assert intake.bodies("/v1/studies") == []

"""Every command against the small gateway: what it asks, what it prints, with which code it ends."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

Run = Callable[..., Result]
NOTICE = "AI-generated draft, not a diagnosis"


def image(state: str, **changes: Any) -> dict[str, Any]:
    values = {"study_id": "s", "reason_code": None, "lane": "routine", "view": "PA", "flags": [], "seconds": 2.0}
    text = "Heart size is normal.\nNo effusion." if state == "summarised" else None
    return values | {"state": state, "summary": text, "findings": None, "impression": None} | changes


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
    assert set(document["studies"][0]) == {"study_id", "source", "state", "reason_code", "lane", "summary"}
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
    return found | {"summary": summary, "reviewed": None} | changes


def test_summary_shows_the_text_with_the_notice(fake_gateway: Any, xraygpt: Run) -> None:
    fake_gateway.answers["GET /v1/studies/s"] = study(flags=["not_verified_chest"])
    shown = xraygpt("summary", "s").stdout
    assert "clear." in shown
    assert "normal." in shown
    assert NOTICE in shown
    assert "Nothing says that this picture shows a chest." in shown
    assert json.loads(xraygpt("summary", "s", "--json").stdout)["flags"] == ["not_verified_chest"]


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
        "GET /v1/turns/t": turn("done", "No, none."),
    }
    done = xraygpt("chat", "s", "Any effusion?")
    assert done.stdout.startswith("No, none.\n")
    assert NOTICE in done.stdout
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


def test_resummarise_names_studies_or_conditions(fake_gateway: Any, xraygpt: Run) -> None:
    fake_gateway.answers["POST /v1/resummarise"] = (202, {"queued": 2})
    assert json.loads(xraygpt("resummarise", "a", "b", "--json").stdout) == {"queued": 2}
    xraygpt("resummarise", "--where", "view=PA", "--where", "from_bundle=demo", "--bundle", "new")
    assert fake_gateway.bodies("/v1/resummarise") == [
        {"study_ids": ["a", "b"], "where": None, "bundle": None},
        {"study_ids": None, "where": {"view": "PA", "from_bundle": "demo"}, "bundle": "new"},
    ]


def test_cancel_shows_the_study_afterwards(fake_gateway: Any, xraygpt: Run) -> None:
    fake_gateway.answers |= {
        "POST /v1/studies/s/cancel": (204, None),
        "GET /v1/studies/s": study(state="cancelled", summary=None),
    }
    assert json.loads(xraygpt("cancel", "s", "--json").stdout)["state"] == "cancelled"


def test_dead_jobs_are_listed_page_by_page(fake_gateway: Any, xraygpt: Run) -> None:
    def page(asked: Any) -> Any:
        job = {"kind": "ingest", "subject": "i", "attempts": 5, "last_error": "Unavailable", "created_at": "t"}
        after = asked.path.partition("after=")[2]
        following = {"": ["1", "2"], "2": ["3"]}.get(after, [])
        return {"jobs": [job | {"job_id": number} for number in following]}

    fake_gateway.answers["GET /v1/dead"] = page
    jobs = json.loads(xraygpt("dead", "list", "--json").stdout)["jobs"]
    assert [job["job_id"] for job in jobs] == ["1", "2", "3"]
    assert json.loads(xraygpt("dead", "show", "3", "--json").stdout)["job_id"] == "3"
    assert xraygpt("dead", "show", "4").exit_code == 1


def test_dead_jobs_are_replayed_by_name_reason_or_all(fake_gateway: Any, xraygpt: Run) -> None:
    fake_gateway.answers["POST /v1/dead/replay"] = {"replayed": 1}
    for arguments in (("1", "2"), ("--all",), ("--reason", "Unavailable")):
        assert json.loads(xraygpt("dead", "replay", *arguments, "--json").stdout) == {"replayed": 1}
    assert fake_gateway.bodies("/v1/dead/replay") == [{"job_ids": ["1", "2"]}, {"all": True}, {"reason": "Unavailable"}]


def progress(state: str) -> dict[str, Any]:
    counts = dict.fromkeys(("listed", "registered", "rejected", "dead", "cancelled", "open"), 0)
    return counts | {"backlog_id": "b", "state": state, "lane": "backlog", "summarised": 0}


def test_a_backlog_is_started_paused_resumed_and_cancelled(fake_gateway: Any, xraygpt: Run) -> None:
    fake_gateway.answers |= {
        "POST /v1/backlogs": (202, {"backlog_id": "b"}),
        "GET /v1/backlogs/b": progress("listing"),
        "POST /v1/backlogs/b/pause": progress("paused"),
        "POST /v1/backlogs/b/resume": progress("listing"),
        "POST /v1/backlogs/b/cancel": progress("cancelled"),
    }
    started = xraygpt("backlog", "s3://b/old", "--since", "2020-01-31", "--json")
    assert json.loads(started.stdout)["state"] == "listing"
    assert fake_gateway.bodies("/v1/backlogs") == [{"uri": "s3://b/old", "since": "2020-01-31T00:00:00Z"}]
    for word, state in (("pause", "paused"), ("resume", "listing"), ("cancel", "cancelled")):
        assert json.loads(xraygpt("backlog", word, "b", "--json").stdout)["state"] == state


def training_run(state: str, step: int = 0) -> dict[str, Any]:
    return {
        "run_id": "r",
        "stage": "stage1",
        "state": state,
        "step": step,
        "steps": 2,
        "loss": 1.5,
        "samples_per_s": 3.0,
    }


def test_train_goes_through_the_queue_when_a_gateway_is_there(fake_gateway: Any, xraygpt: Run, tmp_path: Path) -> None:
    states = iter([training_run("running", 1), training_run("done", 2)])
    fake_gateway.answers |= {
        "POST /v1/training-runs": (202, {"run_id": "r"}),
        "GET /v1/training-runs/r": lambda _: next(states),
    }
    (tmp_path / "c.json").write_text('{"steps": 5, "phantoms": {"count": 7}}')
    sets = ("--set", "steps=2", "--set", "phantoms.seed=1", "--set", "name=a")
    done = xraygpt("train", "stage1", "--config", str(tmp_path / "c.json"), *sets, "--parent", "p", "--wait", "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["state"] == "done"
    config = {"steps": 2, "phantoms": {"count": 7, "seed": 1}, "name": "a"}
    assert fake_gateway.bodies("/v1/training-runs") == [{"stage": "stage1", "config": config, "parent_run": "p"}]


def test_a_training_run_that_dies_ends_with_3(fake_gateway: Any, xraygpt: Run) -> None:
    fake_gateway.answers |= {
        "POST /v1/training-runs": (202, {"run_id": "r"}),
        "GET /v1/training-runs/r": training_run("dead"),
    }
    assert xraygpt("train", "stage1", "--wait").exit_code == 3
    assert xraygpt("train", "stage1").exit_code == 0


def test_models_are_promoted_and_rolled_back(fake_gateway: Any, xraygpt: Run) -> None:
    fake_gateway.answers |= {
        "POST /v1/training-runs/r/promote": {"bundle": "stage2-r"},
        "POST /v1/bundles/rollback": {"bundle": "demo"},
    }
    assert json.loads(xraygpt("models", "promote", "r", "--json").stdout) == {"bundle": "stage2-r"}
    assert json.loads(xraygpt("models", "rollback", "--json").stdout) == {"bundle": "demo"}


def test_models_lists_what_is_there_and_what_is_wrong_with_it(
    fake_gateway: Any, xraygpt: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XRAYGPT_MODELS", str(tmp_path))
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "bundle.toml").write_text("format = 99\n")
    fake_gateway.answers["GET /v1/status"] = {"jobs": [], "served": {"name": "demo", "run_id": None}}
    found = json.loads(xraygpt("models", "list", "--json").stdout)["bundles"]
    assert [(one["name"], one["served"]) for one in found] == [("demo", True)]
    assert "99" in found[0]["problem"]


def test_status_of_another_machine_s_gateway(fake_gateway: Any, xraygpt: Run) -> None:
    job = {"kind": "ingest", "lane": "stat", "state": "queued", "jobs": 3, "oldest_seconds": 1.0}
    worker = {"worker": "ingest-7@a", "kind": "ingest", "jobs": 2, "oldest_seconds": 1.0, "lease_seconds": 29.0}
    fake_gateway.answers["GET /v1/status"] = {
        "jobs": [job],
        "workers": [worker],
        "served": {"name": "demo", "run_id": None},
    }
    found = json.loads(xraygpt("status", "--json").stdout)
    assert (found["running"], found["jobs"], found["bundle"]) == (True, [job], "demo")
    assert f"{fake_gateway.url}/docs" in xraygpt("status").stdout
    assert found["workers"] == [worker]
    assert "ingest-7@a" in xraygpt("status").stdout

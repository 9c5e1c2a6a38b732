"""The commands that order and watch work, against the small gateway: what each asks and prints, and how it ends."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from xraygpt.client import Gateway
from xraygpt.commands import running
from xraygpt.commands.backlogs import CHANGE_SECONDS

RUN = "01a227e1-b4c9-7354-9ad4-981b9acf3eb9"
STUDY = "01a22344-2e7d-72e2-a1b2-0123456789ab"
JOBS = [f"01a227e1-b4c9-7354-9ad4-981b9ac0000{n}" for n in range(5)]
Run = Callable[..., Result]


def test_resummarise_names_studies_or_conditions(fake_gateway: Any, xraygpt: Run) -> None:
    fake_gateway.answers["POST /v1/resummarise"] = (202, {"queued": 2})
    assert json.loads(xraygpt("resummarise", STUDY, RUN, "--json").stdout) == {"queued": 2}
    conditions = ("--where", "view=PA", "--where", "from_bundle=demo", "--where", "since=2026-01-31T08:00Z")
    xraygpt("resummarise", *conditions, "--bundle", "new")
    assert fake_gateway.bodies("/v1/resummarise") == [
        {"study_ids": [STUDY, RUN], "where": None, "bundle": None},
        {
            "study_ids": None,
            "where": {"view": "PA", "from_bundle": "demo", "since": "2026-01-31T08:00:00+00:00"},
            "bundle": "new",
        },
    ]


@pytest.mark.parametrize(
    ("where", "says"),
    [("since=tomorrow", "'tomorrow' is no moment: write 2026-01-31"), ("age=3", "use from_bundle, since, until, view")],
)
def test_a_condition_that_is_none_is_wrong_usage_and_says_what_is_one(
    fake_gateway: Any, xraygpt: Run, where: str, says: str
) -> None:
    done = xraygpt("resummarise", "--where", where)
    assert done.exit_code == 2
    assert says in " ".join(done.stderr.replace("│", " ").split())
    assert fake_gateway.asked == []


def test_resummarise_says_why_it_queued_nothing(fake_gateway: Any, xraygpt: Run) -> None:
    study = {"study_id": STUDY, "state": "summarised", "summary": {"bundle": "demo"}}
    fake_gateway.answers |= {
        "POST /v1/resummarise": (202, {"queued": 0}),
        "GET /v1/status": {"jobs": [], "workers": [], "served": {"name": "demo"}},
        f"GET /v1/studies/{STUDY}": study,
        f"GET /v1/studies/{RUN}": study | {"state": "waiting", "summary": None},
    }
    said = xraygpt("resummarise", STUDY, RUN).stderr
    assert "nothing was queued: 789ab has its summary by the served bundle 'demo' already; f3eb9 is waiting" in said
    assert "no study meets these conditions" in xraygpt("resummarise", "--where", "view=AP").stderr
    fake_gateway.answers[f"GET /v1/studies/{STUDY}"] = (403, {"title": "no"})
    assert "has summarised them already" in xraygpt("resummarise", STUDY).stderr


def test_cancel_shows_the_study_afterwards(fake_gateway: Any, xraygpt: Run) -> None:
    cancelled = {"study_id": "s", "state": "cancelled", "reason_code": None, "lane": "routine", "view": "PA"}
    cancelled |= {"flags": [], "summary": None, "reviewed": None}
    fake_gateway.answers |= {
        "POST /v1/studies/01a22344-2e7d-72e2-a1b2-0123456789ab/cancel": (204, None),
        "GET /v1/studies/01a22344-2e7d-72e2-a1b2-0123456789ab": cancelled,
    }
    assert (
        json.loads(xraygpt("cancel", "01a22344-2e7d-72e2-a1b2-0123456789ab", "--json").stdout)["state"] == "cancelled"
    )


def test_dead_jobs_are_listed_page_by_page(fake_gateway: Any, xraygpt: Run) -> None:
    def page(asked: Any) -> Any:
        job = {"kind": "ingest", "subject": "i", "attempts": 5, "last_error": "Unavailable", "created_at": "t"}
        after = asked.path.partition("after=")[2]
        following = {"": JOBS[1:3], JOBS[2]: JOBS[3:4]}.get(after, [])
        return {"jobs": [job | {"job_id": number} for number in following]}

    fake_gateway.answers["GET /v1/dead"] = page
    jobs = json.loads(xraygpt("dead", "list", "--json").stdout)["jobs"]
    assert [job["job_id"] for job in jobs] == JOBS[1:4]
    assert json.loads(xraygpt("dead", "show", JOBS[3], "--json").stdout)["job_id"] == JOBS[3]
    assert xraygpt("dead", "show", JOBS[4]).exit_code == 1


def test_dead_jobs_are_replayed_by_name_reason_or_all(fake_gateway: Any, xraygpt: Run) -> None:
    fake_gateway.answers["POST /v1/dead/replay"] = {"replayed": 1}
    for arguments in (JOBS[1:3], ("--all",), ("--reason", "Unavailable")):
        assert json.loads(xraygpt("dead", "replay", *arguments, "--json").stdout) == {"replayed": 1}
    assert fake_gateway.bodies("/v1/dead/replay") == [{"job_ids": JOBS[1:3]}, {"all": True}, {"reason": "Unavailable"}]


@pytest.mark.parametrize("command", [("dead", "replay", "--all"), ("resummarise", "--where", "view=PA")])
def test_a_million_at_a_time_are_waited_for(
    xraygpt: Run, fake_gateway: Any, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    waited: list[float | None] = []

    def post(_: Gateway, path: str, body: Any, *, seconds: float | None = None) -> dict[str, int]:
        waited.append(seconds)
        return {"queued": 1}

    monkeypatch.setattr(Gateway, "post", post)
    assert xraygpt(*command).exit_code == 0
    assert waited == [CHANGE_SECONDS]


def progress(state: str) -> dict[str, Any]:
    counts = dict.fromkeys(("listed", "registered", "rejected", "dead", "cancelled", "open"), 0)
    return counts | {"backlog_id": "b", "state": state, "lane": "backlog", "summarised": 0}


def test_a_backlog_is_started_paused_resumed_and_cancelled(fake_gateway: Any, xraygpt: Run) -> None:
    fake_gateway.answers |= {
        "POST /v1/backlogs": (202, {"backlog_id": STUDY}),
        "GET /v1/backlogs/01a22344-2e7d-72e2-a1b2-0123456789ab": progress("listing"),
        "POST /v1/backlogs/01a22344-2e7d-72e2-a1b2-0123456789ab/pause": progress("paused"),
        "POST /v1/backlogs/01a22344-2e7d-72e2-a1b2-0123456789ab/resume": progress("listing"),
        "POST /v1/backlogs/01a22344-2e7d-72e2-a1b2-0123456789ab/cancel": progress("cancelled"),
    }
    started = xraygpt("backlog", "s3://b/old", "--since", "2020-01-31T00:00Z", "--json")
    assert json.loads(started.stdout)["state"] == "listing"
    assert fake_gateway.bodies("/v1/backlogs") == [{"uri": "s3://b/old", "since": "2020-01-31T00:00:00+00:00"}]
    for word, state in (("pause", "paused"), ("resume", "listing"), ("cancel", "cancelled")):
        assert json.loads(xraygpt("backlog", word, STUDY, "--json").stdout)["state"] == state


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
    done = xraygpt("train", "stage1", "--config", str(tmp_path / "c.json"), *sets, "--parent", RUN, "--wait", "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["state"] == "done"
    config = {"steps": 2, "phantoms": {"count": 7, "seed": 1}, "name": "a"}
    assert fake_gateway.bodies("/v1/training-runs") == [{"stage": "stage1", "config": config, "parent_run": RUN}]


def test_a_training_run_that_dies_ends_with_3(fake_gateway: Any, xraygpt: Run) -> None:
    fake_gateway.answers |= {
        "POST /v1/training-runs": (202, {"run_id": "r"}),
        "GET /v1/training-runs/r": training_run("dead"),
    }
    assert xraygpt("train", "stage1", "--wait").exit_code == 3
    assert xraygpt("train", "stage1").exit_code == 0


def test_models_are_promoted_and_rolled_back(fake_gateway: Any, xraygpt: Run) -> None:
    fake_gateway.answers |= {
        f"POST /v1/training-runs/{RUN}/promote": {"bundle": "stage2-r"},
        "POST /v1/bundles/rollback": {"bundle": "demo"},
    }
    assert json.loads(xraygpt("models", "promote", RUN, "--json").stdout) == {"bundle": "stage2-r"}
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
    assert "reading room" in xraygpt("status").stdout
    assert "1.0 s" in xraygpt("status").stdout
    assert found["workers"] == [worker]
    assert "ingest-7@a" in xraygpt("status").stdout


@pytest.mark.parametrize(("ends", "words", "code"), [(2, "2 times and starts again each time", 0), (3, "3 times", 3)])
def test_status_and_up_name_a_process_that_ends_again_and_again(
    fake_gateway: Any, xraygpt: Run, monkeypatch: pytest.MonkeyPatch, ends: int, words: str, code: int
) -> None:
    fake_gateway.answers["GET /v1/status"] = {"jobs": [], "workers": [], "served": {"name": "demo", "run_id": None}}
    end = {"count": ends, "at": datetime.now(UTC).isoformat(), "said": "there is no bundle 'demo'"}
    stack = dict.fromkeys(running.SHOWN, "x") | {"flower_user": "x", "external": [], "pids": {"gpu": os.getpid()}}
    monkeypatch.setattr(running, "running_stack", lambda _home: {**stack, "ends": {"gpu": end}})
    done = xraygpt("status")
    assert f"gpu ended {words}" in done.stdout
    assert "there is no bundle 'demo'" in done.stdout
    assert done.exit_code == code
    up = xraygpt("up", "--detach")
    assert f"gpu ended {words}" in up.stderr
    assert up.exit_code == 0

"""``runs``, ``exclude``, and what ``train`` sends: over a gateway that answers what a test tells it to."""

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import Result

from xraygpt import show

Run = Callable[..., Result]
IDS = ["01a227e1-b4c9-7354-9ad4-981b9acf3eb9", "01a227e1-b4c9-7354-9ad4-981b9acf0000"]


def run(number: int = 0, state: str = "running", **more: Any) -> dict[str, Any]:
    values = {"run_id": IDS[number], "stage": "stage1", "state": state, "step": 3, "steps": 9, "loss": 1.5}
    return {**values, "samples_per_s": 3.0, "created_at": "2026-11-29T15:00:00Z", "phases": None, **more}


@pytest.fixture
def two(fake_gateway: Any) -> Any:
    waiting = run(1, "queued", waits_for="device")
    fake_gateway.answers |= {"GET /v1/training-runs": {"runs": [run(), waiting]}}
    for number in (0, 1):
        fake_gateway.answers[f"GET /v1/training-runs/{IDS[number]}"] = [run(), waiting][number]
    fake_gateway.ids = [*IDS]
    return fake_gateway


def test_the_runs_are_listed_with_what_they_wait_for(two: Any, xraygpt: Run) -> None:
    for arguments in (("runs",), ("runs", "list")):
        said = xraygpt(*arguments).stdout
        assert "981b9acf3eb9" in said
        assert "waits for a device" in said
        assert [one["run_id"] for one in json.loads(xraygpt(*arguments, "--json").stdout)["runs"]] == IDS


def test_at_80_columns_a_run_is_a_row_and_what_it_says_stands_below(
    two: Any, xraygpt: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(show, "console", lambda: Console(width=80))
    said = xraygpt("runs").stdout
    assert "981b9acf3eb9" in said
    assert "981b9acf0000: waits for a device" in said
    assert "…" not in said


def test_a_run_is_named_by_the_end_of_its_id(two: Any, xraygpt: Run) -> None:
    assert json.loads(xraygpt("runs", "show", "F3EB9", "--json").stdout)["run_id"] == IDS[0]
    assert "stage1" in xraygpt("runs", "show", IDS[1]).stdout
    two.ids.append("01a227e1-b4c9-7354-9ad4-981c9acf3eb9")
    assert "2 runs have an id that ends in f3eb9" in str(xraygpt("runs", "show", "f3eb9").exception)


def test_a_name_that_is_no_runs_is_told_so(two: Any, xraygpt: Run) -> None:
    for arguments in (
        ("runs", "show", "abcde"),
        ("models", "promote", "abcde"),
        ("train", "stage2", "--parent", "abcde"),
    ):
        assert "ends in abcde" in str(xraygpt(*arguments).exception)


def test_a_run_is_promoted_and_gone_on_from_by_the_end_of_its_id(two: Any, xraygpt: Run) -> None:
    two.answers[f"POST /v1/training-runs/{IDS[0]}/promote"] = {"bundle": "stage1-981b9acf3eb9"}
    promoted = xraygpt("models", "promote", "f3eb9", "--json")
    assert json.loads(promoted.stdout) == {"bundle": "stage1-981b9acf3eb9"}
    two.answers["POST /v1/training-runs"] = (202, {"run_id": IDS[1]})
    done = xraygpt("train", "stage2", "--parent", "f3eb9")
    assert two.bodies("/v1/training-runs")[0]["parent_run"] == IDS[0]
    assert "runs watch 981b9acf0000" in done.stderr


@pytest.mark.parametrize("wanted", ["pause", "resume", "cancel"])
def test_a_run_is_changed(two: Any, xraygpt: Run, wanted: str) -> None:
    two.answers[f"POST /v1/training-runs/{IDS[0]}/{wanted}"] = (204, None)
    done = xraygpt("runs", wanted, "f3eb9", "--json")
    assert json.loads(done.stdout)["run_id"] == IDS[0]
    assert len(two.bodies(f"/v1/training-runs/{IDS[0]}/{wanted}")) == 1


def test_a_run_is_watched_to_its_end(two: Any, xraygpt: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xraygpt.following.POLL_SECONDS", 0.0)
    states = iter([run(), run(state="done"), run(), run(state="dead", failure_says="the disk is full")])
    two.answers[f"GET /v1/training-runs/{IDS[0]}"] = lambda _: next(states)
    assert xraygpt("runs", "watch", "f3eb9", "--json").exit_code == 0
    ended = xraygpt("runs", "watch", "f3eb9")
    assert ended.exit_code == 3
    assert "the disk is full" in ended.stdout + ended.stderr


def test_a_study_is_excluded_and_let_in_again(fake_gateway: Any, xraygpt: Run) -> None:
    fake_gateway.answers |= {
        "POST /v1/studies/01a22344-2e7d-72e2-a1b2-0123456789ab/exclusion": (204, None),
        "DELETE /v1/studies/01a22344-2e7d-72e2-a1b2-0123456789ab/exclusion": (204, None),
    }
    assert json.loads(xraygpt("exclude", "01a22344-2e7d-72e2-a1b2-0123456789ab", "--json").stdout) == {
        "study_id": "01a22344-2e7d-72e2-a1b2-0123456789ab",
        "excluded": True,
    }
    assert json.loads(xraygpt("exclude", "01a22344-2e7d-72e2-a1b2-0123456789ab", "--undo", "--json").stdout) == {
        "study_id": "01a22344-2e7d-72e2-a1b2-0123456789ab",
        "excluded": False,
    }


def test_train_sends_preset_data_and_selection_as_one_configuration(
    fake_gateway: Any, xraygpt: Run, tmp_path: Path
) -> None:
    fake_gateway.answers |= {
        "POST /v1/training-runs": (202, {"run_id": "r"}),
        "GET /v1/training-runs/r": run(),
    }
    (tmp_path / "pairs.csv").write_text("")
    words = "reviewed since 2026-01-01 limit 40"
    more = ("--preset", "paper-stage1", "--data", str(tmp_path / "pairs.csv"), "--from-ledger", words)
    assert xraygpt("train", "stage1", *more).exit_code == 0
    (body,) = fake_gateway.bodies("/v1/training-runs")
    assert body["config"]["preset"] == "paper-stage1"
    assert [one["reader"] for one in body["config"]["mixture"]["sets"]] == ["table", "ledger"]
    assert body["config"]["mixture"]["sets"][1]["select"] == words


def test_what_is_of_no_use_there_is_refused_and_not_passed_over(fake_gateway: Any, xraygpt: Run) -> None:
    for arguments in (("--base", "mine"), ("--out", "here"), ("--local", "--parent", IDS[0])):
        assert xraygpt("train", "stage2", *arguments).exit_code == 2
    assert not fake_gateway.bodies("/v1/training-runs")


def test_signed_studies_need_a_stack(xraygpt: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XRAYGPT_GATEWAY_URL", raising=False)
    monkeypatch.setenv("XRAYGPT_HOME", str(tmp_path))
    done = xraygpt("train", "stage1", "--from-ledger", "reviewed since 2026-01-01")
    assert "workers of a stack" in str(done.exception)


def test_data_are_checked_and_nothing_is_trained(xraygpt: Run, tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("image,text\nnone.png,Clear lungs and a normal heart.\n")
    done = xraygpt("train", "stage1", "--data", str(tmp_path / "pairs.csv"), "--check", "--json")
    assert done.exit_code in (0, 1), done.stderr
    (one,) = json.loads(done.stdout)["sets"]
    assert (one["name"], one["pairs"]) == ("pairs", {})
    assert one["problems"]
    assert xraygpt("train", "stage1", "--check").exit_code == 2
    assert xraygpt("train", "stage1", "--explain").exit_code == 2


def test_a_selection_is_counted_by_the_gateway(fake_gateway: Any, xraygpt: Run) -> None:
    counted = {"pairs": {"train": 3}, "patients": 2, "left_out": {"excluded": 1}}
    fake_gateway.answers["POST /v1/training-runs/selection"] = counted
    done = xraygpt("train", "stage1", "--from-ledger", "reviewed since 2026-01-01", "--check", "--json")
    (one,) = json.loads(done.stdout)["sets"]
    assert {name: one[name] for name in counted} == counted


def test_a_report_is_written_for_its_owner_alone(
    two: Any, xraygpt: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("report.html", "tensorboard.zip"):
        two.answers[f"GET /v1/training-runs/{IDS[0]}/files/{name}"] = name.encode()
    monkeypatch.chdir(tmp_path)
    said = json.loads(xraygpt("runs", "report", "f3eb9", "--json").stdout)
    file = tmp_path / "981b9acf3eb9-report.html"
    assert said["file"] == str(file)
    assert file.read_text() == "report.html"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    out = tmp_path / "board.zip"
    out.write_text("")
    out.chmod(0o644)
    xraygpt("runs", "report", "f3eb9", "--file", "tensorboard.zip", "--out", str(out))
    assert stat.S_IMODE(out.stat().st_mode) == 0o600

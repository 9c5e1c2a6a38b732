"""Training without a stack: the job is a child process. A small program stands in for the job."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from xraygpt.commands import training
from xraygpt.stack.launch import is_alive

Run = Callable[..., Result]
JOB = """
import json, sys
from pathlib import Path
arguments = sys.argv[1:]
if "fail" in arguments:
    sys.exit(1)
if arguments[0] in ("curate", "evaluate"):
    print(json.dumps({"arguments": arguments}))
    sys.exit(2 if "wrong" in arguments else 0)
out = Path(arguments[arguments.index("--out") + 1])
(out / "result").mkdir(parents=True, exist_ok=True)
(out / "checkpoints" / "step-000001").mkdir(parents=True, exist_ok=True)
config = json.loads(Path(arguments[arguments.index("--config") + 1]).read_text())
if config.get("seed") == 13:
    sys.exit(75)
(out / "result" / "result.json").write_text(json.dumps({"config": config, "resumed": "--resume" in arguments}))
print("noise on stdout")
"""


@pytest.fixture(autouse=True)
def _stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "training_jobs.py").write_text(JOB)
    monkeypatch.chdir(tmp_path)  # `python -m` looks in the current directory first
    monkeypatch.setenv("XRAYGPT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XRAYGPT_GATEWAY_URL", raising=False)
    monkeypatch.setattr(training, "load_bundle", lambda models, name: FakeBundle(Path(models) / name))


class FakeBundle:
    def __init__(self, path: Path) -> None:
        self.path = path


@pytest.mark.parametrize("stage", ["encoder", "stage1"])
def test_without_a_stack_a_stage_runs_here(xraygpt: Run, tmp_path: Path, stage: str) -> None:
    done = xraygpt("train", stage, "--steps", "3", "--phantoms", "8", "--json")
    result = json.loads(done.stdout)
    assert result["config"] == {"steps": 3, "phantoms": {"count": 8}}
    assert result["out"] == str(tmp_path / "home" / "training" / stage)
    assert result["resumed"] is False


def test_a_second_time_goes_on_from_the_last_checkpoint(xraygpt: Run, tmp_path: Path) -> None:
    arguments = ("train", "stage1", "--out", str(tmp_path / "out"), "--json")
    xraygpt(*arguments)
    assert json.loads(xraygpt(*arguments).stdout)["resumed"] is True


def test_a_job_that_fails_is_an_error(xraygpt: Run) -> None:
    assert "exit code 1" in str(xraygpt("curate", "fail").exception)


def test_a_job_that_was_stopped_is_unfinished_and_the_command_says_how_to_go_on(xraygpt: Run) -> None:
    done = xraygpt("train", "stage1", "--seed", "13")
    assert done.exit_code == 3
    assert "the same command goes on" in done.stderr


def test_a_person_is_told_the_result_without_its_settings_and_what_to_do_with_it(xraygpt: Run, tmp_path: Path) -> None:
    done = xraygpt("train", "stage1", "--out", str(tmp_path / "out"))
    assert "config" not in done.stdout
    assert f"models compose {tmp_path / 'out'}" in done.stderr


def test_curate_and_evaluate_pass_their_options_on(xraygpt: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XRAYGPT_MODELS", "/models")
    done = xraygpt("curate", "reports.tgz", "--rules-only", "--json")
    assert json.loads(done.stdout)["arguments"] == ["curate", "reports.tgz", "--rules-only"]
    done = xraygpt("evaluate", "--base", "mine", "--count", "5", "--json")
    assert json.loads(done.stdout)["arguments"] == ["evaluate", "--base", "/models/mine", "--count", "5"]


def test_wrong_usage_of_a_job_is_wrong_usage_of_the_command(xraygpt: Run) -> None:
    assert xraygpt("curate", "wrong").exit_code == 2


def test_a_job_ends_with_the_command_that_started_it(tmp_path: Path) -> None:
    (tmp_path / "training_jobs.py").write_text(
        "import os, time; print(os.getpid(), file=open('pid', 'w')); time.sleep(600)"
    )
    program = "from xraygpt.commands.training import run_job; run_job(['stage1'])"
    with subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path) as command:
        pid_file = tmp_path / "pid"
        while not (pid_file.exists() and pid_file.read_text().strip()):
            assert command.poll() is None
        command.kill()
    pid = int(pid_file.read_text())
    deadline = time.monotonic() + 60
    while is_alive(pid):
        assert time.monotonic() < deadline, "it outlived the command"
        time.sleep(0.01)

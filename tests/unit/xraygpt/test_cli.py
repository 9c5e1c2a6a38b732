"""The command as a process: errors, exit codes, and what it does not import."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("XRAYGPT_")}
    command = [sys.executable, "-m", "xraygpt", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=clean | environment, check=False)


def test_without_a_stack_a_command_says_how_to_start_one(tmp_path: Path) -> None:
    done = run("summary", "s", "--json", XRAYGPT_HOME=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith(f"xraygpt: no stack is up in {tmp_path}; start one with `xraygpt up --detach`")
    assert "no stack is up" in json.loads(done.stdout)["error"]


def test_an_error_of_the_gateway_is_one_sentence_and_1(fake_gateway: Any) -> None:
    fake_gateway.answers["GET /v1/studies/s"] = (404, {"title": "not found", "detail": "there is no study s"})
    done = run("summary", "s", XRAYGPT_GATEWAY_URL=fake_gateway.url, XRAYGPT_API_KEY="k")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "xraygpt: there is no study s (404)\n"


def test_a_gateway_without_a_key_is_an_error(tmp_path: Path) -> None:
    done = run("summary", "s", XRAYGPT_GATEWAY_URL="http://127.0.0.1:1", XRAYGPT_HOME=str(tmp_path))
    assert done.returncode == 1
    assert "XRAYGPT_API_KEY must be set" in done.stderr


def test_down_without_a_stack_is_done_already(tmp_path: Path) -> None:
    done = run("down", "--json", XRAYGPT_HOME=str(tmp_path / "none"))
    assert (done.returncode, json.loads(done.stdout)) == (0, {"stopped": False})
    assert not (tmp_path / "none").exists()


def test_status_without_a_stack_ends_with_3(tmp_path: Path) -> None:
    done = run("status", "--json", XRAYGPT_HOME=str(tmp_path))
    assert done.returncode == 3
    assert json.loads(done.stdout)["running"] is False


@pytest.mark.parametrize("module", ["cli", "stack.supervisor", "stack.doctor", "stack.flower", "phantom_inputs"])
def test_nothing_here_needs_torch(module: str) -> None:
    hidden = "import sys; sys.modules['torch'] = sys.modules['transformers'] = None"
    subprocess.run([sys.executable, "-c", f"{hidden}; import xraygpt.{module}"], check=True)


def test_the_command_line_starts_without_the_slow_libraries() -> None:
    slow = ("torch", "numpy", "pydicom", "boto3", "celery", "sqlalchemy")
    program = f"import sys, xraygpt.cli; print([name for name in {slow} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

"""The command as a whole: errors, exit codes, and what it does not import."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import redirect_stderr, redirect_stdout
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from xraygpt.cli import main


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What the command's process would do, in this one: a process costs more than what it is asked."""
    out, errors = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    code = None
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(errors):
        for name in [name for name in os.environ if name.startswith("XRAYGPT_")]:
            patch.delenv(name)
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr(sys, "argv", ["xraygpt", *arguments])
        try:
            main()
        except SystemExit as left:
            code = left.code
    said = (stream.buffer.getvalue().decode() for stream in (out, errors))
    return subprocess.CompletedProcess(arguments, int(code or 0), *said)


def test_without_a_stack_a_command_says_how_to_start_one(tmp_path: Path) -> None:
    done = run("summary", "01a22344-2e7d-72e2-a1b2-0123456789ab", "--json", XRAYGPT_HOME=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith(f"xraygpt: no stack is up in {tmp_path}; start one with `xraygpt up --detach`")
    assert "no stack is up" in json.loads(done.stdout)["error"]


@pytest.mark.parametrize(
    "words", [("list", "--state", "nope"), ("models", "list", "--nope"), ("keys", "create", "x", "--kind", "nope")]
)
def test_a_value_that_is_none_of_a_list_is_said_in_plain_words(words: tuple[str, ...]) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert "Value error" not in done.stderr
    assert words[1:] != ("--state", "nope") or "'nope' is not one of 'received'" in done.stderr


def test_an_error_of_the_gateway_is_one_sentence_and_1(fake_gateway: Any) -> None:
    fake_gateway.answers["GET /v1/studies/01a22344-2e7d-72e2-a1b2-0123456789ab"] = (
        404,
        {"title": "not found", "detail": "there is no study s"},
    )
    done = run(
        "summary", "01a22344-2e7d-72e2-a1b2-0123456789ab", XRAYGPT_GATEWAY_URL=fake_gateway.url, XRAYGPT_API_KEY="k"
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("xraygpt: there is no study s (404); `xraygpt find` leads")


def test_the_fields_a_gateway_refuses_are_named(fake_gateway: Any) -> None:
    errors = [{"where": "path.study_id", "problem": "Input should be a valid UUID"}]
    fake_gateway.answers["GET /v1/studies/01a22344-2e7d-72e2-a1b2-0123456789ab"] = (
        422,
        {"detail": "see errors for the fields", "errors": errors},
    )
    done = run(
        "summary", "01a22344-2e7d-72e2-a1b2-0123456789ab", XRAYGPT_GATEWAY_URL=fake_gateway.url, XRAYGPT_API_KEY="k"
    )
    assert done.stderr == "xraygpt: path.study_id: Input should be a valid UUID (422)\n"


def test_what_the_system_refuses_is_one_sentence_and_1(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run("up", "--detach", XRAYGPT_HOME=str(tmp_path / "file" / "home"))
    assert done.returncode == 1
    assert done.stderr.startswith("xraygpt: ")
    assert "Traceback" not in done.stderr


def test_a_reader_that_goes_away_is_no_error_to_speak_of(fake_gateway: Any) -> None:
    fake_gateway.answers["GET /v1/dead"] = lambda asked: {
        "jobs": [] if "after" in asked.path else [{"job_id": "j", "last_error": "x" * 200_000}]
    }
    settings = {"XRAYGPT_GATEWAY_URL": fake_gateway.url, "XRAYGPT_API_KEY": "k"}
    command = [sys.executable, "-m", "xraygpt", "dead", "list", "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | settings
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_ctrl_c_ends_a_command_without_a_traceback(fake_gateway: Any) -> None:
    asked, answer = threading.Event(), threading.Event()

    def slow(_: Any) -> Any:
        asked.set()
        answer.wait(240)
        return 404, {}

    fake_gateway.answers["GET /v1/studies/01a22344-2e7d-72e2-a1b2-0123456789ab"] = slow
    settings = {"XRAYGPT_GATEWAY_URL": fake_gateway.url, "XRAYGPT_API_KEY": "k"}
    command = [sys.executable, "-m", "xraygpt", "summary", "01a22344-2e7d-72e2-a1b2-0123456789ab"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=os.environ | settings) as process:
        assert asked.wait(240)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        said = process.stderr.read()
        answer.set()
    assert process.returncode in (1, 130)
    assert b"Traceback" not in said


def test_status_tells_soon_that_the_gateway_does_not_answer(tmp_path: Path) -> None:
    started = time.monotonic()
    settings = {"XRAYGPT_GATEWAY_URL": "http://127.0.0.1:1", "XRAYGPT_API_KEY": "k", "XRAYGPT_HOME": str(tmp_path)}
    done = run("status", "--json", **settings)
    assert time.monotonic() - started < 55  # its other commands ask for a minute
    assert done.returncode == 3
    found = json.loads(done.stdout)
    assert (found["running"], found["jobs"]) == (False, [])
    assert "does not answer" in found["problem"]
    assert "does not answer" in run("status", **settings).stdout


def test_status_does_not_wait_for_a_gateway_that_hangs(fake_gateway: Any, tmp_path: Path) -> None:
    over = threading.Event()
    fake_gateway.answers["GET /v1/status"] = lambda _: (503, {"waited": over.wait(240)})
    settings = {"XRAYGPT_GATEWAY_URL": fake_gateway.url, "XRAYGPT_API_KEY": "k", "XRAYGPT_HOME": str(tmp_path)}
    started = time.monotonic()
    found = json.loads(run("status", "--json", **settings).stdout)
    over.set()
    assert time.monotonic() - started < 55
    assert "does not answer" in found["problem"]


def test_an_empty_list_of_the_dead_says_so(fake_gateway: Any) -> None:
    fake_gateway.answers["GET /v1/dead"] = {"jobs": []}
    done = run("dead", "list", XRAYGPT_GATEWAY_URL=fake_gateway.url, XRAYGPT_API_KEY="k")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "nothing is dead\n")


def test_the_version_is_told() -> None:
    assert run("--version").stdout == f"xraygpt {version('xraygpt')}\n"


def test_a_gateway_without_a_key_is_an_error(tmp_path: Path) -> None:
    done = run(
        "summary",
        "01a22344-2e7d-72e2-a1b2-0123456789ab",
        XRAYGPT_GATEWAY_URL="http://127.0.0.1:1",
        XRAYGPT_HOME=str(tmp_path),
    )
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


def test_nothing_here_needs_torch() -> None:
    hidden = "import sys; sys.modules['torch'] = sys.modules['transformers'] = None"
    ours = ", ".join(f"xraygpt.{name}" for name in ("cli", "stack.supervisor", "stack.doctor", "stack.servers.flower"))
    subprocess.run([sys.executable, "-c", f"{hidden}; import {ours}, xraygpt.phantom_inputs"], check=True)


def test_the_command_line_starts_without_the_slow_libraries() -> None:
    slow = ("torch", "numpy", "pydicom", "boto3", "celery", "sqlalchemy", "pydantic")
    program = f"import sys, xraygpt.cli; print([name for name in {slow} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("group", [(), ("dead",), ("keys",), ("models",), ("audit",)])
def test_a_command_that_is_not_named_shows_the_help_of_all_and_is_no_error(group: tuple[str, ...]) -> None:
    done = run(*group)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Commands" in done.stdout


@pytest.mark.parametrize(("typed", "names"), [("xraygpt qu", ["query"]), ("xraygpt keys cr", ["create"])])
def test_bash_completes_the_name_of_a_command(typed: str, names: list[str]) -> None:
    command = Path(sys.executable).with_name("xraygpt")
    script = (
        'eval "$(_XRAYGPT_COMPLETE=source_bash xraygpt)"; read -ra COMP_WORDS <<< "$0"\n'
        'COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _xraygpt_completion xraygpt; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    path = f"{command.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script, typed], env=os.environ | {"PATH": path}, capture_output=True, text=True, check=True
    )
    assert (done.stdout.split(), done.stderr) == (names, "")


def test_an_option_alone_is_still_wrong_usage() -> None:
    assert run("dead", "--nonsense").returncode == 2


def test_a_key_that_is_refused_is_said_with_the_next_step(fake_gateway: Any) -> None:
    fake_gateway.answers["GET /v1/dead"] = (401, {"detail": "this key is not known"})
    done = run("dead", "list", XRAYGPT_GATEWAY_URL=fake_gateway.url, XRAYGPT_API_KEY="k")
    assert done.stderr.startswith("xraygpt: this key is not known (401); XRAYGPT_API_KEY must hold a valid key")

"""Starting and stopping a supervisor from outside. A small program stands in for ``python -m xraygpt.stack``."""

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from xraygpt.stack import launch
from xraygpt.stack.launch import is_alive, processes, start, stop
from xraygpt.stack.processes.child import StackError
from xraygpt.stack.settings.home import Home, hold, holder

PYTHON = sys.executable  # the stand-in takes its place
READY = """
    with hold(home):
        print(json.dumps({"say": "starting postgres"}), flush=True)
        home.stack_file.write_text(json.dumps({"pid": os.getpid()}))
        print(json.dumps({"ready": True}), flush=True)
        stopping = []
        signal.signal(signal.SIGTERM, lambda *_: stopping.append(1))
        while not stopping:
            time.sleep(0.01)
"""
REFUSING = """
    print(json.dumps({"say": "starting postgres"}), flush=True)
    print(json.dumps({"error": "postgres ended with exit code 1 while starting; see its.log"}), flush=True)
    sys.exit(1)
"""
CRASHING = "    raise RuntimeError('never told')"
SLOW = """
    with hold(home):
        print(json.dumps({"say": "starting postgres"}), flush=True)
        time.sleep(600)
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, body: str) -> None:
    program = f"""#!{sys.executable}
import json, os, signal, sys, time
from pathlib import Path
sys.path.insert(0, {str(Path(launch.__file__).parents[2])!r})
from xraygpt.stack.settings.home import Home, hold
home = Home(Path(os.environ["XRAYGPT_HOME"]))
assert sys.argv[1:] == ["-m", "xraygpt.stack"]
if True:
{body}
"""
    path = tmp_path / "python"
    path.write_text(program)
    path.chmod(0o755)
    monkeypatch.setattr(launch.sys, "executable", str(path))


def test_start_returns_when_it_is_ready_and_stop_when_it_is_gone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: Home
) -> None:
    stand_in(monkeypatch, tmp_path, READY)
    said: list[str] = []
    pid = start(home, said.append)["pid"]
    assert said == ["starting postgres"]
    assert holder(home) == pid
    assert stop(home)
    assert not is_alive(pid)
    assert not stop(home)


def test_what_did_not_start_is_told_in_its_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: Home) -> None:
    stand_in(monkeypatch, tmp_path, REFUSING)
    with pytest.raises(StackError, match=r"^postgres ended with exit code 1 while starting; see its\.log$"):
        start(home, lambda _: None)


def test_a_supervisor_that_crashes_leaves_its_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: Home) -> None:
    stand_in(monkeypatch, tmp_path, CRASHING)
    with pytest.raises(StackError, match=r"the supervisor ended; see .*supervisor\.log"):
        start(home, lambda _: None)
    assert "never told" in home.log("supervisor").read_text()


def test_ctrl_c_while_it_starts_ends_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: Home) -> None:
    stand_in(monkeypatch, tmp_path, SLOW)
    program = (
        "import sys; from pathlib import Path\n"
        "from xraygpt.stack.settings.home import Home; from xraygpt.stack import launch\n"
        "launch.sys.executable = sys.argv[2]\n"
        "launch.start(Home(Path(sys.argv[1])), lambda line: print(line, flush=True))"
    )
    command = [PYTHON, "-c", program, str(home.root), str(tmp_path / "python")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    ) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == b"starting postgres\n"  # the starter itself is waiting by now
        starter.send_signal(signal.SIGINT)
        assert starter.wait(60) != 0
    assert holder(home) is None


def test_a_stale_stack_file_is_removed_by_stop(home: Home) -> None:
    home.create()
    home.stack_file.write_text("{}")
    assert not stop(home)
    assert not home.stack_file.exists()


def test_a_supervisor_that_does_not_end_is_named(monkeypatch: pytest.MonkeyPatch, home: Home) -> None:
    """After as long as its stack may take."""
    monkeypatch.setattr(launch.os, "kill", lambda *_: None)
    with hold(home):
        home.stack_file.write_text('{"stop_seconds": 0.05}')
    with hold(home), pytest.raises(StackError, match=f"process {os.getpid()}\\) does not end"):
        stop(home)


def test_processes_are_running_restarting_or_external() -> None:
    pids = {"postgres": None, "gateway": os.getpid(), "gpu": None, "ingest": 2**22 + 1}
    states = processes({"pids": pids, "external": ["postgres"]})
    assert {name: one["state"] for name, one in states.items()} == {
        "postgres": "external",
        "gateway": "running",
        "gpu": "restarting",
        "ingest": "restarting",
    }
    json.dumps(states)


def test_a_process_that_ended_lately_is_told_with_its_error() -> None:
    now = datetime.now(UTC)
    ends = {
        "gpu": {"count": 4, "at": now.isoformat(), "said": "there is no bundle"},
        "ingest": {"count": 1, "at": (now - timedelta(minutes=11)).isoformat(), "said": "long ago"},
    }
    pids = dict.fromkeys(("gpu", "ingest", "control"), os.getpid())
    found = processes({"pids": pids, "external": [], "ends": ends})
    assert [(one["ends"], one["said"]) for one in found.values()] == [(4, "there is no bundle"), (0, None), (0, None)]


def test_a_process_that_ends_while_its_state_is_read_is_not_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Opened before it was reaped, read after: no such process (ESRCH)."""

    def read_text(_path: Path) -> str:
        raise ProcessLookupError

    monkeypatch.setattr(launch.Path, "read_text", read_text)
    assert not is_alive(os.getpid())


def test_a_process_that_waits_to_be_reaped_is_not_alive() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not is_alive(process.pid)
    process.wait()

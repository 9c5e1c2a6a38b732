"""The leash: whatever dies, nothing of the tree stays."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from workers.process_tree import descendants, kill_descendants
from workers.training_child import TrainingChild

# A job with a child in a session of its own, as torchrun's ranks are; both write their pids and wait.
JOB = """
import os, pathlib, subprocess, sys, signal
rank = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], start_new_session=True)
path = pathlib.Path(sys.argv[1])
path.with_suffix(".part").write_text(f"{os.getpid()} {rank.pid}")
path.with_suffix(".part").rename(path)
signal.pause()
"""
# A worker that holds such a job.
PARENT = """
import sys, pathlib, signal
from workers.training_child import TrainingChild
with TrainingChild([sys.executable, "-c", sys.argv[1], sys.argv[2]], pathlib.Path(sys.argv[3])) as child:
    signal.pause()
"""


def until(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def pids_file(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "pids"
    yield path
    for pid in map(int, path.read_text().split() if path.exists() else []):  # whatever a failed test left
        if alive(pid):
            os.kill(pid, signal.SIGKILL)


def pids(path: Path) -> list[int]:
    until(path.exists)
    return [int(pid) for pid in path.read_text().split()]


def test_a_child_tells_its_exit_code(tmp_path: Path) -> None:
    with TrainingChild([sys.executable, "-c", "raise SystemExit(7)"], tmp_path) as child:
        assert child.wait(60) == 7


def test_a_signal_that_ended_the_command_is_told(tmp_path: Path) -> None:
    with TrainingChild([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], tmp_path) as child:
        assert child.wait(60) == 128 + 9


def test_a_request_to_stop_reaches_the_command(tmp_path: Path) -> None:
    code = "import signal, sys; signal.signal(15, lambda *_: sys.exit(75)); open('up', 'w').close(); signal.pause()"
    with TrainingChild([sys.executable, "-c", code], tmp_path) as child:
        until((tmp_path / "up").exists)
        child.ask_to_stop()
        assert child.wait(60) == 75


def test_leaving_the_block_ends_the_whole_tree(tmp_path: Path, pids_file: Path) -> None:
    with TrainingChild([sys.executable, "-c", JOB, str(pids_file)], tmp_path):
        job, rank = pids(pids_file)
        assert alive(job)
        assert alive(rank)
    until(lambda: not alive(job) and not alive(rank))


def test_nothing_outlives_a_worker_that_is_killed(tmp_path: Path, pids_file: Path) -> None:
    worker = subprocess.Popen([sys.executable, "-c", PARENT, JOB, str(pids_file), str(tmp_path)])
    job, rank = pids(pids_file)
    worker.kill()
    worker.wait()
    until(lambda: not alive(job) and not alive(rank))


def test_the_command_does_not_outlive_its_leash(tmp_path: Path, pids_file: Path) -> None:
    with TrainingChild([sys.executable, "-c", JOB, str(pids_file)], tmp_path) as child:
        job, _ = pids(pids_file)
        os.kill(child.pid, signal.SIGKILL)
        until(lambda: not alive(job))
        assert child.wait(60) == -signal.SIGKILL


def test_what_the_command_leaves_behind_ends_with_it(tmp_path: Path, pids_file: Path) -> None:
    with TrainingChild([sys.executable, "-c", JOB.replace("signal.pause()\n", ""), str(pids_file)], tmp_path) as child:
        _, rank = pids(pids_file)
        child.wait(60)
        until(lambda: not alive(rank))


def test_the_command_knows_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XRAYGPT_DATABASE_URL", "postgresql://secret")
    monkeypatch.setenv("XRAYGPT_MODELS", "/models")
    code = "import os, sys; sys.exit(sorted(name for name in os.environ if 'XRAYGPT' in name) != ['XRAYGPT_MODELS'])"
    with TrainingChild([sys.executable, "-c", code], tmp_path) as child:
        assert child.wait(60) == 0


def test_descendants_are_found_below_descendants(tmp_path: Path, pids_file: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", JOB, str(pids_file)])
    try:
        assert set(pids(pids_file)) <= {process.pid, *descendants(process.pid)}
        assert process.pid in descendants(os.getpid())
    finally:
        kill_descendants(process.pid)
        process.kill()
        process.wait()

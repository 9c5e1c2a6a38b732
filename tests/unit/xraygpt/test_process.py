import os
import signal
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from xraygpt.stack.processes import child as child_module
from xraygpt.stack.processes.child import Child, StackError, end_leftovers, leftovers, open_log

SLEEPER = "import time; print('up', flush=True); time.sleep(600)"


def child(tmp_path: Path, program: str, **options: object) -> Child:
    return Child("helper", [sys.executable, "-c", program], log=tmp_path / "helper.log", directory=tmp_path, **options)  # type: ignore[arg-type]


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def logged(path: Path, text: str) -> Callable[[], bool]:
    return lambda: path.exists() and text in path.read_text()


def test_a_child_writes_stdout_and_stderr_to_its_log(tmp_path: Path) -> None:
    one = child(tmp_path, "import sys; print('out'); print('err', file=sys.stderr)")
    one.start()
    assert one.wait(60)
    assert set(one.log.read_text().split()) == {"out", "err"}
    assert stat.S_IMODE(one.log.stat().st_mode) == 0o600


def test_a_child_runs_in_its_directory_with_its_environment_and_stdin(tmp_path: Path) -> None:
    program = "import os, sys; print(os.getcwd(), os.environ['NAME'], sys.stdin.read())"
    one = child(tmp_path, program, environment=os.environ | {"NAME": "value"}, stdin=b"given")
    one.start()
    assert one.wait(60)
    assert one.log.read_text().split() == [str(tmp_path), "value", "given"]


def test_a_child_has_no_pid_before_it_starts(tmp_path: Path) -> None:
    one = child(tmp_path, SLEEPER)
    assert (one.pid, one.running, one.exit_code) == (0, False, None)
    one.stop()


def test_stop_ends_a_willing_child_at_once(tmp_path: Path) -> None:
    one = child(tmp_path, SLEEPER)
    one.start()
    assert one.running
    one.stop(seconds=20)
    assert one.exit_code == -signal.SIGTERM


def test_stop_kills_a_stubborn_child(tmp_path: Path) -> None:
    one = child(tmp_path, f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPER}")
    one.start()
    wait_for(logged(one.log, "up"))
    one.stop(seconds=0.1)
    assert one.exit_code == -signal.SIGKILL


def test_stop_takes_the_whole_process_group_along(tmp_path: Path) -> None:
    program = f"""
        import subprocess, sys, time
        print(subprocess.Popen([sys.executable, '-c', {SLEEPER!r}]).pid, flush=True)
        time.sleep(600)
    """
    one = child(tmp_path, textwrap.dedent(program))
    one.start()
    wait_for(lambda: len(one.log.read_text().split()) == 2)
    (grandchild,) = (int(word) for word in one.log.read_text().split() if word != "up")  # either may write first
    one.stop()
    wait_for(lambda: not alive(grandchild))


def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    parent = f"""
        from pathlib import Path
        import sys, time
        from xraygpt.stack.processes.child import Child
        one = Child('x', [sys.executable, '-c', {SLEEPER!r}], log=Path('x.log'), directory=Path.cwd())
        one.start()
        print(one.pid, flush=True)
        time.sleep(600)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(parent)], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        pid = int(running.stdout.readline())
        assert alive(pid)
        running.kill()
    wait_for(lambda: not alive(pid))


def test_a_missing_program_is_one_sentence(tmp_path: Path) -> None:
    one = Child("helper", ["/nowhere/helper"], log=tmp_path / "log", directory=tmp_path)
    with pytest.raises(StackError, match=r"helper does not start: No such file or directory \(/nowhere/helper\)"):
        one.start()


def test_waiting_for_a_child_that_ends_names_its_log(tmp_path: Path) -> None:
    one = child(tmp_path, "raise SystemExit(4)")
    one.start()
    with pytest.raises(StackError, match=r"helper ended with exit code 4 while starting; see .*helper\.log"):
        one.wait_until(lambda: False, 20)


def test_waiting_for_a_silent_child_ends(tmp_path: Path) -> None:
    one = child(tmp_path, SLEEPER)
    one.start()
    with pytest.raises(StackError, match=r"did not answer within 0 s; see .*helper\.log"):
        one.wait_until(lambda: False, 0.05)
    one.stop()


def test_lines_that_are_not_kept_do_not_reach_the_log(tmp_path: Path) -> None:
    one = child(
        tmp_path, "print('keep this'); print('drop this'); print('keep that')", keep=lambda line: b"keep" in line
    )
    one.start()
    wait_for(logged(one.log, "keep that"))
    assert "drop" not in one.log.read_text()
    one.stop()


def test_a_child_can_be_started_again(tmp_path: Path) -> None:
    one = child(tmp_path, SLEEPER)
    one.start()
    first = one.pid
    one.stop()
    one.start()
    assert one.running
    assert one.pid != first
    one.stop()


def test_a_large_log_is_moved_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_module, "LARGEST_LOG", 3)
    log = tmp_path / "helper.log"
    log.write_text("long")
    open_log(log).close()
    assert (tmp_path / "helper.log.1").read_text() == "long"
    assert log.read_text() == ""


def test_leftovers_are_known_by_program_and_directory(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    one = child(tmp_path, SLEEPER)
    one.start()
    wait_for(logged(one.log, "up"))
    assert leftovers(Path(sys.executable), tmp_path) == [one.pid]
    assert leftovers(Path(sys.executable), elsewhere) == []
    assert leftovers(Path("/bin/sh"), tmp_path) == []
    one.stop()


def test_leftovers_are_ended_by_force_if_need_be(tmp_path: Path) -> None:
    one = child(tmp_path, f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPER}")
    one.start()
    wait_for(logged(one.log, "up"))
    end_leftovers(Path(sys.executable), tmp_path, signal.SIGTERM, seconds=0.1)
    assert one.wait(60)
    assert one.exit_code == -signal.SIGKILL

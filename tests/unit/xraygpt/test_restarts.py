import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xraygpt.stack.processes import restarts as restarts_module
from xraygpt.stack.processes.child import Child, StackError
from xraygpt.stack.processes.restarts import Restarts

PATIENCE = 60.0  # a machine that stands still for a while does not make a program one that must be killed


class Fake:
    """A unit that can be told to end, and whose next starts can be told to fail."""

    def __init__(self, order: list[str] | None = None, name: str = "") -> None:
        self.pid = 1
        self.running = True
        self.starts = 0
        self.failing = 0
        self.order = order if order is not None else []
        self.name = name

    def start(self) -> None:
        self.starts += 1
        if self.failing:
            self.failing -= 1
            raise StackError("it does not start")
        self.pid += 1
        self.running = True

    def stop(self) -> None:
        self.order.append(self.name)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(restarts_module, "time", clock)
    monkeypatch.setattr(restarts_module.secrets, "randbelow", lambda _: 500)  # pauses of exactly their length
    return clock


def kept(fake: Any) -> tuple[Restarts, list[str]]:
    said: list[str] = []
    restarts = Restarts(said.append, PATIENCE)
    restarts.add("fake", fake)
    return restarts, said


def test_what_runs_is_left_alone(clock: Clock) -> None:
    fake = Fake()
    restarts, said = kept(fake)
    assert not restarts.tend()
    assert (restarts.pids(), said, fake.starts) == ({"fake": 1}, [], 0)


def test_what_ended_starts_again_after_a_pause(clock: Clock) -> None:
    fake = Fake()
    restarts, said = kept(fake)
    fake.running = False
    assert restarts.tend()
    assert (restarts.pids(), said) == ({}, ["fake ended; it starts again"])
    clock.now += 0.4
    assert not restarts.tend()
    clock.now += 0.2
    assert restarts.tend()
    assert restarts.pids() == {"fake": 2}


def ends_until(restarts: Restarts, clock: Clock, fake: Fake) -> float:
    """Let it end; seconds until it has been started again."""
    fake.running = False
    restarts.tend()
    since, starts = clock.now, fake.starts
    while fake.starts == starts:
        clock.now += 0.1
        restarts.tend()
    return clock.now - since


def test_the_pause_doubles_up_to_half_a_minute_while_it_keeps_ending(clock: Clock) -> None:
    fake = Fake()
    restarts, _ = kept(fake)
    pauses = [ends_until(restarts, clock, fake) for _ in range(9)]
    assert pauses == pytest.approx([0.5, 1, 2, 4, 8, 16, 30, 30, 30], abs=0.11)


def test_a_calm_minute_makes_the_pause_short_again(clock: Clock) -> None:
    fake = Fake()
    restarts, _ = kept(fake)
    for _ in range(4):
        ends_until(restarts, clock, fake)
    clock.now += 61
    assert ends_until(restarts, clock, fake) == pytest.approx(0.5, abs=0.11)


def test_a_failed_start_is_told_and_tried_again(clock: Clock) -> None:
    fake = Fake()
    restarts, said = kept(fake)
    fake.failing = 1
    ends_until(restarts, clock, fake)
    assert "it does not start" in said
    restarts.tend()
    clock.now += 1.1
    restarts.tend()
    assert restarts.pids() == {"fake": 2}


def run_to(code: int, tmp_path: Path) -> Child:
    child = Child(
        "worker", [sys.executable, "-c", f"raise SystemExit({code})"], log=tmp_path / "log", directory=tmp_path
    )
    child.start()
    assert child.wait(60)
    return child


def test_a_worker_that_wants_another_bundle_starts_at_once(clock: Clock, tmp_path: Path) -> None:
    child = run_to(75, tmp_path)
    restarts, said = kept(child)
    first = child.pid
    restarts.tend()
    restarts.tend()
    assert child.pid != first
    assert said == ["fake ended with exit code 75; it starts again"]
    assert restarts.ends() == {}
    child.stop()


def log_line(level: str, message: str) -> str:
    return json.dumps({"time": "2026-11-30T08:00:00Z", "level": level, "process": "gpu", "message": message})


def test_the_error_that_a_program_wrote_before_its_end_is_said_and_kept(clock: Clock, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(log_line("ERROR", "of an earlier run") + "\n")
    lines = [log_line("CRITICAL", "there is no bundle 'demo'"), log_line("INFO", "leaving"), "no JSON"]
    program = f"import sys; print({chr(10).join(lines)!r}); sys.exit(1)"
    child = Child("gpu", [sys.executable, "-c", program], log=log, directory=tmp_path)
    child.start()
    assert child.wait(60)
    said: list[str] = []
    restarts = Restarts(said.append, PATIENCE)
    restarts.add("gpu", child)
    restarts.tend()
    assert said == ["gpu ended with exit code 1 (there is no bundle 'demo'); it starts again"]
    end = restarts.ends()["gpu"]
    assert (end["count"], end["said"]) == (1, "there is no bundle 'demo'")


def test_an_error_of_an_earlier_run_explains_no_later_end(clock: Clock, tmp_path: Path) -> None:
    log = tmp_path / "log"
    program = (
        "import pathlib, sys\n"
        f"first = not pathlib.Path('there').exists(); pathlib.Path('there').touch()\n"
        f"print({log_line('ERROR', 'the first time')!r} if first else 'nothing'); sys.exit(1)"
    )
    child = Child("gpu", [sys.executable, "-c", program], log=log, directory=tmp_path)
    child.start()
    restarts = Restarts(lambda _: None, PATIENCE)
    restarts.add("gpu", child)
    for count, said in ((1, "the first time"), (2, None)):
        assert child.wait(60)
        restarts.tend()
        end = restarts.ends()["gpu"]
        assert (end["count"], end["said"]) == (count, said)
        clock.now += 5
        restarts.tend()
    child.stop()


def test_ends_before_a_long_run_are_not_counted(clock: Clock) -> None:
    fake = Fake()
    restarts, _ = kept(fake)
    assert restarts.ends() == {}
    for _ in range(3):
        ends_until(restarts, clock, fake)
    assert restarts.ends()["fake"]["count"] == 3
    clock.now += 601
    ends_until(restarts, clock, fake)
    assert restarts.ends()["fake"]["count"] == 1


def test_services_stop_after_the_programs_last_one_first(tmp_path: Path) -> None:
    order: list[str] = []
    restarts = Restarts(order.append, PATIENCE)
    for name in ("postgres", "broker"):
        restarts.add(name, Fake(order, name))
    program = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
        "print('up', flush=True)\n"
        "time.sleep(600)"
    )
    child = Child("gpu", [sys.executable, "-c", program], log=tmp_path / "log", directory=tmp_path)
    child.start()
    wait_for(lambda: "up" in (tmp_path / "log").read_text())
    restarts.add("gpu", child)
    restarts.stop()
    assert child.exit_code == 0
    assert order == ["broker", "postgres"]


def test_a_program_is_asked_to_stop_only_once(tmp_path: Path) -> None:
    program = (
        "import signal, time\n"
        "asked = []\n"
        "def told(*_): asked.append(1); print('asked', flush=True)\n"
        "signal.signal(signal.SIGTERM, told)\n"
        "print('up', flush=True)\n"
        "while not asked: time.sleep(0.01)\n"
        "time.sleep(0.5)"
    )
    child = Child("gpu", [sys.executable, "-c", program], log=tmp_path / "log", directory=tmp_path)
    child.start()
    wait_for(lambda: "up" in (tmp_path / "log").read_text())
    restarts = Restarts(lambda _line: None, PATIENCE)
    restarts.add("gpu", child)
    restarts.stop()
    assert (child.exit_code, (tmp_path / "log").read_text().count("asked")) == (0, 1)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(("answered", "ended"), [(0.0, 181.0), (1001.0, 32.0)])
def test_what_stands_still_is_killed_and_starts_again(
    clock: Clock, tmp_path: Path, answered: float, ended: float
) -> None:
    """Even one that is stopped, and so takes no SIGTERM: 180 s after its start, or 30 s after its last answer."""
    child = Child(
        "still", [sys.executable, "-c", "import os; os.kill(os.getpid(), 19)"], log=tmp_path / "log", directory=tmp_path
    )
    child.start()
    said: list[str] = []
    restarts = Restarts(said.append, PATIENCE)
    restarts.add("gateway", child, lambda: answered)
    clock.now += ended - 2
    restarts.tend()
    assert said == []
    clock.now += 2
    restarts.tend()
    assert "has not answered" in said[0]
    assert child.wait(20)
    restarts.tend()
    clock.now += 60
    restarts.tend()
    assert child.running
    child.stop()


def test_one_that_answers_goes_on(clock: Clock, tmp_path: Path) -> None:
    child = Child(
        "well", [sys.executable, "-c", "import time; time.sleep(60)"], log=tmp_path / "log", directory=tmp_path
    )
    child.start()
    restarts = Restarts(lambda _: None, PATIENCE)
    restarts.add("gateway", child, lambda: clock.now - 10)
    for _ in range(10):
        clock.now += 100
        restarts.tend()
    assert child.running
    child.stop()

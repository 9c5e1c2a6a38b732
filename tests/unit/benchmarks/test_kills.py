"""The kill loop: whom it kills, and when."""

import signal
from typing import Any

import pytest

from benchmarks import kills
from benchmarks.kills import COMMANDS, VICTIMS, _kill_along


class Victim:
    """Stands in for a child process."""

    def __init__(self, log: list[tuple[str, str]], name: str) -> None:
        self.log, self.name, self.running = log, name, True

    def send(self, number: int) -> None:
        assert number == signal.SIGKILL
        self.log.append(("kill", self.name))
        self.running = False

    def wait(self, _seconds: float) -> bool:
        return True

    def start(self) -> None:
        self.log.append(("start", self.name))
        self.running = True


@pytest.fixture
def log() -> list[tuple[str, str]]:
    return []


def children(log: list[tuple[str, str]], *names: str) -> Any:
    return {name: Victim(log, name) for name in names}


def test_every_kind_of_process_is_among_the_victims() -> None:
    assert set(VICTIMS) == set(COMMANDS)


def test_victims_take_turns_and_are_started_again(log: list[tuple[str, str]]) -> None:
    killed = _kill_along(children(log, "ingest-1", "gpu-1"), ("ingest-1", "gpu-1"), 3, lambda: 1.0)
    assert killed == {"ingest": 2, "gpu": 1}
    assert log == [(what, name) for name in ("ingest-1", "gpu-1", "ingest-1") for what in ("kill", "start")]


def test_kills_are_spread_over_the_work(log: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kills.time, "sleep", lambda _: None)
    steps = iter(range(10_000))
    at: list[float] = []
    seen = 0.0

    def progress() -> float:
        nonlocal seen
        seen = next(steps) / 1000
        return seen

    class Timed(Victim):
        def send(self, number: int) -> None:
            at.append(seen)

    _kill_along({"w": Timed(log, "w")}, ("w",), 9, progress)  # type: ignore[dict-item]
    assert len(at) == 9
    assert all(number / 10 <= moment <= (number + 1) / 10 + 0.01 for number, moment in enumerate(at))


def test_what_ended_by_itself_is_started_again_meanwhile(
    log: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kills.time, "sleep", lambda _: None)
    both = children(log, "a", "b")
    both["b"].running = False
    done = iter([0.0, 1.0])
    _kill_along(both, ("a",), 1, lambda: next(done))
    assert log[0] == ("start", "b")

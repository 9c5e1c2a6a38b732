"""Following a training run on the terminal: its loss, its held-out loss, its speed, and when it will be done."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

from xraygpt import show
from xraygpt.client import Gateway
from xraygpt.durations import seconds_words
from xraygpt.interrupted import goes_on

RUN_ENDED = frozenset({"done", "dead", "cancelled"})
POLL_SECONDS = 1.0
SHORT = 12  # letters of an id in a table


class Pace:
    """How long a run still takes, by the steps that were seen."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first: tuple[float, int] | None = None

    def left(self, step: int, steps: int) -> float | None:
        """Seconds until the last step; None until two different steps were seen."""
        now = self._clock()
        if self._first is None or step < self._first[1]:
            self._first = (now, step)
        began, first = self._first
        return (now - began) / (step - first) * (steps - step) if step > first and now > began else None


def words(run: Mapping[str, Any], left: float | None = None) -> str:
    """A run in one line: state, losses, speed, time left, and what it waits for or why it failed."""
    parts = [str(run["state"])]
    if run.get("paused_at") and run["state"] == "running":
        parts.append("writes a checkpoint and pauses")
    if run.get("waits_for"):
        parts.append(f"waits for a {run['waits_for']}")
    for name, label in (("loss", "loss"), ("held_out", "held out"), ("swapped", "swapped")):
        if run.get(name) is not None:
            parts.append(f"{label} {run[name]:.4f}")
    if run.get("samples_per_s") and run["state"] == "running":
        parts.append(f"{run['samples_per_s']:.1f} samples/s")
    if left is not None and run["state"] == "running":
        parts.append(f"{seconds_words(left)} left")
    pairs = run.get("phases")
    if pairs and run["state"] in ("preparing", "encoding"):
        parts.append(f"{pairs['prepared']} prepared, {pairs['dropped']} dropped, {pairs['encoded']} encoded")
        parts.append(f"of {pairs['planned']} pairs")
    parts += [run[name] for name in ("failure_says", "problem") if run.get(name)]
    if run["state"] == "dead" and run.get("run_id") and (run.get("failure_says") or run.get("problem")):
        file = "log.txt" if run.get("failure_says") else "problems.json"
        parts.append(f"see `xraygpt runs report {run['run_id'][-SHORT:]} --file {file}`")
    return ", ".join(parts)


def follow_run(client: Gateway, run_id: str, timeout: float | None) -> dict[str, Any]:
    """The run, once it has ended or the time is up. Ctrl-C ends the command, not the run, with exit code 130."""
    deadline = None if timeout is None else time.monotonic() + timeout
    run: dict[str, Any] = {}
    pace = Pace()
    watch = f"not waiting any longer; the run goes on: `xraygpt runs watch {run_id[-SHORT:]}` follows it again"
    with goes_on(lambda: watch), show.ProgressLine() as progress:
        while True:
            run = client.get(f"/v1/training-runs/{run_id}")
            step, steps = run["step"] or 0, run["steps"] or 0
            progress.update(step, steps, words(run, pace.left(step, steps)))
            if run["state"] in RUN_ENDED or (deadline is not None and time.monotonic() > deadline):
                break
            time.sleep(POLL_SECONDS)
    return run


@contextmanager
def shown(file: Path) -> Iterator[None]:
    """Show the last point of a ``progress.jsonl`` while the block runs, as :func:`follow_run` shows a run's."""
    ended = Event()
    begin = file.stat().st_size if file.exists() else 0
    thread = Thread(target=_show, args=(file, begin, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _show(file: Path, begin: int, ended: Event) -> None:
    run: dict[str, Any] = {"state": "running", "step": 0, "steps": 0}
    pace = Pace()
    with show.ProgressLine() as progress:
        last = False
        while not last:
            last = ended.wait(POLL_SECONDS)
            begin, points = _read(file, begin)
            for point in points:
                run |= {name: value for name, value in point.items() if value is not None}
            if points:
                progress.update(run["step"], run["steps"], words(run, pace.left(run["step"], run["steps"])))


def _read(file: Path, begin: int) -> tuple[int, list[dict[str, Any]]]:
    if not file.exists():
        return begin, []
    with file.open("rb") as lines:
        lines.seek(begin)
        whole = lines.read().rpartition(b"\n")[0]
    points = []
    for line in whole.splitlines():
        with suppress(ValueError):
            point = json.loads(line)
            if isinstance(point, dict) and type(point.get("step")) is int:
                points.append(point)
    return begin + (len(whole) + 1 if whole else 0), points

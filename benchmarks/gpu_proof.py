"""Everything that only a CUDA GPU can prove, unattended and within twelve minutes: ``make gpu-proof``.

Each step is a process of its own with a budget of seconds. A step that fails, or is killed at the end of its budget, is
recorded, and the next one begins. One JSON document holds the figures; it is rewritten after each step, so an
interrupted run has those of its finished steps. The exit code is 0 if every step passed, 1 if one did not, and 2 if
there is no GPU. int8 weights are for CPUs, so a GPU's eight-bit weights are fp8.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.figures import say

Figures = dict[str, Any]
NO_GPU = "gpu-proof: this machine has no CUDA GPU that torch can use, so there is nothing to prove here"
_ROOT = Path(__file__).parents[1]
PROBE_SECONDS = 60.0
_MESSAGE_LETTERS = 500


def last_line(output: str) -> Figures:
    """The JSON document on a step's last line."""
    found: Figures = json.loads(output.strip().splitlines()[-1])
    return found


def count_tests(output: str) -> Figures:
    """pytest's summary.

    Raises:
        ValueError: no test passed; a test that this GPU cannot run is skipped.
    """
    found = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|skipped|errors?)\b", output)}
    if not found.get("passed"):
        raise ValueError("no test passed")
    return found


@dataclass(frozen=True)
class Step:
    """One thing to prove.

    Attributes:
        seconds: its budget; a process that runs longer is killed.
        gibibytes: GPU memory it needs; on a smaller GPU it is skipped.
        capability: compute capability it needs.
    """

    name: str
    seconds: float
    command: Sequence[str]
    figures: Callable[[str], Figures] = last_line
    gibibytes: float = 0.0
    capability: tuple[int, int] = (0, 0)

    def missing(self, machine: Figures) -> str | None:
        """What this GPU lacks for it."""
        if machine["gibibytes"] < self.gibibytes:
            return f"needs {self.gibibytes:g} GiB of GPU memory"
        if tuple(machine["capability"]) < self.capability:
            return f"needs compute capability {self.capability[0]}.{self.capability[1]}"
        return None


@dataclass
class Outcome:
    """What became of a step: ``passed``, ``failed``, ``timed out`` or ``skipped``."""

    name: str
    status: str
    budget_seconds: float
    seconds: float = 0.0
    figures: Figures = field(default_factory=dict)
    message: str | None = None


def _module(name: str, *arguments: object) -> tuple[str, ...]:
    return (sys.executable, "-m", name, *map(str, arguments))


def _seven_billion(name: str, rows: int, studies: int, *options: object, **needs: Any) -> Step:
    command = _module("benchmarks.gpu_steps", "speed", "--rows", rows, "--studies", studies, *options)
    return Step(f"llama-7b.{name}", 60, command, **{"gibibytes": 30.0} | needs)


# The deciding steps come first. The tests need neither the services nor the settings of the other tests.
PLAN = (
    Step(
        "tests",
        200,
        _module("pytest", "-q", "-m", "gpu", "--noconftest", "-c", os.devnull, "--rootdir", ".", "tests/gpu"),
        count_tests,
    ),
    Step("greedy-cpu-and-gpu", 90, _module("benchmarks.gpu_steps", "greedy")),
    _seven_billion("bfloat16.rows128", 128, 384),
    _seven_billion("bfloat16.rows128.graphs", 128, 384, "--graphs"),
    _seven_billion("fp8.rows128.graphs", 128, 384, "--graphs", "--weights", "fp8", capability=(8, 9)),
    _seven_billion("bfloat16.rows512.graphs", 512, 1024, "--graphs", gibibytes=100.0),
    _seven_billion("llava.rows64", 64, 128, "--image-tokens", 1369, "--most-images", 3, gibibytes=75.0),
    _seven_billion("bfloat16.rows1.graphs", 1, 3, "--graphs"),
)


def run_step(step: Step) -> Outcome:
    """Run one step to its end, or to the end of its budget."""
    started = time.monotonic()
    child = subprocess.Popen(
        step.command, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        output, errors = child.communicate(timeout=step.seconds)
    except subprocess.TimeoutExpired:
        return Outcome(step.name, "timed out", step.seconds, time.monotonic() - started)
    finally:
        if child.returncode is None:
            os.killpg(child.pid, signal.SIGKILL)  # its own children too
            child.communicate()
    outcome = Outcome(step.name, "passed", step.seconds, time.monotonic() - started)
    if child.returncode != 0:
        outcome.status, outcome.message = "failed", _last_words(errors or output)
        return outcome
    try:
        outcome.figures = step.figures(output)
    except (ValueError, IndexError) as error:
        outcome.status, outcome.message = "failed", f"no figures: {error}"
    return outcome


def _last_words(output: str) -> str:
    return (output.strip().splitlines() or ["no message"])[-1][:_MESSAGE_LETTERS]


def prove(plan: Sequence[Step], machine: Figures, target: Path) -> list[Outcome]:
    """Run the steps in turn, and write the document after each."""
    started, outcomes = time.monotonic(), []
    for step in plan:
        if missing := step.missing(machine):
            outcome = Outcome(step.name, "skipped", step.seconds, message=missing)
        else:
            say(f"{step.name}: at most {step.seconds:g} s")
            outcome = run_step(step)
        say(
            f"{step.name}: {outcome.status} {json.dumps(outcome.figures) if outcome.figures else outcome.message or ''}"
        )
        outcomes.append(outcome)
        document = {
            "machine": machine,
            "seconds": round(time.monotonic() - started, 1),
            "passed": len(outcomes) == len(plan) and _passed(outcomes),
            "steps": [vars(one) | {"seconds": round(one.seconds, 1)} for one in outcomes],
        }
        target.write_text(json.dumps(document, indent=2) + "\n")
    return outcomes


def _passed(outcomes: Sequence[Outcome]) -> bool:
    """Did every step pass that this GPU is able to run?"""
    return all(one.status in ("passed", "skipped") for one in outcomes)


def find_gpu() -> Figures | None:
    """Name, memory and capability of the GPU; None without one. Asked in a child, so that this process holds none."""
    found = run_step(Step("machine", PROBE_SECONDS, _module("benchmarks.gpu_steps", "machine")))
    return found.figures or None


def main() -> int:
    """Prove everything, and say where the figures are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("build/gpu-proof.json"), help="the JSON document")
    asked = parser.parse_args()
    machine = find_gpu()
    if machine is None:
        say(NO_GPU)
        return 2
    asked.output.parent.mkdir(parents=True, exist_ok=True)
    outcomes = prove(PLAN, machine, asked.output)
    print(asked.output.resolve())
    return 0 if _passed(outcomes) else 1


if __name__ == "__main__":
    raise SystemExit(main())

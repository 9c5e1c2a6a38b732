"""Training: samples a second of our loop beside transformers' ``Trainer`` and beside XrayGPT's way, on the same work.

Each way runs alone in a process of its own: the same cached features, texts, batches, frozen LLaMA of random weights
and optimizer, float32 on the CPU; the losses of all steps must agree. ``--full`` adds the demo's language model,
evenly long texts and the 49 image tokens of a Swin map.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.figures import Row, arguments, report, rows_of, say
from benchmarks.training_work import TrainingResult

_SOURCE = Path(__file__).parents[1]
_SECONDS = 600  # for one way
_LONG = {"long", "map", "demo"}
_SAME = 1e-3  # of a loss of about ten: ways that differ by more do not do the same


def run(way: str, *options: object) -> TrainingResult | str:
    """One way in a process of its own; its result, or why there is none."""
    say(f"{way} {' '.join(map(str, options))}")
    command = [sys.executable, "-m", "benchmarks.training_ways", way, *map(str, options)]
    quiet = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}  # threads that wait for others burn no time
    try:
        done = subprocess.run(
            command, cwd=_SOURCE, env=quiet, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"took longer than {_SECONDS} s"
    if done.returncode != 0:
        return (done.stderr.strip().splitlines() or ["no message"])[-1]
    given: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    made = TrainingResult(**given)
    say(f"  {made.samples / made.seconds:.3f} samples/s, {made.core_seconds:.1f} core-s, {made.peak_mib:.0f} MiB")
    return made


def compared(suffix: str, *options: object) -> list[Row]:
    """All ways on one work, and ours in parts."""
    ours = run("ours", *options)
    if isinstance(ours, str):
        return [Row(f"training{suffix}", None, ours)]
    others = {
        "trainer": run("trainer", *options),
        "trainer_by_length": run("trainer", "--by-length", *options),
        "xraygpt": run("xraygpt", *options),
    }
    rows = [row for name, other in others.items() for row in _beside(f"{name}{suffix}", ours, other)]
    ways = {"ours": ours} | {name: other for name, other in others.items() if not isinstance(other, str)}
    return rows + [row for name, way in ways.items() for row in _parts(f"{name}{suffix}", way)]


def _beside(name: str, ours: TrainingResult, other: TrainingResult | str) -> list[Row]:
    if isinstance(other, str):
        return [Row(f"training_vs_{name}", None, f"null: {other}")]
    # grouped by length, it takes other batches of the same samples
    if "by_length" not in name and max(abs(a - b) for a, b in zip(ours.losses, other.losses, strict=True)) > _SAME:
        return [Row(f"training_vs_{name}", None, "null: the losses differ")]
    return [
        Row(f"training_vs_{name}", ours.samples / ours.seconds, "samples/s", other.samples / other.seconds),
        Row(
            f"training_vs_{name}.per_core_second",
            ours.samples / ours.core_seconds,
            "samples/core-s",
            other.samples / other.core_seconds,
        ),
        Row(f"training_vs_{name}.peak_memory", ours.peak_mib, "MiB", other.peak_mib),
    ]


def _parts(name: str, way: TrainingResult) -> list[Row]:
    total = sum(way.parts.values())
    return [
        Row(f"training.{name}.{part}", 1000 * seconds / way.samples, f"ms/sample, {100 * seconds / total:.0f} %")
        for part, seconds in way.parts.items()
    ]


def main() -> int:
    """Measure what was asked for."""
    asked = arguments(__doc__)
    parts = {
        "paper": lambda: compared(""),
        "long": lambda: compared(".long", "--lengths", "long"),
        "map": lambda: compared(".map", "--positions", 49),
        "demo": lambda: compared(".demo", "--shape", "demo", "--batch", 16, "--steps", 3),
    }
    report(rows_of(parts, asked, _LONG), as_json=asked.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

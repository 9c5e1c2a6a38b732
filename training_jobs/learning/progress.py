"""What a run says while it runs: its file of progress, and whoever else listens; and what it is told: to stop."""

import json
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol


class Observer(Protocol):
    """Sees every step; TensorBoard's files and the report's curves are made of it."""

    def note(self, step: int, values: Mapping[str, float]) -> None:
        """``values``: loss, lr, samples_per_s, grad_norm, tokens, skipped."""


class TrainingProgress:
    """``progress.jsonl``: one object a line, flushed at each."""

    def __init__(self, out: Path) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self._file = (out / "progress.jsonl").open("a")

    def note(self, step: int, steps: int, values: Mapping[str, float]) -> None:
        """One line."""
        rounded = {name: float(f"{value:.6g}") for name, value in values.items()}
        self._file.write(json.dumps({"step": step, "steps": steps} | rounded) + "\n")
        self._file.flush()

    def __enter__(self) -> "TrainingProgress":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


class StopRequest:
    """Remembers SIGTERM while it is installed."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> "StopRequest":
        self._before = signal.signal(signal.SIGTERM, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGTERM, self._before)

    def _ask(self, *_: object) -> None:
        self.asked = True

"""The loop of every gradient job: warm-up, clipping, progress lines, checkpoints, SIGTERM, exact resume."""

import json
import math
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from training_jobs.learning.checkpoint import load_checkpoint, save_checkpoint

STOPPED = 75  # exit code (EX_TEMPFAIL): a checkpoint was written; start the job with --resume
_CLIP = 1.0


class Stopped(Exception):
    """SIGTERM came; the checkpoint is written. Not an error: the job was asked to end."""


@dataclass(frozen=True)
class TrainingPlan:
    """How long, how fast, and where to write."""

    job: str
    out: Path
    steps: int
    batch: int
    lr: float
    warmup: int
    checkpoint_every: int
    resume: Path | None = None


class TrainingProgress:
    """``progress.jsonl``: one object a line, flushed at each."""

    def __init__(self, out: Path) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self._file = (out / "progress.jsonl").open("a")

    def note(self, step: int, steps: int, loss: float, samples_per_s: float, **more: Any) -> None:
        """One line."""
        line = {"step": step, "steps": steps, "loss": round(loss, 5), "samples_per_s": round(samples_per_s, 2), **more}
        self._file.write(json.dumps(line) + "\n")
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


def learning_rate(step: int, plan: TrainingPlan) -> float:
    """Linear warm-up, then a cosine to a tenth."""
    if step < plan.warmup:
        return plan.lr * (step + 1) / plan.warmup
    done = (step - plan.warmup) / max(plan.steps - plan.warmup, 1)
    return plan.lr * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))


def train(plan: TrainingPlan, module: nn.Module, loss_of: Callable[[int], Tensor]) -> float:
    """Run the steps; ``loss_of(step)`` draws its batch from the step alone, so that a resumed run sees the same.

    Returns the last loss. Raises Stopped after SIGTERM (checkpoint written), TrainingError for a misfit checkpoint.
    """
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=plan.lr, weight_decay=0.01)
    first = load_checkpoint(plan.resume, module, optimizer, plan.job) if plan.resume else 0
    loss = math.nan
    with StopRequest() as stop, TrainingProgress(plan.out) as progress:
        for step in range(first, plan.steps):
            started = time.monotonic()
            loss = _step(optimizer, parameters, learning_rate(step, plan), loss_of(step))
            progress.note(step + 1, plan.steps, loss, plan.batch / (time.monotonic() - started))
            due = (step + 1) % plan.checkpoint_every == 0 and step + 1 < plan.steps
            if due or stop.asked:
                save_checkpoint(plan.out, step + 1, module, optimizer, plan.job)
            if stop.asked:
                raise Stopped
    return loss


def _step(optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter], lr: float, loss: Tensor) -> float:
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
    nn.utils.clip_grad_norm_(parameters, _CLIP)
    optimizer.step()
    return float(loss.detach())

"""The loop: SIGTERM, checkpoints at their time."""

import os
import signal
from pathlib import Path

import pytest
import torch
from torch import nn

from training_jobs.learning.checkpoint import latest_checkpoint
from training_jobs.learning.loop import Loss, Stopped, TrainingPlan, train


def plan(out: Path, **changes: object) -> TrainingPlan:
    settings = {"job": "j", "out": out, "steps": 10, "batch": 1, "lr": 1.0, "warmup": 2, "checkpoint_every": 100}
    return TrainingPlan(**(settings | changes))  # type: ignore[arg-type]


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = nn.Linear(3, 1)
    data = torch.randn(16, 3)

    def loss_of(_step: int) -> list[Loss]:
        return [Loss((module(data) - data.sum(1, keepdim=True)).pow(2).sum(), 16)]

    first = float(loss_of(0)[0].mean.detach())
    assert train(plan(tmp_path, steps=40, lr=0.1), module, loss_of) < first / 2


def test_sigterm_leaves_a_checkpoint_and_stops(tmp_path: Path) -> None:
    module = nn.Linear(1, 1)
    before = signal.getsignal(signal.SIGTERM)

    def loss_of(step: int) -> list[Loss]:
        if step == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return [Loss(module(torch.ones(1, 1)).sum(), 1)]

    with pytest.raises(Stopped):
        train(plan(tmp_path), module, loss_of)
    checkpoint = latest_checkpoint(tmp_path)
    assert checkpoint is not None
    assert checkpoint.name == "step-000004"
    assert signal.getsignal(signal.SIGTERM) is before


def test_checkpoints_come_at_their_interval_but_not_at_the_end(tmp_path: Path) -> None:
    module = nn.Linear(1, 1)
    train(plan(tmp_path, steps=6, checkpoint_every=2), module, lambda _step: [Loss(module(torch.ones(1, 1)).sum(), 1)])
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["step-000002", "step-000004"]


def test_no_steps_leave_the_weights_alone(tmp_path: Path) -> None:
    module = nn.Linear(1, 1)
    before = module.weight.clone()
    train(plan(tmp_path, steps=0), module, lambda _step: [Loss(module(torch.ones(1, 1)).sum(), 1)])
    assert torch.equal(module.weight, before)

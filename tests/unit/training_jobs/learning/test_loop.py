"""The loop: the learning rate's course, and SIGTERM."""

import os
import signal
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from training_jobs.learning.checkpoint import latest_checkpoint
from training_jobs.learning.loop import Stopped, TrainingPlan, learning_rate, train


def plan(out: Path, **changes: object) -> TrainingPlan:
    settings = {"job": "j", "out": out, "steps": 10, "batch": 1, "lr": 1.0, "warmup": 2, "checkpoint_every": 100}
    return TrainingPlan(**(settings | changes))  # type: ignore[arg-type]


def test_the_learning_rate_rises_then_falls_to_a_tenth(tmp_path: Path) -> None:
    rates = [learning_rate(step, plan(tmp_path, steps=20, warmup=4)) for step in range(21)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[20] == pytest.approx(0.1)


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = nn.Linear(3, 1)
    data = torch.randn(16, 3)

    def loss_of(_step: int) -> Tensor:
        out: Tensor = (module(data) - data.sum(1, keepdim=True)).pow(2).mean()
        return out

    first = float(loss_of(0).detach())
    assert train(plan(tmp_path, steps=40, lr=0.1), module, loss_of) < first / 2


def test_sigterm_leaves_a_checkpoint_and_stops(tmp_path: Path) -> None:
    module = nn.Linear(1, 1)
    before = signal.getsignal(signal.SIGTERM)

    def loss_of(step: int) -> Tensor:
        if step == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        out: Tensor = module(torch.ones(1, 1)).sum()
        return out

    with pytest.raises(Stopped):
        train(plan(tmp_path), module, loss_of)
    checkpoint = latest_checkpoint(tmp_path)
    assert checkpoint is not None
    assert checkpoint.name == "step-000004"
    assert signal.getsignal(signal.SIGTERM) is before


def test_checkpoints_come_at_their_interval_but_not_at_the_end(tmp_path: Path) -> None:
    module = nn.Linear(1, 1)
    train(plan(tmp_path, steps=6, checkpoint_every=2), module, lambda _step: module(torch.ones(1, 1)).sum())
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["step-000002", "step-000004"]


def test_no_steps_leave_the_weights_alone(tmp_path: Path) -> None:
    module = nn.Linear(1, 1)
    before = module.weight.clone()
    train(plan(tmp_path, steps=0), module, lambda _step: module(torch.ones(1, 1)).sum())
    assert torch.equal(module.weight, before)

"""Checkpoints: complete or absent, and a resumed run ends with the very same weights."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from training_jobs.learning.checkpoint import RunState, latest_checkpoint, load_checkpoint, save_checkpoint
from training_jobs.learning.files import complete_directory
from training_jobs.learning.loop import Loss, TrainingPlan, train
from xraygpt_core.errors import TrainingError


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 1))


def plan(out: Path, *, steps: int = 6, resume: Path | None = None) -> TrainingPlan:
    return TrainingPlan("job", out, steps, 2, 0.05, 2, 2, resume)


class Noisy:
    """A loss that depends on the step, on dropout, and on numpy's and Python's random numbers."""

    def __init__(self, module: nn.Module, die_at: int | None = None) -> None:
        self.module, self.die_at = module, die_at

    def __call__(self, step: int) -> list[Loss]:
        if step == self.die_at:
            raise KeyboardInterrupt
        data = torch.full((3, 4), float(step)) + np.random.rand() + random.random()
        return [Loss(self.module(data).pow(2).sum(), 3)]


def seed_all() -> None:
    torch.manual_seed(7)
    np.random.seed(7)
    random.seed(7)


def test_a_run_killed_and_resumed_ends_with_equal_weights(tmp_path: Path) -> None:
    whole, parts, again = net(), net(), net()
    seed_all()
    train(plan(tmp_path / "whole"), whole.train(), Noisy(whole))
    seed_all()
    with pytest.raises(KeyboardInterrupt):
        train(plan(tmp_path / "parts"), parts.train(), Noisy(parts, die_at=5))
    checkpoint = latest_checkpoint(tmp_path / "parts")
    assert checkpoint is not None
    assert checkpoint.name == "step-000004"
    torch.manual_seed(99)
    train(plan(tmp_path / "parts", resume=checkpoint), again.train(), Noisy(again))
    for one, two in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, two)


def test_the_optimizer_is_part_of_the_checkpoint(tmp_path: Path) -> None:
    module = net()
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.1)
    module(torch.ones(1, 4)).sum().backward()
    optimizer.step()
    path = save_checkpoint(tmp_path, RunState(module, optimizer, "job", step=1))
    other = net()
    fresh = torch.optim.AdamW(other.parameters(), lr=0.1)
    state = RunState(other, fresh, "job")
    load_checkpoint(path, state)
    assert state.step == 1
    for one, two in zip(optimizer.state_dict()["state"].values(), fresh.state_dict()["state"].values(), strict=True):
        assert torch.equal(one["exp_avg"], two["exp_avg"])


def test_frozen_weights_are_not_stored(tmp_path: Path) -> None:
    module = net()
    for parameter in module[0].parameters():  # type: ignore[index]
        parameter.requires_grad = False
    optimizer = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad])
    path = save_checkpoint(tmp_path, RunState(module, optimizer, "job", step=1))
    from safetensors.torch import load_file

    assert sorted(load_file(path / "weights.safetensors")) == ["2.bias", "2.weight"]


def test_a_checkpoint_of_another_job_is_refused(tmp_path: Path) -> None:
    module = net()
    optimizer = torch.optim.AdamW(module.parameters())
    path = save_checkpoint(tmp_path, RunState(module, optimizer, "stage1", step=1))
    with pytest.raises(TrainingError, match="belongs to another run"):
        load_checkpoint(path, RunState(module, optimizer, "stage2"))


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    module, other = net(), nn.Linear(2, 2)
    path = save_checkpoint(tmp_path, RunState(module, torch.optim.AdamW(module.parameters()), "job"))
    with pytest.raises(TrainingError, match="other weights"):
        load_checkpoint(path, RunState(other, torch.optim.AdamW(other.parameters()), "job"))


def test_a_directory_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    module = net()
    with pytest.raises(TrainingError, match="not a readable checkpoint"):
        load_checkpoint(tmp_path, RunState(module, torch.optim.AdamW(module.parameters()), "job"))


def test_a_directory_half_written_never_has_its_name(tmp_path: Path) -> None:
    def fail_half_way() -> None:
        with complete_directory(tmp_path / "step-000001") as work:
            (work / "weights").write_text("half")
            raise RuntimeError("power")

    with pytest.raises(RuntimeError, match="power"):
        fail_half_way()
    assert list(tmp_path.iterdir()) == []


def test_a_complete_directory_replaces_the_former_one(tmp_path: Path) -> None:
    for text in ("old", "new"):
        with complete_directory(tmp_path / "result") as work:
            (work / text).write_text(text)
    assert [path.name for path in (tmp_path / "result").iterdir()] == ["new"]


def test_the_latest_checkpoint_is_that_of_the_highest_step(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path) is None
    for step in (9, 100, 20):
        (tmp_path / "checkpoints" / f"step-{step:06d}").mkdir(parents=True)
    (tmp_path / "checkpoints" / ".step-000200.tmp").mkdir()
    latest = latest_checkpoint(tmp_path)
    assert latest is not None
    assert latest.name == "step-000100"


def test_progress_is_one_json_object_a_line(tmp_path: Path) -> None:
    module = net()
    seed_all()
    train(plan(tmp_path, steps=3), module.train(), Noisy(module))
    lines = [json.loads(line) for line in (tmp_path / "progress.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert all(line["steps"] == 3 and line["loss"] >= 0 and line["samples_per_s"] > 0 for line in lines)

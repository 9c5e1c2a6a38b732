"""Checkpoints: complete or absent, and a resumed run ends with the very same weights."""

import json
import random
import resource
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from training_jobs.learning.checkpoint import RunState, latest_checkpoint, load_checkpoint, save_checkpoint
from training_jobs.learning.loop import Loss, TrainingPlan, train
from training_jobs.learning.outcomes import MachineFailed, machine_failures
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


def test_what_was_drawn_before_a_run_does_not_change_it(tmp_path: Path) -> None:
    one, two = net(), net()
    train(plan(tmp_path / "one"), one.train(), Noisy(one))
    torch.rand(7), np.random.rand(7), random.random()
    train(plan(tmp_path / "two"), two.train(), Noisy(two))
    for first, second in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(first, second)


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


def test_the_latest_checkpoint_is_that_of_the_highest_step(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path) is None
    for step in (9, 999_999, 1_000_000, 20):
        (tmp_path / "checkpoints" / f"step-{step:06d}").mkdir(parents=True)
    (tmp_path / "checkpoints" / ".step-000200.tmp").mkdir()
    latest = latest_checkpoint(tmp_path)
    assert latest is not None
    assert latest.name == "step-1000000"


def test_progress_is_one_json_object_a_line(tmp_path: Path) -> None:
    module = net()
    seed_all()
    train(plan(tmp_path, steps=3), module.train(), Noisy(module))
    lines = [json.loads(line) for line in (tmp_path / "progress.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert all(line["steps"] == 3 and line["loss"] >= 0 and line["samples_per_s"] > 0 for line in lines)


def saved(out: Path, **changes: object) -> Path:
    module = net()
    settings = {"settings": {"lr": 0.1, "workers": 1, "text": {"max_tokens": 160}}, "data": "a" * 64} | changes
    return save_checkpoint(out, RunState(module, torch.optim.AdamW(module.parameters()), "job", **settings))  # type: ignore[arg-type]


def loaded(path: Path, **changes: object) -> RunState:
    module = net()
    settings = {"settings": {"lr": 0.1, "workers": 1, "text": {"max_tokens": 160}}, "data": "a" * 64} | changes
    state = RunState(module, torch.optim.AdamW(module.parameters()), "job", **settings)  # type: ignore[arg-type]
    load_checkpoint(path, state)
    return state


def test_counts_and_the_last_loss_are_part_of_the_checkpoint(tmp_path: Path) -> None:
    state = loaded(saved(tmp_path, step=7, samples=70, skipped=1, loss=0.5))
    assert (state.step, state.samples, state.skipped, state.loss) == (7, 70, 1, 0.5)


def test_a_checkpoint_of_other_data_is_refused_and_both_are_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"other data \(aaaaaaaaaaaa, not bbbbbbbbbbbb\)"):
        loaded(saved(tmp_path), data="b" * 64)


def test_a_checkpoint_of_other_settings_is_refused_and_both_are_named(tmp_path: Path) -> None:
    other = {"lr": 0.2, "workers": 1, "text": {"max_tokens": 32}}
    with pytest.raises(TrainingError, match=r"lr: 0.1, now 0.2; text.max_tokens: 160, now 32"):
        loaded(saved(tmp_path), settings=other)


def test_what_changes_nothing_may_change(tmp_path: Path) -> None:
    loaded(saved(tmp_path), settings={"lr": 0.1, "workers": 9, "text": {"max_tokens": 160}})


@pytest.mark.parametrize("name", ["weights.safetensors", "state.pt", "meta.json"])
@pytest.mark.parametrize("content", [b"", b"{}", b"\x00" * 64])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    path = saved(tmp_path)
    (path / name).write_bytes(content)
    with pytest.raises(TrainingError, match="not a readable checkpoint"):
        loaded(path)


def test_only_the_newest_two_are_kept(tmp_path: Path) -> None:
    for step in (2, 4, 6, 8):
        saved(tmp_path, step=step)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["step-000006", "step-000008"]


def test_an_old_checkpoint_vanishes_at_once_and_not_file_by_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody may be copying it; and what a kill left of one that was being removed goes with the next."""
    with monkeypatch.context() as killed:
        killed.setattr("shutil.rmtree", lambda *_, **_more: None)
        for step in (2, 4, 6):
            saved(tmp_path, step=step)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == [".step-000002.old", "step-000004", "step-000006"]
    saved(tmp_path, step=8)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["step-000006", "step-000008"]


def test_buffers_are_kept_and_tied_weights_once(tmp_path: Path) -> None:
    module = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    module[2].weight = module[1].weight  # type: ignore[union-attr]
    module(torch.randn(8, 2))
    path = save_checkpoint(tmp_path, RunState(module, torch.optim.AdamW(module.parameters()), "job"))
    fresh = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    fresh[2].weight = fresh[1].weight  # type: ignore[union-attr]
    load_checkpoint(path, RunState(fresh, torch.optim.AdamW(fresh.parameters()), "job"))
    for name, value in module.state_dict().items():
        assert torch.equal(value, fresh.state_dict()[name]), name


def test_the_gradient_scaler_is_part_of_the_checkpoint(tmp_path: Path) -> None:
    module = net()
    optimizer = torch.optim.AdamW(module.parameters())
    path = save_checkpoint(tmp_path, RunState(module, optimizer, "job", torch.amp.GradScaler("cpu", init_scale=8.0)))
    fresh = torch.amp.GradScaler("cpu")
    load_checkpoint(path, RunState(module, optimizer, "job", fresh))
    assert fresh.get_scale() == 8.0


def test_a_disk_that_fills_up_leaves_the_last_good_checkpoint(tmp_path: Path) -> None:
    """Files may not grow beyond some kilobytes: the operating system itself refuses, as a full disk does."""
    module = nn.Linear(100, 100)
    state = RunState(module, torch.optim.AdamW(module.parameters()), "job", step=1)
    save_checkpoint(tmp_path, state)
    state.step = 2
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(MachineFailed, match="larger than"), machine_failures():
            save_checkpoint(tmp_path, state)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-000001"]


def test_optimizer_states_too_large_for_the_disk_are_a_fault_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch's own writer wraps what the operating system says."""
    module = nn.Linear(100, 100)
    optimizer = torch.optim.AdamW(module.parameters())
    module(torch.ones(1, 100)).sum().backward()
    optimizer.step()
    monkeypatch.setattr("training_jobs.learning.checkpoint.save_file", lambda *_: None)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(MachineFailed), machine_failures():
            save_checkpoint(tmp_path, RunState(module, optimizer, "job", step=1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert latest_checkpoint(tmp_path) is None

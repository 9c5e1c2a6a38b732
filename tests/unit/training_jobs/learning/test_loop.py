"""The loop: sums and not means, precisions, SIGTERM, checkpoints at their time, and steps that must not be taken."""

import json
import math
import os
import signal
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from training_jobs.learning.checkpoint import latest_checkpoint
from training_jobs.learning.loop import Loss, MachineFailed, Stopped, TrainingPlan, train
from xraygpt_core.errors import TrainingError


def plan(out: Path, **changes: object) -> TrainingPlan:
    settings = {"job": "j", "out": out, "steps": 10, "batch": 1, "lr": 1.0, "warmup": 2, "checkpoint_every": 100}
    return TrainingPlan(**(settings | changes))  # type: ignore[arg-type]


def one(module: nn.Module) -> Callable[[int], list[Loss]]:
    return lambda _step: [Loss(module(torch.ones(1, 1)).sum(), 1, ("a",))]


def fitting(module: nn.Module, sizes: Iterable[int]) -> Callable[[int], Iterable[Loss]]:
    """Sixteen numbers to fit, in micro-batches of these sizes."""
    data = torch.randn(16, 3, generator=torch.Generator().manual_seed(1))
    return lambda _step: (
        Loss((module(part) - part.sum(1, keepdim=True)).pow(2).sum(), len(part)) for part in data.split(list(sizes))
    )


def linear() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(3, 1)


class Seen:
    def __init__(self) -> None:
        self.values: list[Mapping[str, float]] = []

    def note(self, step: int, values: Mapping[str, float]) -> None:
        assert step == len(self.values) + 1
        self.values.append(values)


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    seen, module = Seen(), linear()
    last = train(plan(tmp_path, steps=40, lr=0.1), module, fitting(module, [16]), observer=seen)
    assert last < seen.values[0]["loss"] / 2
    assert last == seen.values[-1]["loss"]
    assert set(seen.values[0]) == {"loss", "lr", "grad_norm", "samples_per_s", "tokens", "skipped"}


@pytest.mark.parametrize("sizes", [[8, 8], [1, 15], [4, 4, 4, 4]])
def test_micro_batches_do_not_change_the_weights(tmp_path: Path, sizes: list[int]) -> None:
    whole, parts = linear(), linear()
    train(plan(tmp_path / "whole", lr=0.1), whole, fitting(whole, [16]))
    train(plan(tmp_path / "parts", lr=0.1), parts, fitting(parts, sizes))
    torch.testing.assert_close(parts.weight, whole.weight, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_trains_and_keeps_weights_in_float32(tmp_path: Path, precision: str) -> None:
    module, dtypes, seen = linear(), [], Seen()
    data = torch.randn(16, 3)

    def losses_of(_step: int) -> Iterable[Loss]:
        out = module(data)
        dtypes.append(out.dtype)
        yield Loss((out.float() - data.sum(1, keepdim=True)).pow(2).sum(), 16)

    train(plan(tmp_path, steps=30, lr=0.1, precision=precision), module, losses_of, observer=seen)
    assert set(dtypes) == {getattr(torch, precision)}
    assert module.weight.dtype == torch.float32
    assert seen.values[-1]["loss"] < seen.values[0]["loss"] / 2


@pytest.mark.parametrize(("clip", "moved"), [(0.0, 50.0), (1.0, 1.0)])
def test_gradients_are_clipped_where_it_is_asked_for(tmp_path: Path, clip: float, moved: float) -> None:
    module, seen = nn.Linear(1, 1, bias=False), Seen()
    given = []
    module.weight.register_post_accumulate_grad_hook(lambda parameter: given.append(parameter))
    train(plan(tmp_path, steps=1, clip=clip), module, lambda _: [Loss(50 * module.weight.sum(), 1)], observer=seen)
    assert seen.values[0]["grad_norm"] == pytest.approx(50.0)
    assert float(given[0].grad) == pytest.approx(moved, rel=1e-4)


def test_sigterm_leaves_a_checkpoint_and_stops(tmp_path: Path) -> None:
    module = nn.Linear(1, 1)
    before = signal.getsignal(signal.SIGTERM)

    def losses_of(step: int) -> list[Loss]:
        if step == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return one(module)(step)

    with pytest.raises(Stopped):
        train(plan(tmp_path), module, losses_of)
    checkpoint = latest_checkpoint(tmp_path)
    assert checkpoint is not None
    assert checkpoint.name == "step-000004"
    assert signal.getsignal(signal.SIGTERM) is before


def test_sigterm_in_the_last_step_finishes_the_run(tmp_path: Path) -> None:
    module = nn.Linear(1, 1)

    def losses_of(step: int) -> list[Loss]:
        if step == 9:
            os.kill(os.getpid(), signal.SIGTERM)
        return one(module)(step)

    assert math.isfinite(train(plan(tmp_path), module, losses_of))


def test_checkpoints_come_at_their_interval_but_not_at_the_end(tmp_path: Path) -> None:
    module = nn.Linear(1, 1)
    train(plan(tmp_path, steps=6, checkpoint_every=2), module, one(module))
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["step-000002", "step-000004"]


def test_no_steps_leave_the_weights_alone(tmp_path: Path) -> None:
    module = nn.Linear(1, 1)
    before = module.weight.clone()
    train(plan(tmp_path, steps=0), module, one(module))
    assert torch.equal(module.weight, before)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_number_takes_no_step_and_names_its_samples(tmp_path: Path, bad: float) -> None:
    module, weights = linear(), []

    def losses_of(step: int) -> Iterable[Loss]:
        weights.append(module.weight.clone())
        yield Loss(module(torch.ones(1, 3)).sum(), 1, ("good",))
        yield Loss(module(torch.ones(1, 3)).sum() * (bad if step == 5 else 1), 1, ("pair-7",))

    with pytest.raises(TrainingError, match=r"the loss of step 6 .*step-000004.*pair-7") as raised:
        train(plan(tmp_path, checkpoint_every=2), module, losses_of)
    assert "good" not in str(raised.value)
    assert not isinstance(raised.value, MachineFailed)
    assert torch.equal(module.weight, weights[-1])
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["step-000002", "step-000004"]


def test_a_gradient_that_is_no_number_takes_no_step(tmp_path: Path) -> None:
    module = nn.Linear(1, 1, bias=False)
    before = module.weight.detach().clone()

    def losses_of(_step: int) -> list[Loss]:
        return [Loss((module.weight * 0).sqrt().sum(), 1, ("pair-9",))]

    with pytest.raises(TrainingError, match=r"the gradient of step 1 .*pair-9"):
        train(plan(tmp_path), module, losses_of)
    assert torch.equal(module.weight, before)


def test_a_step_without_any_label_is_an_error(tmp_path: Path) -> None:
    module = nn.Linear(1, 1)
    with pytest.raises(TrainingError, match="step 1 has no token to learn from"):
        train(plan(tmp_path), module, lambda _: [Loss(torch.zeros(()), 0, (), ("empty",))])


def losses_with_skips(module: nn.Module, skips: int) -> Callable[[int], list[Loss]]:
    """Ten samples a step; in the first steps one of them cannot be used."""
    ids = tuple(f"{number}" for number in range(9))

    def losses_of(step: int) -> list[Loss]:
        return [Loss(module(torch.ones(1, 1)).sum(), 1, ids, ("bad",) if step < skips else ("good",)[:0])]

    return losses_of


def test_a_few_samples_that_cannot_be_used_are_counted(tmp_path: Path) -> None:
    module = nn.Linear(1, 1)
    train(plan(tmp_path, steps=20, batch=10), module, losses_with_skips(module, 2))
    last = json.loads((tmp_path / "progress.jsonl").read_text().splitlines()[-1])
    assert last["skipped"] == 2


def test_more_than_one_in_a_hundred_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    module = nn.Linear(1, 1)
    with pytest.raises(TrainingError, match="3 of 30 samples could not be trained on"):
        train(plan(tmp_path, steps=20, batch=10), module, losses_with_skips(module, 3))


def test_a_model_in_which_nothing_learns_is_an_error(tmp_path: Path) -> None:
    module = nn.Linear(1, 1).requires_grad_(False)
    with pytest.raises(TrainingError, match="nothing in this model is to be trained"):
        train(plan(tmp_path), module, one(module))


def failing(error: BaseException) -> Callable[[int], list[Loss]]:
    def losses_of(_step: int) -> list[Loss]:
        raise error

    return losses_of


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB"), "not enough memory"),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), "device was lost"),
        (OSError(28, "No space left on device"), "disk is full"),
        (RuntimeError("[gloo] Connection closed by peer [127.0.0.1]:2"), "another process"),
    ],
)
def test_a_fault_of_the_machine_is_one_sentence_without_paths(tmp_path: Path, error: Exception, words: str) -> None:
    with pytest.raises(MachineFailed, match=words) as raised:
        train(plan(tmp_path), nn.Linear(1, 1), failing(error))
    assert "/" not in str(raised.value)


def test_an_error_of_our_own_code_is_no_fault_of_the_machine(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="shapes"):
        train(plan(tmp_path), nn.Linear(1, 1), failing(RuntimeError("shapes do not fit")))


def test_the_mean_of_a_loss_is_its_total_by_its_count() -> None:
    total: Tensor = torch.tensor(6.0)
    assert float(Loss(total, 3).mean) == 2.0
    assert float(Loss(total * 0, 0).mean) == 0.0

"""The learning rate against plain formulas, for every schedule."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training_jobs.learning.plan import TrainingPlan, plan_of
from training_jobs.learning.schedule import learning_rate
from xraygpt_core.training.config import Config

RATES = st.floats(1e-6, 1.0)
STEPS = st.integers(1, 500)


def plan(**changes: object) -> TrainingPlan:
    settings = {"job": "j", "out": Path(), "batch": 1, "checkpoint_every": 1, "steps": 10, "lr": 1.0, "warmup": 0}
    return TrainingPlan(**(settings | changes))  # type: ignore[arg-type]


@given(STEPS, st.integers(0, 600), st.integers(0, 100), RATES, RATES)
def test_the_cosine_begins_where_the_warm_up_ends(steps: int, step: int, warmup: int, lr: float, low: float) -> None:
    rate = learning_rate(step, plan(steps=steps, warmup=warmup, lr=lr, min_lr=low))
    if step < warmup:
        assert rate == pytest.approx(lr * (step + 1) / warmup)
    else:
        done = min(1.0, (step - warmup) / max(1, steps - warmup))
        assert rate == pytest.approx(low + (lr - low) * (1 + math.cos(math.pi * done)) / 2)


@given(STEPS, st.integers(0, 400), st.integers(0, 100), st.integers(1, 50), RATES, RATES, RATES)
def test_the_repositorys_cosine_spans_the_whole_run_and_its_warm_up_counts_steps_of_the_epoch(
    steps: int, step: int, warmup: int, epoch: int, lr: float, low: float, first: float
) -> None:
    rate = learning_rate(
        step,
        plan(
            steps=steps,
            warmup=warmup,
            lr=lr,
            min_lr=low,
            warmup_lr=first,
            schedule="cosine-whole-run",
            epoch_steps=epoch,
        ),
    )
    if step < warmup:
        assert rate == pytest.approx(first + (lr - first) * (step % epoch) / warmup)
    else:
        assert rate == pytest.approx(low + (lr - low) * (1 + math.cos(math.pi * min(1.0, step / steps))) / 2)


@given(STEPS, st.integers(0, 600), st.integers(0, 100), RATES, RATES)
def test_a_constant_rate_is_one_after_the_warm_up(steps: int, step: int, warmup: int, lr: float, first: float) -> None:
    rate = learning_rate(step, plan(steps=steps, warmup=warmup, lr=lr, warmup_lr=first, schedule="constant"))
    assert rate == pytest.approx(lr if step >= warmup else first + (lr - first) * step / warmup)


@given(STEPS, st.integers(0, 100), RATES, RATES, st.sampled_from(["cosine", "cosine-whole-run", "constant"]))
def test_no_rate_is_beyond_its_ends(steps: int, warmup: int, lr: float, low: float, schedule: str) -> None:
    low, lr = sorted((low, lr))
    made = plan(steps=steps, warmup=warmup, lr=lr, min_lr=low, warmup_lr=low, schedule=schedule)
    assert all(low * 0.999 <= learning_rate(step, made) <= lr * 1.001 for step in range(steps))


def test_a_plan_has_the_configurations_settings(tmp_path: Path) -> None:
    config = Config(lr=0.5, schedule="constant", weight_decay=0.05, beta2=0.95, clip=0.0, precision="bfloat16")
    made = plan_of("stage1", tmp_path, config, 7, None, data="abc")
    assert (made.steps, made.lr, made.min_lr, made.schedule) == (7, 0.5, 0.05, "constant")
    assert (made.weight_decay, made.beta2, made.clip, made.precision) == (0.05, 0.95, 0.0, "bfloat16")
    assert (made.data, made.settings["lr"]) == ("abc", 0.5)

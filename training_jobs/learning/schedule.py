"""The learning rate of each step."""

import math
from typing import Protocol


class RatePlan(Protocol):
    """What the learning rate depends on; rates per optimizer step."""

    @property
    def steps(self) -> int: ...
    @property
    def lr(self) -> float: ...
    @property
    def min_lr(self) -> float: ...
    @property
    def warmup(self) -> int: ...
    @property
    def warmup_lr(self) -> float | None: ...
    @property
    def schedule(self) -> str: ...
    @property
    def epoch_steps(self) -> int: ...


def learning_rate(step: int, plan: RatePlan) -> float:
    """The rate of a step, counted from 0.

    ``cosine`` falls from ``lr`` after the warm-up to ``min_lr`` at the end. ``cosine-whole-run`` is what XrayGPT's code
    does (common/optims.py, LinearWarmupCosineLRScheduler): the cosine spans the whole run, warm-up included, so the
    rate drops where the warm-up ends; and the warm-up counts the steps of the epoch. ``constant`` stays at ``lr``.
    """
    if step < plan.warmup:
        return _warm(step, plan)
    match plan.schedule:
        case "constant":
            return plan.lr
        case "cosine-whole-run":
            done = step / max(plan.steps, 1)
        case _:
            done = (step - plan.warmup) / max(plan.steps - plan.warmup, 1)
    return plan.min_lr + (plan.lr - plan.min_lr) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def _warm(step: int, plan: RatePlan) -> float:
    """Linear; without a rate to begin at, ``warmup`` equal parts, of which the first step has one."""
    if plan.warmup_lr is None:
        return plan.lr * (step + 1) / plan.warmup
    within = step % plan.epoch_steps if plan.schedule == "cosine-whole-run" else step
    return plan.warmup_lr + (plan.lr - plan.warmup_lr) * within / plan.warmup

"""How long, how fast, in which precision, and where to write: what the loop is given of a configuration."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training_jobs.learning.settings import settings_of
from xraygpt_core.training.config import Config

_LOWEST = 0.1  # of lr: where the cosine ends, if nothing else is given


@dataclass(frozen=True)
class TrainingPlan:
    """Settings of the loop.

    Attributes:
        steps: optimizer steps of the whole run.
        batch: samples of a step, over all processes.
        epoch_steps: steps of an epoch, for the one schedule whose warm-up counts them.
        clip: the largest norm of a step's gradient; 0: any.
        settings: the configuration as a JSON object, which a checkpoint must agree with.
        data: what names the data, for the same reason.
    """

    job: str
    out: Path
    steps: int
    batch: int
    lr: float
    warmup: int
    checkpoint_every: int
    resume: Path | None = None
    min_lr: float = 0.0
    warmup_lr: float | None = None
    schedule: str = "cosine"
    epoch_steps: int = 10**9
    weight_decay: float = 0.01
    beta2: float = 0.999
    clip: float = 1.0
    precision: str = "float32"
    settings: dict[str, Any] = field(default_factory=dict)
    data: str = ""


def plan_of(
    job: str,
    out: Path,
    config: Config,
    steps: int,
    resume: Path | None,
    *,
    data: str = "",
    epoch_steps: int | None = None,
) -> TrainingPlan:
    """The plan of a run. ``data``: a hash of base and corpora; a checkpoint of other data is refused."""
    return TrainingPlan(
        job,
        out,
        steps,
        config.batch,
        config.lr,
        config.warmup,
        config.checkpoint_every,
        resume,
        min_lr=config.lr * _LOWEST if config.min_lr is None else config.min_lr,
        warmup_lr=config.warmup_lr,
        schedule=config.schedule,
        epoch_steps=epoch_steps or max(steps, 1),
        weight_decay=config.weight_decay,
        beta2=config.beta2,
        clip=config.clip,
        precision=config.precision,
        settings=settings_of(config),
        data=data,
    )

"""What a training job is told: a JSON file and a few flags."""

import json
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from xraygpt_core.errors import TrainingError


@dataclass(frozen=True)
class Phantoms:
    """Which phantoms to draw: ``count`` seeds from ``seed`` on, of one population."""

    count: int = 2000
    seed: int = 0
    population: str = "train"


@dataclass(frozen=True)
class Config:
    """Settings of one job. ``films`` is a data directory with a manifest.jsonl, or None for phantoms alone."""

    steps: int = 200
    batch: int = 16
    lr: float = 1e-3
    seed: int = 0
    checkpoint_every: int = 50
    warmup: int = 20
    start: str = "new"  # stage 1: "new" makes a projector, "base" goes on from the base's
    align_steps: int = 400  # stage 1: steps of the start, before the LLM is asked
    augment: float = 0.8  # share of phantoms that are augmented
    phantoms: Phantoms = Phantoms()
    sketches: int = 0  # crude pictures of another hand, mixed in with the phantoms
    films: str | None = None
    workers: int = 1  # processes that draw and encode films; 2 or more draw beside the encoder


def read_config(file: Path | None, **flags: Any) -> Config:
    """The file's keys over the defaults, flags that are not None over both.

    Raises:
        TrainingError: an unknown key, or a value of the wrong type.
    """
    try:
        data = json.loads(file.read_text()) if file else {}
    except (OSError, ValueError) as error:
        raise TrainingError(f"{file} is not a readable JSON file: {error}") from error
    phantoms = _fill(Phantoms(), data.pop("phantoms", {}), "phantoms.")
    config: Config = replace(_fill(Config(), data, ""), phantoms=phantoms)
    config = replace(config, **{key: value for key, value in flags.items() if value is not None})
    if min(config.batch, config.phantoms.count, config.checkpoint_every) < 1 or config.steps < 0:
        raise TrainingError("batch, phantoms.count and checkpoint_every must be at least 1, steps at least 0")
    if config.start not in ("new", "base"):
        raise TrainingError(f"start is new or base, not {config.start!r}")
    if config.phantoms.population not in ("train", "held_out"):
        raise TrainingError(f"phantoms.population is train or held_out, not {config.phantoms.population!r}")
    return config


def _fill(default: Any, data: Any, prefix: str) -> Any:
    if not isinstance(data, dict):
        raise TrainingError(f"{prefix or 'the configuration'} must be an object")
    known = {field.name: getattr(default, field.name) for field in fields(default)}
    for key, value in data.items():
        if key not in known:
            raise TrainingError(f"unknown setting {prefix}{key}; known: {', '.join(sorted(known))}")
        if not _fits(value, known[key]):
            raise TrainingError(f"{prefix}{key} cannot be {value!r}")
    return replace(default, **data)


def _fits(value: Any, default: Any) -> bool:
    if default is None:
        return value is None or isinstance(value, str)
    if isinstance(default, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is type(default)

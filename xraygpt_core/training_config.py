"""The configuration of a training job: every key, its type and its bounds. Checked when a run is queued and when it
starts.
"""

import math
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from xraygpt_core.errors import TrainingError

_MAX_PATH = 1024  # letters


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
    align_steps: int = 400  # stage 1: steps of the start, without the LLM
    augment: float = 0.8  # share of phantoms that are augmented
    phantoms: Phantoms = Phantoms()
    sketches: int = 0  # crude pictures of another hand, mixed in with the phantoms
    films: str | None = None
    workers: int = 1  # processes that draw and encode films; 2 or more draw beside the encoder


# The least and the most of each number. Above the most a machine runs out of memory, processes or days.
_BOUNDS: dict[str, tuple[float, float]] = {
    "steps": (0, 10**6),
    "batch": (1, 4096),
    "lr": (0.0, 10.0),
    "seed": (0, 2**32 - 1),
    "checkpoint_every": (1, 10**6),
    "warmup": (0, 10**6),
    "align_steps": (0, 10**6),
    "augment": (0.0, 1.0),
    "sketches": (0, 10**6),
    "workers": (1, 64),
    "phantoms.count": (1, 10**6),
    "phantoms.seed": (0, 2**32 - 1),
}
_WORDS = {"start": ("new", "base"), "phantoms.population": ("train", "held_out")}


def parse_config(data: object) -> Config:
    """The keys of a JSON object over the defaults.

    Raises:
        TrainingError: an unknown key, a value of the wrong type, or one out of bounds.
    """
    if not isinstance(data, Mapping):
        raise TrainingError("the configuration must be an object")
    own = {key: value for key, value in data.items() if key != "phantoms"}
    config: Config = _fill(Config(), own, "")
    return replace(config, phantoms=_fill(Phantoms(), data.get("phantoms", {}), "phantoms."))


def _fill(default: Any, data: Any, prefix: str) -> Any:
    if not isinstance(data, Mapping):
        raise TrainingError(f"{prefix or 'the configuration'} must be an object")
    known = {field.name: getattr(default, field.name) for field in fields(default)}
    for key, value in data.items():
        if key not in known:
            raise TrainingError(f"unknown setting {reprlib.repr(prefix + str(key))}; known: {', '.join(sorted(known))}")
        if not _fits(value, known[key]):
            raise TrainingError(f"{prefix}{key} cannot be {reprlib.repr(value)}")
        _bounded(f"{prefix}{key}", value)
    return replace(default, **data)


def _fits(value: Any, default: Any) -> bool:
    if default is None:
        return value is None or isinstance(value, str)
    if isinstance(default, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is type(default)


def _bounded(name: str, value: Any) -> None:
    if name in _BOUNDS:
        least, most = _BOUNDS[name]
        if not (least <= value <= most and math.isfinite(value)):
            raise TrainingError(f"{name} must be at least {least} and at most {most}")
    if name in _WORDS and value not in _WORDS[name]:
        raise TrainingError(f"{name} is {' or '.join(_WORDS[name])}, not {reprlib.repr(value)}")
    if name == "films" and value is not None and not (0 < len(value) <= _MAX_PATH and value.isprintable()):
        raise TrainingError("films is no name of a folder")

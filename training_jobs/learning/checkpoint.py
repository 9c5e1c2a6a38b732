"""Checkpoints and results: a directory that is complete when it appears under its name."""

import json
import math
import os
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from xraygpt_core.errors import TrainingError
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.training.config import Config

_WEIGHTS, _STATE, _META = "weights.safetensors", "state.pt", "meta.json"


@contextmanager
def complete_directory(target: Path) -> Iterator[Path]:
    """A temporary directory beside ``target``; flushed to disk and renamed to it when the block ends well."""
    work = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        yield work
        for path in [*work.rglob("*"), work]:
            _flush(path)
        if target.exists():
            shutil.rmtree(target)
        work.replace(target)
        _flush(target.parent)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def save_checkpoint(out: Path, step: int, module: nn.Module, optimizer: torch.optim.Optimizer, job: str) -> Path:
    """Write ``out/checkpoints/step-000123``: trainable weights, optimizer, random states, and its job's identity."""
    target = out / "checkpoints" / f"step-{step:06d}"
    with complete_directory(target) as work:
        save_file(_trainable(module), work / _WEIGHTS)
        random_states = {
            "torch": torch.get_rng_state(),
            "numpy": _pack(np.random.get_state()),
            "python": _pack(random.getstate()),
        }
        torch.save({"optimizer": optimizer.state_dict(), "random": random_states}, work / _STATE)
        (work / _META).write_text(json.dumps({"job": job, "step": step}))
    return target


def load_checkpoint(path: Path, module: nn.Module, optimizer: torch.optim.Optimizer, job: str) -> int:
    """Restore everything :func:`save_checkpoint` wrote; the step to go on from.

    Raises:
        TrainingError: the directory is no checkpoint, or one of another job or model.
    """
    try:
        meta = json.loads((path / _META).read_text())
        weights = load_file(path / _WEIGHTS)
        state = torch.load(path / _STATE, map_location="cpu", weights_only=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise TrainingError(f"{path} is not a readable checkpoint: {error}") from error
    if meta["job"] != job:
        raise TrainingError(f"{path} belongs to another run ({meta['job']}, not {job})")
    own = _trainable(module)
    if own.keys() != weights.keys():
        raise TrainingError(f"{path} holds other weights: {sorted(own.keys() ^ weights.keys())[:5]}")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(weights[name])
    optimizer.load_state_dict(state["optimizer"])
    torch.set_rng_state(state["random"]["torch"])
    np.random.set_state(_unpack(state["random"]["numpy"]))
    random.setstate(_unpack(state["random"]["python"]))
    return int(meta["step"])


def latest_checkpoint(out: Path) -> Path | None:
    """The newest complete checkpoint below ``out``."""
    return max((out / "checkpoints").glob("step-*"), default=None)


def write_result(folder: Path, job: str, base: Bundle, config: Config, *, loss: float, **more: Any) -> None:
    """``result.json``: the job's name, its base, its settings and its last loss, beside its weights."""
    settings = asdict(config) | {"films": config.films is not None}  # no path of this machine
    result = {"job": job, "base": base.name, "base_sha256": base.sha256, "config": settings} | more
    result["loss"] = None if math.isnan(loss) else round(loss, 5)
    (folder / "result.json").write_text(json.dumps(result, indent=2) + "\n")


def _trainable(module: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.data for name, parameter in module.named_parameters() if parameter.requires_grad}


def _pack(state: Any) -> str:
    """A random state as JSON text, which needs no pickle to read back."""
    return json.dumps(state, default=lambda value: value.tolist())


def _unpack(text: str) -> Any:
    def tuples(value: Any) -> Any:
        return tuple(tuples(item) for item in value) if isinstance(value, list) else value

    return tuples(json.loads(text))

"""Checkpoints and results: a directory that is complete when it appears under its name.

::

    step-000123/weights.safetensors     what learns, by parameter name
    step-000123/state.pt                optimizer, gradient scaler, random states of each process
    step-000123/meta.json               job, step, settings, data, counts: what a continuation must agree with
"""

import json
import math
import pickle
import random
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from training_jobs.learning.distributed import ALONE, World
from training_jobs.learning.settings import differences, settings_of
from xraygpt_core.durable import complete_directory
from xraygpt_core.errors import TrainingError
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.plain_text import with_rest
from xraygpt_core.training.config import Config

__all__ = [
    "RunState",
    "latest_checkpoint",
    "load_checkpoint",
    "save_checkpoint",
    "seed_random_states",
    "write_result",
]

_WEIGHTS, _STATE, _META = "weights.safetensors", "state.pt", "meta.json"
_UNREADABLE = (
    OSError, EOFError, ValueError, LookupError, TypeError, RuntimeError, SafetensorError, pickle.UnpicklingError,
)  # fmt: skip
_KEPT = 2  # checkpoints of a run; one may be on its way elsewhere while the next is written
_NAMED = 5  # settings or weights in a message


@dataclass
class RunState:
    """All that a run is at one moment.

    Attributes:
        settings: as :func:`training_jobs.learning.settings.settings_of` gives them.
        data: what names the data.
        step: steps that were taken.
        samples: samples that were drawn in them, over all processes; ``skipped`` of them could not be trained on.
        loss: of the last step.
    """

    module: nn.Module
    optimizer: torch.optim.Optimizer
    job: str
    scaler: torch.amp.GradScaler | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    data: str = ""
    step: int = 0
    samples: int = 0
    skipped: int = 0
    loss: float = math.nan


def save_checkpoint(out: Path, state: RunState, world: World = ALONE) -> Path:
    """Write ``out/checkpoints/step-000123`` and remove all but the newest two. Every process calls it; one writes.

    Raises:
        OSError: the disk is full, for example: the half one is removed, the older ones stay.
    """
    target = out / "checkpoints" / f"step-{state.step:06d}"
    weights = {name: world.whole(tensor) for name, tensor in _learned(state.module).items()}
    optimizer = _mapped(state.optimizer.state_dict(), world.whole)
    randoms = world.gather(_random_states())
    if not world.leads:
        return target
    meta = {"job": state.job, "step": state.step, "settings": dict(state.settings), "data": state.data}
    meta |= {"samples": state.samples, "skipped": state.skipped, "loss": state.loss}
    scaler = None if state.scaler is None else state.scaler.state_dict()
    with complete_directory(target) as work:
        save_file({name: tensor.contiguous() for name, tensor in weights.items()}, work / _WEIGHTS)
        with (work / _STATE).open("wb") as file:
            torch.save({"optimizer": optimizer, "scaler": scaler, "random": randoms}, file)
        (work / _META).write_text(json.dumps(meta))
    for old in _checkpoints(out)[:-_KEPT]:  # each vanishes whole: somebody may be copying it
        old.rename(old.with_name(f".{old.name}.old"))
    for gone in target.parent.glob(".step-*.old"):
        shutil.rmtree(gone, ignore_errors=True)
    return target


def load_checkpoint(path: Path, state: RunState, world: World = ALONE) -> None:
    """Restore everything :func:`save_checkpoint` wrote.

    Raises:
        TrainingError: the directory is no checkpoint, or one of another job, configuration, data or model.
    """
    try:
        meta = json.loads((path / _META).read_text())
        weights = load_file(path / _WEIGHTS)
        kept = torch.load(path / _STATE, map_location="cpu", weights_only=True)
        job, step, loss = str(meta["job"]), int(meta["step"]), float(meta["loss"])
        samples, skipped, data, settings = int(meta["samples"]), int(meta["skipped"]), meta["data"], meta["settings"]
    except _UNREADABLE as error:
        raise TrainingError(f"{path.name} is not a readable checkpoint ({type(error).__name__})") from error
    _agree(path.name, job, data, settings, state)
    own = _learned(state.module)
    if own.keys() != weights.keys():
        raise TrainingError(f"{path.name} holds other weights: {sorted(own.keys() ^ weights.keys())[:_NAMED]}")
    if wrong := [name for name, tensor in own.items() if tensor.shape != weights[name].shape]:
        raise TrainingError(f"{path.name} holds weights of other shapes: {wrong[:_NAMED]}")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(world.part(weights[name], tensor))
    _load_optimizer(state.optimizer, kept["optimizer"], world)
    if state.scaler is not None and kept["scaler"] is not None:
        state.scaler.load_state_dict(kept["scaler"])
    if world.rank < len(kept["random"]):
        _restore_random_states(kept["random"][world.rank])
    state.step, state.samples, state.skipped, state.loss = step, samples, skipped, loss


def _agree(name: str, job: str, data: str, settings: Mapping[str, Any], state: RunState) -> None:
    if job != state.job:
        raise TrainingError(f"{name} belongs to another run ({job}, not {state.job})")
    if data != state.data:
        raise TrainingError(f"{name} was trained on other data ({data[:12]}, not {state.data[:12]})")
    if different := differences(settings, state.settings):
        raise TrainingError(
            f"{name} was trained with other settings: {'; '.join(with_rest(different[:_NAMED], len(different)))}"
        )


def latest_checkpoint(out: Path) -> Path | None:
    """The newest complete checkpoint below ``out``."""
    found = _checkpoints(out)
    return found[-1] if found else None


def _checkpoints(out: Path) -> list[Path]:
    """Complete ones, by step."""
    found = {int(path.name[5:]): path for path in (out / "checkpoints").glob("step-*") if path.name[5:].isdecimal()}
    return [found[step] for step in sorted(found)]


def write_result(folder: Path, job: str, base: Bundle, config: Config, *, loss: float, **more: Any) -> None:
    """``result.json``: the job's name, its base, its settings and its last loss, beside its weights."""
    result = {"job": job, "base": base.name, "base_sha256": base.sha256, "config": settings_of(config)} | more
    result["loss"] = None if math.isnan(loss) else round(loss, 5)
    (folder / "result.json").write_text(json.dumps(result, indent=2) + "\n")


def _learned(module: nn.Module) -> dict[str, Tensor]:
    """Parameters that learn, and the buffers that a state has beside parameters; each tensor once."""
    parameters = dict(module.named_parameters(remove_duplicate=False))
    buffers = {name: tensor for name, tensor in module.state_dict().items() if name not in parameters}
    learns = {name: parameter.data for name, parameter in module.named_parameters() if parameter.requires_grad}
    return learns | buffers


def _mapped(value: Any, change: Any) -> Any:
    """A state with ``change`` applied to every tensor in it."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        return {key: _mapped(inner, change) for key, inner in value.items()}
    return [_mapped(inner, change) for inner in value] if isinstance(value, list) else value


def _load_optimizer(optimizer: torch.optim.Optimizer, kept: dict[str, Any], world: World) -> None:
    """Each parameter's moments are laid out as the parameter is."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for index, moments in kept["state"].items():
        like = parameters[index]
        for key, value in moments.items():
            if isinstance(value, Tensor) and value.shape == like.shape:
                moments[key] = world.part(value, like)
    optimizer.load_state_dict(kept)


def seed_random_states(seed: int) -> None:
    """The same random numbers from here on, whatever was drawn before."""
    torch.manual_seed(seed)  # of every device
    np.random.seed(seed % 2**32)
    random.seed(seed)


def _random_states() -> dict[str, Any]:
    states: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "numpy": _pack(np.random.get_state()),
        "python": _pack(random.getstate()),
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def _restore_random_states(states: Mapping[str, Any]) -> None:
    torch.set_rng_state(states["torch"])
    np.random.set_state(_unpack(states["numpy"]))
    random.setstate(_unpack(states["python"]))
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])


def _pack(state: Any) -> str:
    """A random state as JSON text, which needs no pickle to read back."""
    return json.dumps(state, default=lambda value: value.tolist())


def _unpack(text: str) -> Any:
    def tuples(value: Any) -> Any:
        return tuple(tuples(item) for item in value) if isinstance(value, list) else value

    return tuples(json.loads(text))

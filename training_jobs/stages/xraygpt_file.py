"""XrayGPT's checkpoint format, read to start from and written to give back (xraygpt/runners/runner_base.py).

``{"model": {"llama_proj.weight", "llama_proj.bias"}, "optimizer", "config", "scaler", "epoch"}``: of the model only
what is trained. Its own loader takes ``torch.load(file)["model"]`` with ``strict=False``.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from xraygpt_core.errors import BundleError, TrainingError
from xraygpt_core.model.importing.projectors import ReadProjector, check_encoder, check_llm, read_projector
from xraygpt_core.model.projector import LinearProjector, Projector, load_projector

FILE = "projector.pth"


@dataclass(frozen=True)
class Start:
    """A projector to go on from, and the names of what its file holds besides."""

    projector: Projector
    ignored: tuple[str, ...]


def read_start(file: Path, positions: int, channels: int, hidden: int, encoder: str) -> Start:
    """The projector in an XrayGPT checkpoint, or in another file that :func:`read_projector` knows; float32.

    Args:
        positions, channels: what the encoder gives.
        hidden: what the LLM takes.
        encoder: its class, for messages.

    Raises:
        TrainingError: there is no projector in it, or one for another encoder or LLM: which sizes, and what fits them.
    """
    found = check_file(file)
    try:
        check_encoder(found, positions, channels, encoder)
        check_llm(found, hidden)
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "projector.safetensors"
            found.write(copy)
            projector = load_projector(found.kind, copy)
    except BundleError as error:
        raise TrainingError(f"projector.file: {error}") from error
    return Start(projector.float(), tuple(found.part.ignored))


def check_file(file: Path) -> ReadProjector:
    """What projector a file holds.

    Raises:
        TrainingError: it is not there, or holds none.
    """
    if not file.is_file():
        raise TrainingError(f"projector.file: there is no file {file.name}")
    try:
        return read_projector(file)
    except BundleError as error:
        raise TrainingError(f"projector.file: {error}") from error


def write_xraygpt_file(projector: LinearProjector, path: Path, settings: Mapping[str, Any], steps: int) -> None:
    """Write the projector in float32, with the settings in the places of the original's configuration.

    There is no optimizer state in it: the original's code needs none to generate or to begin another stage.
    """
    text = settings["text"]
    config = {
        "model": {
            "arch": "mini_gpt4",
            "model_type": "pretrain_vicuna",
            "max_txt_len": text["max_tokens"],
            "end_sym": text["end_symbol"],
        },
        "run": {
            "task": "image_text_pretrain",
            "lr_sched": "linear_warmup_cosine_lr",
            "init_lr": settings["lr"],
            "min_lr": settings["min_lr"],
            "warmup_lr": settings["warmup_lr"],
            "warmup_steps": settings["warmup"],
            "weight_decay": settings["weight_decay"],
            "batch_size_train": settings["batch"],
            "max_epoch": 1,
            "iters_per_epoch": steps,
            "seed": settings["seed"],
        },
    }
    weights = {name: value.detach().to("cpu", torch.float32) for name, value in projector.state_dict().items()}
    optimizer: dict[str, Any] = {"state": {}, "param_groups": []}
    torch.save({"model": weights, "optimizer": optimizer, "config": config, "scaler": None, "epoch": 0}, path)

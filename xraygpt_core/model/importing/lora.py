"""A published LoRA adapter (Hu et al. 2021, arXiv 2106.09685) merged into the LLaMA it was trained on: W + s B A.

PEFT's layout: ``adapter_config.json`` beside ``adapter_model.safetensors`` or ``adapter_model.bin``. Each product is
made in float32 and added there; the sum is rounded once, to the precision of the base.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from xraygpt_core.errors import BundleError
from xraygpt_core.model.importing.files import Progress, check_space, place, real_path
from xraygpt_core.model.importing.findings import few
from xraygpt_core.model.importing.shards import cast, write_shards
from xraygpt_core.model.importing.tensor_names import sizes
from xraygpt_core.model.importing.tensors import TensorFiles, read_json
from xraygpt_core.model.importing.tokenizer import copy_tokenizer

_PREFIX = "base_model.model."
_A, _B = ".lora_A.weight", ".lora_B.weight"
_FILES = ("adapter_model.safetensors", "adapter_model.bin")
# Settings of PEFT that mean another sum than W + s B A, and what they are where it is this one.
_PLAIN: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("peft_type", ("LORA",)),
    ("bias", ("none", None)),
    ("fan_in_fan_out", (False, None)),
    ("use_dora", (False, None)),
    ("rank_pattern", ({}, None)),
    ("alpha_pattern", ({}, None)),
    ("modules_to_save", ([], None)),
)


@dataclass(frozen=True)
class Adapter:
    """Rank, factor, and the two matrices of each map by its name in the base."""

    rank: int
    scale: float
    files: TensorFiles
    maps: frozenset[str]

    def merged(self, name: str, weight: Tensor, dtype: torch.dtype) -> Tensor:
        """A weight of the base with what the adapter adds to it, rounded once.

        Raises:
            BundleError: the two are not of one size.
        """
        stem = name.removesuffix(".weight")
        if stem not in self.maps:
            return cast(weight, dtype, name)
        down, up = (self.files.get(f"{_PREFIX}{stem}{part}") for part in (_A, _B))
        wanted = [(self.rank, weight.shape[-1]), (len(weight), self.rank)] if weight.dim() == 2 else []
        if [tuple(down.shape), tuple(up.shape)] != wanted:
            raise BundleError(
                f"the adapter has {sizes(down.shape)} and {sizes(up.shape)} for {name}, which is {sizes(weight.shape)} "
                f"in the base, at rank {self.rank}: they are not of one model"
            )
        whole = weight.float() + self.scale * (up.float() @ down.float())
        return cast(whole, dtype, f"the merged {name}")


def adapter_file(folder: Path) -> Path:
    """The adapter's weights.

    Raises:
        BundleError: there are none.
    """
    found = next((folder / name for name in _FILES if (folder / name).exists()), None)
    if found is None:
        raise BundleError(f"{folder} has an adapter_config.json, but neither {' nor '.join(_FILES)}")
    return found


def read_adapter(folder: Path) -> Adapter:
    """Look at an adapter: every tensor is one of a pair.

    Raises:
        BundleError: it is no plain LoRA, or not whole.
    """
    config = read_json(folder / "adapter_config.json")
    if others := [name for name, plain in _PLAIN if config.get(name, plain[-1]) not in plain]:
        raise BundleError(f"adapter_config.json of {folder.name} asks for more than plain LoRA: {', '.join(others)}")
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if type(rank) is not int or rank < 1 or not isinstance(alpha, int | float) or not math.isfinite(alpha):
        raise BundleError(f"adapter_config.json of {folder.name} has no usable r and lora_alpha")
    files = TensorFiles(adapter_file(folder))
    downs = {name.removesuffix(_A) for name in files if name.startswith(_PREFIX) and name.endswith(_A)}
    ups = {name.removesuffix(_B) for name in files if name.startswith(_PREFIX) and name.endswith(_B)}
    rest = sorted(name for name in files if not name.startswith(_PREFIX) or not name.endswith((_A, _B)))
    if rest or downs != ups or not downs:
        odd = rest or sorted(downs ^ ups) or ["none"]
        raise BundleError(f"{files.source.name} is no whole LoRA: not in pairs of A and B: {few(odd)}")
    scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    return Adapter(rank, scale, files, frozenset(stem.removeprefix(_PREFIX) for stem in downs))


def merge(base: Path, folder: Path, target: Path, progress: Progress, dtype: torch.dtype | None = None) -> Adapter:
    """Write base and adapter as one Hugging Face folder.

    Args:
        dtype: of what is written; None: the base's own.

    Raises:
        BundleError: the adapter is damaged or was trained on another model.
    """
    adapter, files = read_adapter(folder), TensorFiles(base)
    if foreign := sorted(stem for stem in adapter.maps if f"{stem}.weight" not in files):
        raise BundleError(f"the adapter of {folder.name} changes {few(foreign)}, which {base.name} does not have")
    total = sum(real_path(path).stat().st_size for path in files.paths)
    target.parent.mkdir(parents=True, exist_ok=True)
    check_space(target.parent, total)

    def merged() -> Iterator[tuple[str, Tensor]]:
        for name in files:
            weight = files.get(name)
            yield name, adapter.merged(name, weight, dtype or weight.dtype)

    write_shards(target, merged(), total, progress, "merging the adapter into its base")
    place(base / "config.json", target / "config.json")
    copy_tokenizer((base,), target)
    return adapter

"""Vicuna as it was published first: the difference to LLaMA. Base plus delta is the model.

FastChat's ``apply_delta`` (0.1.10 for v0, later ones for v1.1): tensor by tensor in float16. v0's embedding and head
have one row more than LLaMA's, for ``[PAD]``; there the base counts as zero. The tokenizer is the delta's.
"""

import json
from pathlib import Path

import torch
from torch import Tensor

from xraygpt_core.errors import BundleError
from xraygpt_core.model.importing.files import Progress, check_space, real_path
from xraygpt_core.model.importing.shards import write_shards
from xraygpt_core.model.importing.tensor_names import sizes
from xraygpt_core.model.importing.tensors import TensorFiles, read_json
from xraygpt_core.model.importing.tokenizer import copy_tokenizer

_LAST_NORM = "model.norm.weight"
_SMALL = 0.1  # mean size of a norm's weights: of any LLaMA above 1, of a difference below 0.02
_GROWING = ("model.embed_tokens.weight", "lm_head.weight")
_BUFFER = "rotary_emb.inv_freq"  # in both folders, and no weight: adding it would double it


def is_delta(folder: Path) -> bool:
    """Whether the weights of a LLaMA folder are a difference to others: their last norm is next to nothing."""
    files = TensorFiles(folder)
    return _LAST_NORM in files and float(files.get(_LAST_NORM).float().abs().mean()) < _SMALL


def apply_delta(base: Path, delta: Path, target: Path, progress: Progress) -> None:
    """Write ``base`` + ``delta`` as a Hugging Face folder of float16 safetensors, a piece of two GiB at a time.

    Raises:
        BundleError: the two folders do not belong together; what was begun is the caller's to remove.
    """
    lower, upper = TensorFiles(base), TensorFiles(delta)
    names = [name for name in upper if not name.endswith(_BUFFER)]
    missing = [name for name in names if name not in lower]
    if missing:
        raise BundleError(f"{base.name} is no base of {delta.name}: it has no {', '.join(missing[:3])}")
    total = sum(real_path(path).stat().st_size for path in upper.paths)
    target.parent.mkdir(parents=True, exist_ok=True)
    check_space(target.parent, total)
    sums = ((name, _sum(lower.get(name), upper.get(name), name)) for name in names)
    write_shards(target, sums, total, progress, "adding the delta to its base")
    config = read_json(delta / "config.json") | {"torch_dtype": "float16"}
    (target / "config.json").write_text(json.dumps(config))
    copy_tokenizer((delta, base), target)


def _sum(base: Tensor, delta: Tensor, name: str) -> Tensor:
    """In float32, rounded once: the same numbers as an addition in float16."""
    rows = len(base)
    if base.shape[1:] != delta.shape[1:] or len(delta) < rows or (len(delta) > rows and name not in _GROWING):
        raise BundleError(
            f"{name} is {sizes(tuple(base.shape))} in the base and {sizes(tuple(delta.shape))} in the delta: "
            "they are not of one model"
        )
    whole = delta.float()
    whole[:rows] += base.float()
    if not torch.isfinite(whole.half()).all():
        raise BundleError(f"{name}: base and delta add up to numbers that float16 does not hold; one file is damaged")
    return whole.half()

"""A tuned encoder as its difference to the published one: only what training changed, in half precision.

The header names the encoder's ``class``, its ``options`` (JSON) and its ``base``: the hash of the weights it was made
on, by name, shape and value. Another header or order in the file of the base leaves that hash as it is.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from xraygpt_core.errors import BundleError
from xraygpt_core.model.loading import weights_of
from xraygpt_core.model.tensor_file import save_tensors

_TABLE = frozenset({"class", "weights", "delta"})  # keys of the table [encoder] that are no options
_NAMED = 5  # how many tensors a message names


@dataclass(frozen=True)
class EncoderFile:
    """A file of encoder weights and what its header says.

    Attributes:
        kind: the encoder's class; None where the header names none.
        options: the class's options; None where the header has none.
        base: :func:`state_digest` of the weights that ``state`` is a difference to; None: they are whole.
    """

    state: dict[str, Tensor]
    kind: str | None
    options: dict[str, Any] | None
    base: str | None


def save_delta(
    path: Path,
    base_state: Mapping[str, Tensor],
    tuned_state: Mapping[str, Tensor],
    *,
    kind: str,
    options: Mapping[str, Any],
    dtype: torch.dtype = torch.float16,
    made: Mapping[str, str] | None = None,
) -> list[str]:
    """Write what ``tuned_state`` has that ``base_state`` has not. The names of the tensors that changed.

    Args:
        options: the encoder's, for ``bundle.toml``, such as ``{"layers": ["head"], "size": 224}``.
        dtype: of differences of matrices and kernels; those of vectors (norms and their statistics) are float32.
        made: more lines for the header: how and when it was made.

    Raises:
        BundleError: the two are not of one shape, or a difference is not finite.
    """
    base, tuned = weights_of(base_state), weights_of(tuned_state)
    if others := sorted(k for k in base.keys() | tuned.keys() if k not in base or k not in tuned):
        raise BundleError(f"base and tuned encoder do not have the same tensors: {', '.join(others[:_NAMED])}")
    changes = {}
    for name, value in tuned.items():
        if value.shape != base[name].shape:
            raise BundleError(f"{name} has another shape in the tuned encoder than in the base")
        difference = value.detach().float().cpu() - base[name].detach().float().cpu()
        change = difference.to(dtype if value.dim() > 1 else torch.float32).contiguous()
        if not change.isfinite().all():
            raise BundleError(f"the difference of {name} is not finite")
        if change.any():
            changes[name] = change
    header = {"class": kind, "options": json.dumps(dict(options)), "base": state_digest(base)}
    save_tensors(changes, path, dict(made or {}) | header)
    return sorted(changes)


def apply_delta(base_file: Path, delta_file: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Base plus delta: all weights in float32, and the encoder's options.

    Raises:
        BundleError: a file cannot be read, the delta was made for another base, or a tensor does not fit or is not
            finite.
    """
    delta = read_encoder(delta_file)
    if delta.base is None or delta.options is None:
        raise BundleError(f"{delta_file.name} is no difference to another encoder")
    base = read_encoder(base_file).state
    if (found := state_digest(base)) != delta.base:
        raise BundleError(
            f"{delta_file.name} was made for another encoder: for weights {delta.base[:12]}, not {found[:12]}"
        )
    state = {name: value.float() if value.is_floating_point() else value for name, value in base.items()}
    for name, change in delta.state.items():
        if name not in state or state[name].shape != change.shape or not change.is_floating_point():
            raise BundleError(f"{delta_file.name}: {name} does not fit the encoder")
        state[name] = state[name] + change.float()
        if not state[name].isfinite().all():
            raise BundleError(f"{delta_file.name}: {name} is not finite")
    return state, delta.options


def read_encoder(file: Path) -> EncoderFile:
    """A whole encoder's file or a delta.

    Raises:
        BundleError: it is no safetensors file, or its header is damaged.
    """
    try:
        with safe_open(file, framework="pt") as opened:
            header = opened.metadata() or {}
            state = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118  (no mapping)
    except (SafetensorError, OSError) as error:
        raise BundleError(f"{file} is no file of encoder weights: {type(error).__name__}") from error
    return EncoderFile(state, header.get("class"), _options(header, file), header.get("base"))


def _options(header: Mapping[str, str], file: Path) -> dict[str, Any] | None:
    if "options" not in header:
        return None
    try:
        options = json.loads(header["options"])
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{file.name}: its options cannot be read") from error
    if not isinstance(options, dict) or _TABLE & set(options):
        raise BundleError(f"{file.name}: its options are no options of an encoder")
    return options


def state_digest(state: Mapping[str, Tensor]) -> str:
    """SHA-256 over name, shape and float32 values of every weight, as hex; the order does not matter."""
    digest = hashlib.sha256()
    for name, value in sorted(weights_of(state).items()):
        digest.update(json.dumps([name, list(value.shape)]).encode())
        digest.update(value.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()

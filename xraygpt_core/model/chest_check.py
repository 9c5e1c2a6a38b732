"""Is it a chest? One linear score of the encoder's features, asked before a text is shown.

The head belongs to a bundle (``[chest_check]`` of its ``bundle.toml``) and is made for its encoder by
``python -m training_jobs chest-check``. Two thresholds are in it: below the lower one the image is refused, between
them it is flagged. Neither the score nor what follows from it enters the prompt or the text.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from xraygpt_core.errors import BundleError, Rejected
from xraygpt_core.model.backend import Chest
from xraygpt_core.states import ReasonCode

_ZONES = 6  # middle and both sides, each at the top, half way and at the bottom
_MARGIN = 2 / 7  # share of the picture's side that is top, bottom, left or right
_LEAST_GRID = 3  # positions a side; fewer have no middle


@dataclass(frozen=True)
class ChestCheck:
    """A head on one device.

    Attributes:
        weight: (zones, channels), float32; one zone is the mean over all positions, six are those of :func:`zones`.
        reject: below this score it is refused; ``doubt``: below this one it is flagged.
    """

    weight: Tensor
    bias: float
    reject: float
    doubt: float

    def scores(self, features: Tensor) -> Tensor:
        """Features (batch, positions, channels) to scores (batch,), float32 on their device."""
        with torch.inference_mode():
            pooled = zones(features.float(), self.weight.shape[0])
            return (pooled * self.weight).sum((1, 2)) + self.bias

    def judge(self, score: float, *, refuse: bool) -> Chest:
        """What a score means.

        Args:
            refuse: raise for what is no chest; otherwise that is in doubt like the rest below the upper threshold.

        Raises:
            Rejected: it is no chest.
            ValueError: it is not finite, so the device or the weights are broken, and it means nothing about the image.
        """
        if not math.isfinite(score):
            raise ValueError("the chest check's score is not finite")
        if refuse and score < self.reject:
            raise Rejected(
                ReasonCode.NOT_A_CHEST,
                f"it does not look like a chest radiograph (score {score:.2f}, the limit is {self.reject:.2f})",
            )
        return Chest(round(score, 3), score < self.doubt)

    def to(self, device: torch.device) -> "ChestCheck":
        """The same head on another device."""
        return ChestCheck(self.weight.to(device), self.bias, self.reject, self.doubt)


def zones(features: Tensor, count: int) -> Tensor:
    """Features (batch, positions, channels) to means (batch, count, channels), the same for a mirrored picture.

    Args:
        count: 1 for the mean over all positions; 6 for the middle columns and those at both sides, in three bands
            of rows each.
    """
    if count == 1:
        return features.mean(1, keepdim=True)
    side = math.isqrt(features.shape[1])
    edge = max(1, round(side * _MARGIN))
    grid = features.reshape(len(features), side, side, -1)
    middle, outer = grid[:, :, edge:-edge], torch.cat([grid[:, :, :edge], grid[:, :, -edge:]], dim=2)
    bands = (slice(None, edge), slice(edge, -edge), slice(-edge, None))
    return torch.stack([part[:, rows].mean((1, 2)) for part in (middle, outer) for rows in bands], dim=1)


def zones_of(positions: int) -> int:
    """How many zones the positions of an encoder are divided into: 6 if they are a grid, else 1."""
    side = math.isqrt(positions)
    return _ZONES if side * side == positions and side >= _LEAST_GRID else 1


def save_chest_check(check: ChestCheck, file: Path) -> None:
    """Write a head; the numbers beside the weights are tensors of one number, too."""
    numbers = {"bias": check.bias, "reject": check.reject, "doubt": check.doubt}
    tensors = {name: torch.tensor(value, dtype=torch.float64) for name, value in numbers.items()}
    save_file({"weight": check.weight.float().cpu().contiguous()} | tensors, file)


def load_chest_check(file: Path, positions: int, channels: int) -> ChestCheck:
    """Read a head for an encoder of this shape.

    Raises:
        BundleError: it is no head, is damaged, or was made for another encoder.
    """
    try:
        tensors = load_file(file)
    except (SafetensorError, OSError) as error:
        raise BundleError(f"{file.name} is no chest check: {type(error).__name__}") from error
    if set(tensors) != {"weight", "bias", "reject", "doubt"}:
        raise BundleError(f"{file.name} is no chest check: it holds {', '.join(sorted(tensors)[:5])}")
    if tensors["weight"].shape != (zones_of(positions), channels):
        made_for = " x ".join(map(str, tensors["weight"].shape))
        raise BundleError(
            f"{file.name} was made for another encoder: {made_for} weights, not {zones_of(positions)} x {channels}"
        )
    bias, reject, doubt = (float(tensors[name]) for name in ("bias", "reject", "doubt"))
    if not (tensors["weight"].isfinite().all() and all(map(math.isfinite, (bias, reject, doubt))) and reject <= doubt):
        raise BundleError(f"{file.name} is damaged: its numbers are not finite, or its thresholds the wrong way round")
    return ChestCheck(tensors["weight"].float(), bias, reject, doubt)

"""EfficientNet-lite0 in plain torch: a frozen convolutional encoder that keeps where things are.

Architecture: Tan & Le 2019 (arXiv 1905.11946), the "lite" variant of the TensorFlow TPU repository: no excitation,
ReLU6, stem and head not scaled. State dict keys are those of the public PyTorch conversion (``_conv_stem.weight`` …).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from xraygpt_core.errors import BundleError
from xraygpt_core.model.encoders.preprocess import read_grey
from xraygpt_core.model.loading import load_strictly

# expansion, kernel, stride, output channels, repeats (table 1 of the paper, width and depth factor 1.0)
_STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
_HEAD_CHANNELS = 1280
BLOCKS = sum(repeats for *_, repeats in _STAGES)
_NORM_EPS = 1e-3

# exposure
_TAIL = 0.005  # share of pixels at either end that may be clipped: collimator, markers, burnt-out skin
_EQUALISED = 0.5  # how much of the equalised image is mixed into the windowed one
_BINS = 256


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=_NORM_EPS)


class _SameConv(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding: with stride 2 the odd pixel is added right and below."""

    def forward(self, input: Tensor) -> Tensor:
        pads: list[int] = []
        for size, kernel, stride in zip(input.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            missing = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [missing // 2, missing - missing // 2]
        return functional.conv2d(functional.pad(input, pads), self.weight, self.bias, self.stride, 0, 1, self.groups)


class _Block(nn.Module):
    """Inverted residual: expand 1x1, depthwise kxk, project 1x1; added to its input where the shapes agree."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        if expansion != 1:
            self._expand_conv = nn.Conv2d(inputs, hidden, 1, bias=False)
            self._bn0 = _norm(hidden)
        self._depthwise_conv = _SameConv(hidden, hidden, kernel, stride, groups=hidden, bias=False)
        self._bn1 = _norm(hidden)
        self._project_conv = nn.Conv2d(hidden, outputs, 1, bias=False)
        self._bn2 = _norm(outputs)
        self._expands = expansion != 1
        self._residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu6(self._bn0(self._expand_conv(x))) if self._expands else x
        y = functional.relu6(self._bn1(self._depthwise_conv(y)))
        z: Tensor = self._bn2(self._project_conv(y))
        return x + z if self._residual else z


class EfficientNetLite0(nn.Module):
    """RGB images (batch, 3, side, side) in; the maps of the named layers out."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = _SameConv(3, 32, 3, 2, bias=False)
        self._bn0 = _norm(32)
        blocks: list[nn.Module] = []
        inputs = 32
        for expansion, kernel, stride, outputs, repeats in _STAGES:
            for repeat in range(repeats):
                blocks.append(_Block(inputs, outputs, expansion, kernel, stride if repeat == 0 else 1))
                inputs = outputs
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = nn.Conv2d(inputs, _HEAD_CHANNELS, 1, bias=False)
        self._bn1 = _norm(_HEAD_CHANNELS)

    def forward(self, images: Tensor, layers: tuple[str, ...] = ("head",)) -> list[Tensor]:
        """Maps (batch, channels, height, width) in the order of ``layers``: ``block0`` … ``block15`` or ``head``."""
        return self.onward(functional.relu6(self._bn0(self._conv_stem(images))), 0, layers)

    def onward(self, x: Tensor, first: int, layers: tuple[str, ...]) -> list[Tensor]:
        """The same from the map that goes into block ``first``, which is that of the block before."""
        maps = {f"block{first - 1}": x}
        deepest = _depth(layers)
        for index in range(first, min(deepest + 1, len(self._blocks))):
            x = maps[f"block{index}"] = self._blocks[index](x)
        if "head" in layers:
            maps["head"] = functional.relu6(self._bn1(self._conv_head(x)))
        return [maps[layer] for layer in layers]


def _depth(layers: Sequence[str]) -> int:
    """The last block that these layers need."""
    return max(BLOCKS - 1 if layer == "head" else int(layer.removeprefix("block")) for layer in layers)


def layer_channels(layer: str) -> int:
    """Channels of one layer's map.

    Raises:
        KeyError: there is no such layer.
    """
    blocks = [outputs for *_, outputs, repeats in _STAGES for _ in range(repeats)]
    return {"head": _HEAD_CHANNELS, **{f"block{index}": outputs for index, outputs in enumerate(blocks)}}[layer]


def fold_norms(net: nn.Module) -> None:
    """Fold each batch norm into the convolution before it (inference only): fewer passes over memory on a CPU."""
    for parent in net.modules():
        for norm, conv in (
            ("_bn0", "_expand_conv"),
            ("_bn0", "_conv_stem"),
            ("_bn1", "_depthwise_conv"),
            ("_bn2", "_project_conv"),
            ("_bn1", "_conv_head"),
        ):
            if hasattr(parent, norm) and hasattr(parent, conv):
                setattr(parent, conv, fuse_conv_bn_eval(getattr(parent, conv), getattr(parent, norm)))
                setattr(parent, norm, nn.Identity())


class EfficientNetLite0Maps(nn.Module):
    """Frozen EfficientNet-lite0: its head and middle layers as one vector per position of the 7 x 7 grid.

    A finer middle map is folded into the grid (space to depth), so that no location is lost.
    """

    def __init__(self, weights: Path, layers: Sequence[str] = ("block4", "block10", "head"), size: int = 224) -> None:
        if not isinstance(layers, list | tuple) or not isinstance(size, int):
            raise BundleError("encoder: layers must be a list of names and size a number of pixels")
        super().__init__()
        self.layers, self.size, self.grid = tuple(layers), size, size // 32
        self.positions = self.grid**2
        self.channels = sum(layer_channels(layer) * _fold(layer) ** 2 for layer in layers)
        self.net = EfficientNetLite0()
        load_strictly(self.net, load_file(weights), weights.name)
        self.net.eval().requires_grad_(False)
        fold_norms(self.net)
        self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in the stubs

    def preprocess(self, png: bytes) -> Tensor:
        """See :meth:`Encoder.preprocess`: three times the same robustly normalised grey image, about -1 … 1."""
        grey = normalise_exposure(read_grey(png, self.size))
        return torch.from_numpy(grey * 2 - 1).expand(3, -1, -1)

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Tensor:
        """(batch, 3, size, size) to (batch, positions, channels), float32."""
        maps = self.net(images.contiguous(memory_format=torch.channels_last), self.layers)
        return _in_grid(maps, self.grid).float()


class EfficientNetLite0Upper(nn.Module):
    """The last blocks of an EfficientNet-lite0, to be tuned: from the features below them to the encoder's own.

    Batch norms keep their running statistics, so that a film's features do not depend on the others of its batch.

    Args:
        weights: of the whole network.
        last: how many blocks are tuned, of sixteen; the head is tuned with them.
        layers: what the encoder gives afterwards; none may lie below the tuned blocks but the one they start from.
    """

    def __init__(self, weights: Path, last: int, layers: Sequence[str], size: int = 224) -> None:
        super().__init__()
        self.first, self.layers, self.grid = BLOCKS - last, tuple(layers), size // 32
        self.positions = self.grid**2
        lower = f"block{self.first - 1}"
        if below := [one for one in layers if _depth([one]) < self.first - 1]:
            raise ValueError(f"layer {', '.join(below)}")
        self._shuffle = _fold(lower)
        self.channels = sum(layer_channels(layer) * _fold(layer) ** 2 for layer in layers)
        self.net = EfficientNetLite0()
        load_strictly(self.net, load_file(weights), weights.name)
        self.net.requires_grad_(False)
        for part in (self.net._conv_head, self.net._bn1, *self.net._blocks[self.first :]):
            part.requires_grad_(True)
        self.train()

    def train(self, mode: bool = True) -> "EfficientNetLite0Upper":
        """Gradients or not, the norms stay as they are in use."""
        super().train(mode)
        self.net.eval()
        return self

    def forward(self, features: Tensor) -> Tensor:
        """Features of the layer below (batch, positions, channels) to (batch, positions, channels)."""
        grid = features.transpose(1, 2).reshape(len(features), -1, self.grid, self.grid)
        low = functional.pixel_shuffle(grid, self._shuffle).contiguous()  # channels last is slower to train on a CPU
        return _in_grid(self.net.onward(low, self.first, self.layers), self.grid)


def _in_grid(maps: Sequence[Tensor], grid: int) -> Tensor:
    """Maps (batch, channels, height, width), each folded into a grid, side by side: (batch, grid², channels)."""
    folded = [functional.pixel_unshuffle(one, one.shape[-1] // grid) for one in maps]
    return torch.cat([one.flatten(2) for one in folded], dim=1).transpose(1, 2)


def _fold(layer: str) -> int:
    """How many cells of a layer's map fall on one cell of the head's, per side."""
    if layer == "head":
        return 1
    index = int(layer.removeprefix("block"))
    return 16 if index < 1 else 8 if index < 3 else 4 if index < 5 else 2 if index < 11 else 1


def normalise_exposure(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Make the picture independent of exposure, window and gamma: clip the tails, then mix in the equalised picture.

    Both parts are monotone in the pixel value, so what was brighter stays brighter. (height, width) in and out, 0 … 1.
    """
    low, high = np.quantile(grey, (_TAIL, 1 - _TAIL))
    windowed = np.clip((grey - low) / max(float(high - low), 1e-6), 0, 1)
    counts, edges = np.histogram(windowed, bins=_BINS, range=(0.0, 1.0))
    ranks = np.cumsum(counts) / windowed.size
    equalised = np.interp(windowed, edges[1:], ranks)
    mixed: NDArray[np.float32] = (_EQUALISED * equalised + (1 - _EQUALISED) * windowed).astype(np.float32)
    return mixed

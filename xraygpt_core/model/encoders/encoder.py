"""Image encoders: a class imported by name turns the bytes of a grey PNG into a frozen set of position vectors."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from xraygpt_core.errors import BundleError, InvalidRequest
from xraygpt_core.model.encoders.efficientnet import EfficientNetLite0, fold_norms, layer_channels
from xraygpt_core.model.loading import load_strictly

_TAIL = 0.005  # share of pixels at either end that may be clipped: collimator, markers, burnt-out skin
_EQUALISED = 0.5  # how much of the equalised image is mixed into the windowed one
_BINS = 256


class Encoder(Protocol):
    """What the engine and the training jobs know of an encoder."""

    positions: int
    channels: int

    def preprocess(self, png: bytes) -> Tensor:
        """PNG bytes to one image (channels, height, width) as :meth:`encode` wants it."""

    def encode(self, images: Tensor) -> Tensor:
        """Images (batch, …) to features (batch, positions, channels)."""

    def to(self, device: torch.device) -> "Encoder":
        """Move the weights."""


class EfficientNetLite0Maps(nn.Module):
    """Frozen EfficientNet-lite0: its head and middle layers as one vector per position of the 7 x 7 grid.

    A finer middle map is folded into the grid (space to depth), so that no location is lost.
    """

    def __init__(self, weights: Path, layers: tuple[str, ...] = ("block4", "block10", "head"), size: int = 224) -> None:
        super().__init__()
        self.layers, self.size, self.grid = layers, size, size // 32
        self.positions = self.grid**2
        self.channels = sum(layer_channels(layer) * _fold(layer) ** 2 for layer in layers)
        self.net = EfficientNetLite0()
        load_strictly(self.net, load_file(weights), weights.name)
        self.net.eval().requires_grad_(False)
        fold_norms(self.net)
        self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in the stubs

    def preprocess(self, png: bytes) -> Tensor:
        """Three times the same robustly normalised grey image, (3, size, size), about -1 … 1.

        Raises:
            InvalidRequest: the bytes are not a readable image.
        """
        grey = normalise_exposure(read_grey(png, self.size))
        return torch.from_numpy(grey * 2 - 1).expand(3, -1, -1)

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Tensor:
        """(batch, 3, size, size) to (batch, positions, channels), float32."""
        maps = self.net(images.contiguous(memory_format=torch.channels_last), self.layers)
        folded = [functional.pixel_unshuffle(m, m.shape[-1] // self.grid) for m in maps]
        return torch.cat([m.flatten(2) for m in folded], dim=1).transpose(1, 2).float()


def _fold(layer: str) -> int:
    """How many cells of a layer's map fall on one cell of the head's, per side."""
    if layer == "head":
        return 1
    index = int(layer.removeprefix("block"))
    return 16 if index < 1 else 8 if index < 3 else 4 if index < 5 else 2 if index < 11 else 1


def read_grey(png: bytes, size: int) -> NDArray[np.float32]:
    """Decode and resize to (size, size), 0 … 1; the aspect ratio is not kept, as in XrayGPT's own processor.

    Raises:
        InvalidRequest: the bytes are not a readable image.
    """
    try:
        with Image.open(io.BytesIO(png)) as image:
            grey = image.convert("L").resize((size, size), Image.Resampling.BILINEAR, reducing_gap=2.0)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InvalidRequest(f"the image cannot be read: {type(error).__name__}") from error
    return np.asarray(grey, dtype=np.float32) / np.float32(255)


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


def load_encoder(kind: str, weights: Path, options: Mapping[str, Any]) -> Encoder:
    """The encoder a bundle names, with the sizes its ``bundle.toml`` gives.

    Raises:
        BundleError: no encoder has this name, or options or weights do not fit it.
    """
    from xraygpt_core.model.encoders.blip2 import Blip2Encoder
    from xraygpt_core.model.encoders.medclip import MedClipResNet, MedClipSwin
    from xraygpt_core.model.encoders.raddino import RadDino

    try:
        match kind:
            case "EfficientNetLite0Maps":
                return _efficientnet(weights, options)
            case "MedClipSwin":
                return MedClipSwin(weights, **options)
            case "MedClipResNet":
                return MedClipResNet(weights, **options)
            case "Blip2Encoder":
                return Blip2Encoder(weights, **options)
            case "RadDino":
                return RadDino(weights, **options)
    except (TypeError, ValueError) as error:
        raise BundleError(f"encoder {kind}: {error}") from error
    raise BundleError(f"there is no encoder named {kind!r}")


def _efficientnet(weights: Path, options: Mapping[str, Any]) -> EfficientNetLite0Maps:
    layers, size = options.get("layers", ["block4", "block10", "head"]), options.get("size", 224)
    if not isinstance(layers, list) or not isinstance(size, int):
        raise BundleError("encoder: layers must be a list of names and size a number of pixels")
    return EfficientNetLite0Maps(weights, tuple(layers), size)

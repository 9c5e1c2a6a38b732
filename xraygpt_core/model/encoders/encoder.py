"""What an encoder is, and those a bundle can name. To add one: a class in a file of this folder, and its name here."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from xraygpt_core.errors import BundleError
from xraygpt_core.model.encoders.biomedclip import BiomedClipCxr
from xraygpt_core.model.encoders.blip2 import Blip2Encoder
from xraygpt_core.model.encoders.efficientnet import EfficientNetLite0Maps
from xraygpt_core.model.encoders.medclip import MedClipResNet, MedClipSwin
from xraygpt_core.model.encoders.raddino import RadDino


class Encoder(Protocol):
    """Turns the bytes of a grey PNG into position vectors by frozen weights. Sizes: :func:`feature_shape`."""

    positions: int
    channels: int

    def preprocess(self, png: bytes) -> Tensor:
        """PNG bytes to one image (channels, height, width), float32, as :meth:`encode` wants it.

        Raises:
            InvalidRequest: the bytes are not a readable image.
        """

    def encode(self, images: Tensor) -> Tensor:
        """Images (batch, …) to features (batch, positions, channels)."""

    def to(self, device: torch.device) -> "Encoder":
        """Move the weights."""


ENCODERS: tuple[Callable[..., Encoder], ...] = (
    EfficientNetLite0Maps,  # the demo's
    MedClipSwin,
    MedClipResNet,
    Blip2Encoder,
    RadDino,
    BiomedClipCxr,
)


def feature_shape(encoder: Encoder) -> tuple[int, ...]:
    """Sizes of one image's features: (positions, channels), or (layers, positions, channels) from every layer."""
    stacked: tuple[int, ...] = getattr(encoder, "stacked", ())
    return (*stacked, encoder.positions, encoder.channels)


def load_encoder(kind: str, weights: Path, options: Mapping[str, Any]) -> Encoder:
    """The encoder a bundle names, with the sizes its ``bundle.toml`` gives.

    Raises:
        BundleError: no encoder has this name, or options or weights do not fit it.
    """
    build = next((one for one in ENCODERS if one.__name__ == kind), None)
    if build is None:
        raise BundleError(f"there is no encoder named {kind!r}")
    try:
        return build(weights, **options)
    except (TypeError, ValueError) as error:
        raise BundleError(f"encoder {kind}: {error}") from error

"""MedCLIP's two vision encoders (Wang et al. 2022, arXiv 2210.10163): the paper's E_img.

Preprocessing as MedCLIP publishes it: pad to a square on black, bicubic to 224, one mean and deviation.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from xraygpt_core.errors import BundleError
from xraygpt_core.model.encoders.preprocess import normalised, open_grey, pad_square, resize
from xraygpt_core.model.encoders.resnet import ResNet
from xraygpt_core.model.loading import load_frozen, uninitialised

_MEAN, _STD = 0.5862785803043838, 0.27950088968644304
_MODES = ("pooled", "map")


class MedClipSwin(nn.Module):
    """MedCLIP-ViT, which is a Swin transformer (tiny: embed 96, depths 2 2 6 2, heads 3 6 12 24, window 7).

    ``pooled``: one token, the mean of the last map through ``projection_head`` (768 -> 512, no bias), not normalised;
    the paper's f_v. ``map``: the 49 vectors of 768 numbers before pooling.

    Without ``weights`` the module is a skeleton whose weights are still to be loaded.
    """

    def __init__(
        self,
        weights: Path | None,
        mode: str = "pooled",
        embed_dim: int = 96,
        depths: Sequence[int] = (2, 2, 6, 2),
        heads: Sequence[int] = (3, 6, 12, 24),
        window: int = 7,
        size: int = 224,
        projected: int = 512,
    ) -> None:
        from transformers import SwinConfig, SwinModel

        super().__init__()
        if mode not in _MODES:
            raise BundleError(f"encoder: mode {mode!r} is none of {', '.join(_MODES)}")
        config = SwinConfig(
            image_size=size, embed_dim=embed_dim, depths=list(depths), num_heads=list(heads), window_size=window
        )
        width = embed_dim * 2 ** (len(depths) - 1)
        grid = size // 4 // 2 ** (len(depths) - 1)
        self.size = size
        self.positions = 1 if mode == "pooled" else grid * grid
        self.channels = projected if mode == "pooled" else width
        with uninitialised():
            self.model = SwinModel(config)
            self.projection_head = nn.Linear(width, projected, bias=False) if mode == "pooled" else None
        load_frozen(self, weights)

    def preprocess(self, png: bytes) -> Tensor:
        """See :meth:`Encoder.preprocess`: (3, size, size)."""
        return medclip_picture(png, self.size)

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Tensor:
        """(batch, 3, size, size) to (batch, positions, channels), float32."""
        out = self.model(images)
        if self.projection_head is None:
            features: Tensor = out.last_hidden_state
            return features.float()
        vectors: Tensor = self.projection_head(out.pooler_output)
        return vectors[:, None].float()


class MedClipResNet(nn.Module):
    """MedCLIP-ResNet: a ResNet-50 whose ``fc`` (2048 -> 512, no bias) is the projection; one token."""

    def __init__(
        self,
        weights: Path | None,
        depths: Sequence[int] = (3, 4, 6, 3),
        width: int = 64,
        projected: int = 512,
        size: int = 224,
    ) -> None:
        super().__init__()
        self.size, self.positions, self.channels = size, 1, projected
        with uninitialised():
            self.model = ResNet(tuple(depths), width, projected)
        load_frozen(self, weights)

    def preprocess(self, png: bytes) -> Tensor:
        """As :meth:`MedClipSwin.preprocess`."""
        return medclip_picture(png, self.size)

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Tensor:
        """(batch, 3, size, size) to (batch, 1, projected), float32."""
        vectors: Tensor = self.model(images)
        return vectors[:, None].float()


def medclip_picture(png: bytes, size: int) -> Tensor:
    """MedCLIP's own feature extractor: (3, size, size); the one grey channel three times, as its models repeat it."""
    square = pad_square(open_grey(png), size)
    return normalised(resize(square, size, size), (_MEAN,) * 3, (_STD,) * 3)

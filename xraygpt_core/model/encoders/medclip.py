"""MedCLIP's two vision encoders (Wang et al. 2022, arXiv 2210.10163): the paper's E_img.

Preprocessing as MedCLIP publishes it: pad to a square on black, bicubic to 224, one mean and deviation.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from xraygpt_core.errors import BundleError
from xraygpt_core.model.encoders.cut import Cuttable, check_until
from xraygpt_core.model.encoders.preprocess import normalised, pad_square, resize
from xraygpt_core.model.encoders.resnet import ResNet, map_shape
from xraygpt_core.model.loading import load_frozen, uninitialised
from xraygpt_core.model.pictures import open_grey

_MEAN, _STD = 0.5862785803043838, 0.27950088968644304
_MODES = ("pooled", "map")


class MedClipSwin(Cuttable):
    """MedCLIP-ViT, which is a Swin transformer (tiny: embed 96, depths 2 2 6 2, heads 3 6 12 24, window 7).

    ``pooled``: one token, the mean of the last map through ``projection_head`` (768 -> 512, no bias), not normalised;
    the paper's f_v. ``map``: the 49 vectors of 768 numbers before pooling. With ``until``: the tokens after so many
    blocks, in either mode; where the last of them ends a stage, after the merging of patches that follows.

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
        until: int | None = None,
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
        self.size, self.blocks = size, sum(depths)
        self.until = check_until(until, self.blocks)
        self.positions = 1 if mode == "pooled" else grid * grid
        self.channels = projected if mode == "pooled" else width
        if until is not None:
            merged = sum(until >= sum(depths[: stage + 1]) for stage in range(len(depths)))
            self.positions, self.channels = (size // 4 // 2**merged) ** 2, embed_dim * 2**merged
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
        tokens: Tensor = self.model.embeddings(images)[0]
        if self.until is not None:
            return self._through(tokens, 0, self.until).float()
        return self.onward(tokens, 0).float()

    def onward(self, tokens: Tensor, first: int) -> Tensor:
        """See :meth:`xraygpt_core.model.encoders.cut.Cuttable.onward`."""
        tokens = self.model.layernorm(self._through(tokens, first, self.blocks))
        if self.projection_head is None:
            return tokens
        vectors: Tensor = self.projection_head(self.model.pooler(tokens.transpose(1, 2)).flatten(1))
        return vectors[:, None]

    def above(self, first: int) -> list[nn.Module]:
        """See :meth:`xraygpt_core.model.encoders.cut.Cuttable.above`."""
        parts: list[nn.Module] = [] if self.projection_head is None else [self.projection_head]
        parts.append(self.model.layernorm)
        done = 0
        for stage in self.model.encoder.layers:
            parts += stage.blocks[max(first - done, 0) :]
            done += len(stage.blocks)
            if stage.downsample is not None and first < done:
                parts.append(stage.downsample)
        return parts

    def _through(self, tokens: Tensor, first: int, last: int) -> Tensor:
        """Tokens before block ``first`` to those before block ``last``."""
        done, side = 0, self.size // 4
        for stage in self.model.encoder.layers:
            for block in stage.blocks:
                if first <= done < last:
                    tokens = block(tokens, (side, side))[0]
                done += 1
            if stage.downsample is not None:
                if first < done <= last:
                    tokens = stage.downsample(tokens, (side, side))
                side = (side + 1) // 2
        return tokens


class MedClipResNet(Cuttable):
    """MedCLIP-ResNet: a ResNet-50 whose ``fc`` (2048 -> 512, no bias) is the projection; one token.

    With ``until``: the map after so many bottlenecks, a vector for each of its positions.
    """

    def __init__(
        self,
        weights: Path | None,
        depths: Sequence[int] = (3, 4, 6, 3),
        width: int = 64,
        projected: int = 512,
        size: int = 224,
        until: int | None = None,
    ) -> None:
        super().__init__()
        self.size, self.positions, self.channels, self.blocks = size, 1, projected, sum(depths)
        self.until = check_until(until, self.blocks)
        if until is not None:
            self.positions, self.channels = map_shape(tuple(depths), width, size, until)
        with uninitialised():
            self.model = ResNet(tuple(depths), width, projected)
        load_frozen(self, weights)

    def preprocess(self, png: bytes) -> Tensor:
        """As :meth:`MedClipSwin.preprocess`."""
        return medclip_picture(png, self.size)

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Tensor:
        """(batch, 3, size, size) to (batch, positions, channels), float32."""
        x = self.model.stem(images)
        if self.until is not None:
            return self.model.through(x, 0, self.until).flatten(2).transpose(1, 2).float()
        return self.model.pooled(self.model.through(x, 0, self.blocks))[:, None].float()

    def onward(self, tokens: Tensor, first: int) -> Tensor:
        """See :meth:`xraygpt_core.model.encoders.cut.Cuttable.onward`."""
        side = math.isqrt(tokens.shape[1])
        x = tokens.transpose(1, 2).reshape(len(tokens), -1, side, side)
        return self.model.pooled(self.model.through(x, first, self.blocks))[:, None]

    def above(self, first: int) -> list[nn.Module]:
        """See :meth:`xraygpt_core.model.encoders.cut.Cuttable.above`."""
        return [*self.model.bottlenecks()[first:], self.model.fc]


def medclip_picture(png: bytes, size: int) -> Tensor:
    """MedCLIP's own feature extractor: (3, size, size); the one grey channel three times, as its models repeat it."""
    square = pad_square(open_grey(png), size)
    return normalised(resize(square, size, size), (_MEAN,) * 3, (_STD,) * 3)

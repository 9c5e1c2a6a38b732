"""RAD-DINO (Pérez-García et al. 2024, arXiv 2401.10815), a Dinov2 ViT-B/14 at 518 pixels.

MAIRA-1, MAIRA-2 and Libra see with it. Preprocessing as published: shortest side 518 (bicubic), centre crop, one mean
and deviation. MAIRA-2's processor stretches the grey levels before that; Libra pads to a square of the mean's grey.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from xraygpt_core.errors import BundleError
from xraygpt_core.model.encoders.cut import Cuttable, check_until
from xraygpt_core.model.encoders.preprocess import (
    crop_centre,
    normalised,
    pad_square,
    resize_shortest,
    stretch,
)
from xraygpt_core.model.encoders.vit import VitSizes
from xraygpt_core.model.loading import load_frozen, uninitialised
from xraygpt_core.model.pictures import open_grey

_MEAN, _STD = 0.5307, 0.2583


class RadDino(Cuttable):
    """The 37 x 37 = 1369 patch vectors of the last layer, after its norm and without CLS, 768 numbers each.

    Args:
        weights: None: the module is a skeleton whose weights are still to be loaded.
        until: the 1370 tokens after so many layers instead, CLS first, without a norm.
        norm: False leaves the last norm away, which then has no weights.
        all_layers: the patch vectors after each layer, without a norm: (batch, layers, positions, channels).
        stretched: grey levels are drawn out to 0 … 255 first.
        padded: a picture that is no square is made one, at its sides.
        sizes: see :class:`VitSizes`.
    """

    stacked: tuple[int, ...]

    def __init__(
        self,
        weights: Path | None,
        *,
        until: int | None = None,
        norm: bool = True,
        all_layers: bool = False,
        stretched: bool = False,
        padded: bool = False,
        **sizes: Any,
    ) -> None:
        from transformers import Dinov2Config, Dinov2Model

        super().__init__()
        vit = VitSizes(**sizes)
        if until is not None and all_layers:
            raise BundleError("encoder: one that gives all its layers has no until")
        self.size, self.stretched, self.padded = vit.size, stretched, padded
        self.stacked = (vit.layers,) if all_layers else ()
        self.positions, self.channels, self.blocks = vit.patches + (until is not None), vit.width, vit.layers
        self.until = check_until(until, vit.layers)
        config = Dinov2Config(
            image_size=vit.size,
            patch_size=vit.patch,
            hidden_size=vit.width,
            num_hidden_layers=vit.layers,
            num_attention_heads=vit.heads,
            mlp_ratio=vit.inner // vit.width,
            layer_norm_eps=vit.norm_eps,
        )
        with uninitialised():
            self.model = Dinov2Model(config)
        if all_layers or not norm:
            self.model.layernorm = nn.Identity()
        load_frozen(self, weights)

    def preprocess(self, png: bytes) -> Tensor:
        """See :meth:`Encoder.preprocess`: (3, size, size)."""
        image = open_grey(png)
        if self.stretched:
            image = stretch(image)
        if self.padded:
            image = pad_square(image, grey=int(_MEAN * 255))
        image = crop_centre(resize_shortest(image, self.size), self.size)
        return normalised(image, (_MEAN,) * 3, (_STD,) * 3)

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Tensor:
        """(batch, 3, size, size) to (batch, patches, width), or (batch, layers, patches, width), float32."""
        tokens: Tensor = self.model.embeddings(images)
        if self.stacked:
            return torch.stack([after[:, 1:] for after in self._each(tokens)], dim=1).float()
        if self.until is None:
            return self.onward(tokens, 0).float()
        return self._through(tokens, 0, self.until).float()

    def onward(self, tokens: Tensor, first: int) -> Tensor:
        """See :meth:`xraygpt_core.model.encoders.cut.Cuttable.onward`."""
        normed: Tensor = self.model.layernorm(self._through(tokens, first, self.blocks))
        return normed[:, 1:]

    def above(self, first: int) -> list[nn.Module]:
        """See :meth:`xraygpt_core.model.encoders.cut.Cuttable.above`."""
        return [*self._layers()[first:], self.model.layernorm]

    def _layers(self) -> nn.ModuleList:
        layers: nn.ModuleList = self.model.encoder.layer
        return layers

    def _each(self, tokens: Tensor) -> Iterator[Tensor]:
        for layer in self._layers():
            tokens = layer(tokens)
            yield tokens

    def _through(self, tokens: Tensor, first: int, last: int) -> Tensor:
        """Tokens before layer ``first`` to those before layer ``last``."""
        for layer in self._layers()[first:last]:
            tokens = layer(tokens)
        return tokens

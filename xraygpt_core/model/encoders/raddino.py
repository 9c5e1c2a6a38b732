"""RAD-DINO (Pérez-García et al. 2024, arXiv 2401.10815), MAIRA-1's encoder: a Dinov2 ViT-B/14 at 518 pixels.

Preprocessing as published: shortest side 518 (bicubic), centre crop, one mean and deviation.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from xraygpt_core.model.encoders.cut import Cuttable, check_until
from xraygpt_core.model.encoders.preprocess import crop_centre, normalised, open_grey, resize_shortest
from xraygpt_core.model.loading import load_frozen, uninitialised

_MEAN, _STD = 0.5307, 0.2583


class RadDino(Cuttable):
    """The 37 x 37 = 1369 patch vectors of the last layer, after its norm and without CLS, 768 numbers each.

    With ``until``: the 1370 tokens after so many layers, CLS first, without a norm.

    Without ``weights`` the module is a skeleton whose weights are still to be loaded.
    """

    def __init__(
        self,
        weights: Path | None,
        size: int = 518,
        patch: int = 14,
        width: int = 768,
        layers: int = 12,
        heads: int = 12,
        inner: int = 3072,
        norm_eps: float = 1e-6,
        until: int | None = None,
    ) -> None:
        from transformers import Dinov2Config, Dinov2Model

        super().__init__()
        self.size = size
        self.positions, self.channels, self.blocks = (size // patch) ** 2 + (until is not None), width, layers
        self.until = check_until(until, layers)
        config = Dinov2Config(
            image_size=size,
            patch_size=patch,
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            mlp_ratio=inner // width,
            layer_norm_eps=norm_eps,
        )
        with uninitialised():
            self.model = Dinov2Model(config)
        load_frozen(self, weights)

    def preprocess(self, png: bytes) -> Tensor:
        """See :meth:`Encoder.preprocess`: (3, size, size)."""
        image = crop_centre(resize_shortest(open_grey(png), self.size), self.size)
        return normalised(image, (_MEAN,) * 3, (_STD,) * 3)

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Tensor:
        """(batch, 3, size, size) to (batch, patches, width), float32."""
        tokens: Tensor = self.model.embeddings(images)
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

    def _through(self, tokens: Tensor, first: int, last: int) -> Tensor:
        """Tokens before layer ``first`` to those before layer ``last``."""
        for layer in self._layers()[first:last]:
            tokens = layer(tokens)
        return tokens

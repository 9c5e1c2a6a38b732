"""BLIP-2's EVA ViT-g with its Q-Former (Li et al. 2023, arXiv 2301.12597): what XrayGPT's public code encodes with.

Preprocessing as that code has it: 224 x 224 bicubic without keeping the aspect, CLIP's mean and deviation.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from xraygpt_core.errors import BundleError
from xraygpt_core.model.encoders.cut import Cuttable, check_until
from xraygpt_core.model.encoders.preprocess import CLIP_MEAN, CLIP_STD, normalised, resize
from xraygpt_core.model.loading import load_frozen, uninitialised
from xraygpt_core.model.pictures import open_grey

_MODES = ("queries", "patches")
_NEIGHBOURS = 4  # patches that MiniGPT-4's variant without a Q-Former joins into one token


class Blip2Encoder(Cuttable):
    """``queries``: the 32 query tokens of the Q-Former, 768 numbers each. ``patches``: without Q-Former, the 256 patch
    vectors of the ViT, four neighbours joined into one token of 5632 numbers (MiniGPT-4 on Llama 2).

    With ``until``: the 257 tokens after so many layers of the ViT, CLS first, without a norm.

    Without ``weights`` the module is a skeleton whose weights are still to be loaded.
    """

    query_tokens: nn.Parameter | None

    def __init__(
        self,
        weights: Path | None,
        mode: str = "queries",
        size: int = 224,
        patch: int = 14,
        width: int = 1408,
        layers: int = 39,
        heads: int = 16,
        inner: int = 6144,
        norm_eps: float = 1e-6,
        queries: int = 32,
        query_width: int = 768,
        query_layers: int = 12,
        query_heads: int = 12,
        query_inner: int = 3072,
        cross_every: int = 2,
        until: int | None = None,
    ) -> None:
        super().__init__()
        if mode not in _MODES:
            raise BundleError(f"encoder: mode {mode!r} is none of {', '.join(_MODES)}")
        self.size, self.blocks = size, layers
        self.until = check_until(until, layers)
        with uninitialised():
            self.vision_model = _vision_model(size, patch, width, layers, heads, inner, norm_eps)
            if mode == "patches":
                self.qformer, self.query_tokens = None, None
                self.positions, self.channels = (size // patch) ** 2 // _NEIGHBOURS, width * _NEIGHBOURS
            else:
                self.qformer = _qformer(width, query_width, query_layers, query_heads, query_inner, cross_every)
                self.query_tokens = nn.Parameter(torch.empty(1, queries, query_width))
                self.positions, self.channels = queries, query_width
        if until is not None:
            self.positions, self.channels = (size // patch) ** 2 + 1, width
        load_frozen(self, weights)

    def preprocess(self, png: bytes) -> Tensor:
        """See :meth:`Encoder.preprocess`: (3, size, size)."""
        return normalised(resize(open_grey(png), self.size, self.size), CLIP_MEAN, CLIP_STD)

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Tensor:
        """(batch, 3, size, size) to (batch, positions, channels), float32."""
        tokens: Tensor = self.vision_model.embeddings(images)
        if self.until is None:
            return self.onward(tokens, 0).float()
        return self._through(tokens, 0, self.until).float()

    def onward(self, tokens: Tensor, first: int) -> Tensor:
        """See :meth:`xraygpt_core.model.encoders.cut.Cuttable.onward`."""
        patches: Tensor = self.vision_model.post_layernorm(self._through(tokens, first, self.blocks))
        if self.qformer is None or self.query_tokens is None:
            return patches[:, 1:].reshape(len(patches), self.positions, self.channels)
        queries = self.query_tokens.expand(len(patches), -1, -1)
        read: Tensor = self.qformer(query_embeds=queries, encoder_hidden_states=patches).last_hidden_state
        return read

    def above(self, first: int) -> list[nn.Module]:
        """See :meth:`xraygpt_core.model.encoders.cut.Cuttable.above`; of a Q-Former all but the query tokens."""
        reader = [] if self.qformer is None else [self.qformer]
        return [*self.vision_model.encoder.layers[first:], self.vision_model.post_layernorm, *reader]

    def _through(self, tokens: Tensor, first: int, last: int) -> Tensor:
        """Tokens before layer ``first`` to those before layer ``last``."""
        for layer in self.vision_model.encoder.layers[first:last]:
            tokens = layer(tokens)
        return tokens


def _vision_model(size: int, patch: int, width: int, layers: int, heads: int, inner: int, norm_eps: float) -> Any:
    from transformers import Blip2VisionConfig, Blip2VisionModel

    config = Blip2VisionConfig(
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        image_size=size,
        patch_size=patch,
        layer_norm_eps=norm_eps,
    )
    return Blip2VisionModel(config)


def _qformer(vision_width: int, width: int, layers: int, heads: int, inner: int, cross_every: int) -> Any:
    from transformers import Blip2QFormerConfig, Blip2QFormerModel

    config = Blip2QFormerConfig(
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=inner,
        cross_attention_frequency=cross_every,
        encoder_hidden_size=vision_width,
    )
    return Blip2QFormerModel(config)

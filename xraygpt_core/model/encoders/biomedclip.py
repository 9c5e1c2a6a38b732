"""BiomedCLIP-CXR, LLaVA-Rad's encoder (Zambrano Chaves et al. 2025, doi 10.1038/s41467-025-58344-x): a ViT-B/14 at 518.

Its file is open_clip's, with timm's names (``vit_base_patch14_dinov2``: Dosovitskiy et al. 2020, arXiv 2010.11929, with
the layer scale of Touvron et al. 2021, arXiv 2103.17239). LLaVA-Rad takes the patches after the last layer but one,
without a norm. Preprocessing as open_clip has it: shortest side 518 (bicubic), centre crop, CLIP's mean and deviation.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from xraygpt_core.errors import BundleError
from xraygpt_core.model.encoders.preprocess import (
    CLIP_MEAN,
    CLIP_STD,
    crop_centre,
    normalised,
    resize_shortest,
)
from xraygpt_core.model.encoders.vit import VitSizes
from xraygpt_core.model.loading import load_frozen, uninitialised
from xraygpt_core.model.pictures import open_grey

_LAYERS = 11


class BiomedClipCxr(nn.Module):
    """The 37 x 37 = 1369 patch vectors after the last layer, without CLS and without a norm, 768 numbers each.

    Args:
        weights: None: the module is a skeleton whose weights are still to be loaded.
        sizes: see :class:`VitSizes`; there are 11 layers here, because LLaVA-Rad has no use for the twelfth.
    """

    def __init__(self, weights: Path | None, **sizes: Any) -> None:
        super().__init__()
        vit = VitSizes(**{"layers": _LAYERS} | sizes)
        if vit.width % vit.heads:
            raise BundleError(f"encoder: {vit.heads} heads do not share {vit.width} channels")
        self.size, self.positions, self.channels = vit.size, vit.patches, vit.width
        with uninitialised():
            self.trunk = _Trunk(vit)
        load_frozen(self, weights)

    def preprocess(self, png: bytes) -> Tensor:
        """See :meth:`Encoder.preprocess`: (3, size, size)."""
        image = crop_centre(resize_shortest(open_grey(png), self.size), self.size, to_even=True)
        return normalised(image, CLIP_MEAN, CLIP_STD)

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Tensor:
        """(batch, 3, size, size) to (batch, patches, width), float32."""
        features: Tensor = self.trunk(images)[:, 1:]
        return features.float()


class _Trunk(nn.Module):
    """timm's ``VisionTransformer`` without its last norm and head; the state has its names."""

    def __init__(self, vit: VitSizes) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.empty(1, 1, vit.width))
        self.pos_embed = nn.Parameter(torch.empty(1, vit.patches + 1, vit.width))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, vit.width, vit.patch, stride=vit.patch)})
        self.blocks = nn.ModuleList(_Block(vit) for _ in range(vit.layers))

    def forward(self, images: Tensor) -> Tensor:
        """(batch, 3, size, size) to tokens (batch, 1 + patches, width), CLS first."""
        patches = self.patch_embed["proj"](images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(images), -1, -1), patches], dim=1) + self.pos_embed
        for block in self.blocks:
            tokens = block(tokens)
        return tokens


class _Block(nn.Module):
    def __init__(self, vit: VitSizes) -> None:
        super().__init__()
        width = vit.width
        self.norm1, self.norm2 = nn.LayerNorm(width, vit.norm_eps), nn.LayerNorm(width, vit.norm_eps)
        self.attn = _Attention(width, vit.heads)
        self.ls1, self.ls2 = _Scale(width), _Scale(width)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, vit.inner), "fc2": nn.Linear(vit.inner, width)})

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1.gamma * self.attn(self.norm1(x))
        made: Tensor = self.mlp["fc2"](functional.gelu(self.mlp["fc1"](self.norm2(x))))
        return x + self.ls2.gamma * made


class _Scale(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.empty(width))


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        parts = self.qkv(x).view(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(*parts)
        made: Tensor = self.proj(attended.transpose(1, 2).reshape(batch, tokens, width))
        return made

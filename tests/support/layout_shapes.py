"""Names and shapes of every tensor in the published files of MAIRA-2, LLaVA-Rad, Libra and their parts."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tests.unit.model.reference.seeded import seeded


@dataclass(frozen=True)
class Sizes:
    """Sizes of a narrow model; the published ones stand behind."""

    hidden: int = 32  # 4096
    layers: int = 2  # 32
    heads: int = 4  # 32
    kv_heads: int = 4  # 32; Libra 3B: 8
    inner: int = 64  # 11008
    width: int = 24  # of the encoder: 768
    blocks: int = 2  # of the encoder: 12
    vit_heads: int = 2  # 12
    side: int = 3  # patches: 37, which are 518 pixels
    rank: int = 4  # of LoRA: 64


PATCH = 14


def drawn(shapes: Mapping[str, tuple[int, ...]], dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """A seeded tensor for every name; the same whenever it is drawn."""
    return {name: torch.from_numpy(seeded(name, shape)).reshape(shape).to(dtype) for name, shape in shapes.items()}


def llama_shapes(sizes: Sizes, rows: int, *, tied: bool = False) -> dict[str, tuple[int, ...]]:
    """Every tensor of a LLaMA; ``rows``: of its vocabulary."""
    hidden, inner = sizes.hidden, sizes.inner
    keys = hidden // sizes.heads * sizes.kv_heads
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (rows, hidden), "model.norm.weight": (hidden,)}
    if not tied:
        shapes["lm_head.weight"] = (rows, hidden)
    for layer in range(sizes.layers):
        for name, shape in {
            **dict.fromkeys(("self_attn.q_proj", "self_attn.o_proj"), (hidden, hidden)),
            **dict.fromkeys(("self_attn.k_proj", "self_attn.v_proj"), (keys, hidden)),
            **dict.fromkeys(("mlp.gate_proj", "mlp.up_proj"), (inner, hidden)),
            "mlp.down_proj": (hidden, inner),
            **dict.fromkeys(("input_layernorm", "post_attention_layernorm"), (hidden,)),
        }.items():
            shapes[f"model.layers.{layer}.{name}.weight"] = shape
    return shapes


def dino_shapes(sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Every tensor of a Dinov2 under transformers 4's names, which the published files have."""
    width, inner = sizes.width, 4 * sizes.width
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.cls_token": (1, 1, width),
        "embeddings.mask_token": (1, width),
        "embeddings.position_embeddings": (1, sizes.side**2 + 1, width),
        "embeddings.patch_embeddings.projection.weight": (width, 3, PATCH, PATCH),
        "embeddings.patch_embeddings.projection.bias": (width,),
        "layernorm.weight": (width,),
        "layernorm.bias": (width,),
    }
    for block in range(sizes.blocks):
        name = f"encoder.layer.{block}"
        attention = [f"{name}.attention.attention.{part}" for part in ("query", "key", "value")]
        linear = {**dict.fromkeys((*attention, f"{name}.attention.output.dense"), (width, width))}
        linear |= {f"{name}.mlp.fc1": (inner, width), f"{name}.mlp.fc2": (width, inner)}
        linear |= dict.fromkeys((f"{name}.norm1", f"{name}.norm2"), (width,))
        shapes |= _with_bias(linear)
        shapes |= {f"{name}.layer_scale1.lambda1": (width,), f"{name}.layer_scale2.lambda1": (width,)}
    return shapes


def timm_shapes(sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Every tensor of timm's ``vit_base_patch14_dinov2``."""
    width, inner = sizes.width, 4 * sizes.width
    shapes: dict[str, tuple[int, ...]] = {"cls_token": (1, 1, width), "pos_embed": (1, sizes.side**2 + 1, width)}
    shapes |= _with_bias({"patch_embed.proj": (width, 3, PATCH, PATCH), "norm": (width,)})
    for block in range(sizes.blocks):
        linear = {"attn.qkv": (3 * width, width), "attn.proj": (width, width)}
        linear |= {"mlp.fc1": (inner, width), "mlp.fc2": (width, inner), "norm1": (width,), "norm2": (width,)}
        shapes |= _with_bias({f"blocks.{block}.{name}": shape for name, shape in linear.items()})
        shapes |= {f"blocks.{block}.ls1.gamma": (width,), f"blocks.{block}.ls2.gamma": (width,)}
    return shapes


def mlp_shapes(prefix: str, layers: int, takes: int, gives: int) -> dict[str, tuple[int, ...]]:
    """LLaVA's ``mlp2x_gelu`` or ``mlp4x_gelu``: linear maps at even places, GELU between them."""
    return _with_bias({f"{prefix}.{2 * place}": (gives, gives if place else takes) for place in range(layers)})


def connector_shapes(sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Libra's temporal alignment connector, under ``model.mm_projector``."""
    width = sizes.width
    shapes: dict[str, tuple[int, ...]] = {"LFE_prior_bias": ()}
    for place, (before, squeezed, after) in enumerate(((12, 6, 6), (6, 3, 3), (3, 1, 1))):
        excitation = {
            f"LFE.{2 * place}.fc1": (squeezed, before, 1, 1),
            f"LFE.{2 * place}.fc2": (before, squeezed, 1, 1),
        }
        shapes |= _with_bias(excitation) | {f"LFE.{2 * place + 1}.weight": (after, before, 1, 1)}
    for name in ("cur_self_attention", "prior_self_attention", "cros_attention"):
        shapes |= {f"{name}.in_proj_weight": (3 * width, width), f"{name}.in_proj_bias": (3 * width,)}
        shapes |= {f"{name}.bias_k": (1, 1, width), f"{name}.bias_v": (1, 1, width)}
        shapes |= _with_bias({f"{name}.out_proj": (width, width)})
    shapes |= _with_bias({f"norm{number}": (width,) for number in range(1, 5)})
    shapes |= _with_bias({f"mlp_attn.{place}": (width, width) for place in (0, 3)})
    shapes |= mlp_shapes("mlp_final", 4, width, sizes.hidden)
    return {f"model.mm_projector.{name}": shape for name, shape in shapes.items()}


def _with_bias(weights: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    both = {f"{name}.weight": shape for name, shape in weights.items()}
    return both | {f"{name}.bias": shape[:1] for name, shape in weights.items()}

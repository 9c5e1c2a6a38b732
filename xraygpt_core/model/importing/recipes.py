"""How each published image encoder is recognised in its file, its sizes, and what its tensors are called."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from xraygpt_core.errors import BundleError
from xraygpt_core.model.encoders.biomedclip import BiomedClipCxr
from xraygpt_core.model.encoders.blip2 import Blip2Encoder
from xraygpt_core.model.encoders.encoder import Encoder
from xraygpt_core.model.encoders.medclip import MedClipResNet, MedClipSwin
from xraygpt_core.model.encoders.raddino import RadDino
from xraygpt_core.model.importing.tensor_names import DINOV2, SWIN, TensorLayout, count
from xraygpt_core.model.importing.tensors import TensorFiles, read_json

_MEDCLIP_REST = (r"^text_model\.", r"^logit_scale$", r"(relative_position_index|position_ids|num_batches_tracked)$")
_BLIP2_REST = (
    r"^(language_model|language_projection|vision_projection|text_projection|itm_head|embeddings)\.",
    r"^qformer\.encoder\.layer\.\d+\.(intermediate|output)\.",  # the branch that reads text
    r"position_ids$",
)
_OPEN_CLIP_REST = (r"^(text\.|logit_scale$|logit_bias$|visual\.head\.|visual\.trunk\.norm\.)",)


@dataclass(frozen=True)
class Use:
    """What a model takes of its encoder, and how it prepares a picture, as its ``config.json`` says.

    Attributes:
        layer: -1: the last layer, -2: the one before it …; ``all``: each.
        norm: whether the encoder's last norm follows.
        stretched, padded: see :class:`xraygpt_core.model.encoders.raddino.RadDino`.
    """

    layer: int | Literal["all"]
    norm: bool = False
    stretched: bool = False
    padded: bool = False


@dataclass(frozen=True)
class Recipe:
    """One published encoder: how to recognise it, its sizes, and its names."""

    title: str
    build: Callable[..., Encoder]
    recognised_by: str  # a name that only this encoder's files have
    sizes: Callable[["Shapes", int | None], dict[str, Any]]
    layout: Callable[[dict[str, Any]], TensorLayout]
    used: Callable[[dict[str, Any], Use], dict[str, Any]] | None = None  # sizes to the options of a use
    usual: Use | None = None  # where the model does not say


class Shapes:
    """Shapes by name, and the numbers of the ``config.json`` beside the weights."""

    def __init__(self, files: TensorFiles) -> None:
        self.files = files
        folder = files.source if files.source.is_dir() else files.source.parent
        self.config = read_json(folder / "config.json") if (folder / "config.json").is_file() else {}

    def of(self, pattern: str) -> tuple[int, ...]:
        """The shape of the first tensor whose name matches."""
        name = next((name for name in self.files if re.search(pattern, name)), None)
        if name is None:
            plain = pattern.replace("\\", "").strip("^$")
            raise BundleError(f"{self.files.source.name} is not whole: {plain} missing")
        return self.files.shape(name)

    def configured(self, name: str, default: float, section: str | None = None) -> Any:
        """A number of the configuration."""
        table = self.config.get(section, {}) if section else self.config
        return table.get(name, default) if isinstance(table, dict) else default


def _swin_sizes(shapes: Shapes, features: int | None) -> dict[str, Any]:
    stages = count(shapes.files, r"^vision_model\.model\.encoder\.layers\.(\d+)\.")
    layers = [rf"^vision_model\.model\.encoder\.layers\.{stage}\.blocks" for stage in range(stages)]
    tables = [shapes.of(rf"{layer}\.0\..*relative_position_bias_table$") for layer in layers]
    embed_dim = shapes.of(r"^vision_model\.model\.embeddings\.patch_embeddings\.projection\.weight$")[0]
    projected, width = shapes.of(r"^vision_model\.projection_head\.weight$")
    return {
        "mode": "map" if features == width != projected else "pooled",
        "embed_dim": embed_dim,
        "depths": [count(shapes.files, rf"{layer}\.(\d+)\.") for layer in layers],
        "heads": [table[1] for table in tables],
        "window": (math.isqrt(tables[0][0]) + 1) // 2,
        "size": 224,
        "projected": projected,
    }


def _swin_layout(options: dict[str, Any]) -> TensorLayout:
    unused = () if options["mode"] == "pooled" else (r"^vision_model\.projection_head\.",)
    prefixes = {"model.": "vision_model.model.", "projection_head.": "vision_model.projection_head."}
    return TensorLayout(SWIN, prefixes, (*_MEDCLIP_REST, *unused))


def _resnet_sizes(shapes: Shapes, features: int | None) -> dict[str, Any]:  # noqa: ARG001  # one mode only
    stages = count(shapes.files, r"^vision_model\.model\.layer(\d+)\.") - 1
    patterns = [rf"^vision_model\.model\.layer{stage + 1}\.(\d+)\." for stage in range(stages)]
    return {
        "depths": [count(shapes.files, pattern) for pattern in patterns],
        "width": shapes.of(r"^vision_model\.model\.conv1\.weight$")[0],
        "projected": shapes.of(r"^vision_model\.model\.fc\.weight$")[0],
        "size": 224,
    }


def _blip2_sizes(shapes: Shapes, features: int | None) -> dict[str, Any]:
    width, _, patch, _ = shapes.of(r"^vision_model\.embeddings\.patch_embedding\.weight$")
    positions = shapes.of(r"^vision_model\.embeddings\.position_embedding$")[1] - 1
    found = {
        "size": math.isqrt(positions) * patch,
        "patch": patch,
        "width": width,
        "layers": count(shapes.files, r"^vision_model\.encoder\.layers\.(\d+)\."),
        "heads": shapes.configured("num_attention_heads", width // 88, "vision_config"),
        "inner": shapes.of(r"^vision_model\.encoder\.layers\.0\.mlp\.fc1\.weight$")[0],
        "norm_eps": shapes.configured("layer_norm_eps", 1e-6, "vision_config"),
    }
    if features == width * 4:
        return {"mode": "patches", **found}
    _, queries, query_width = shapes.of(r"^query_tokens$")
    crossing = count(shapes.files, r"^qformer\.encoder\.layer\.(\d+)\.crossattention\.")
    layers = count(shapes.files, r"^qformer\.encoder\.layer\.(\d+)\.")
    return {
        "mode": "queries",
        **found,
        "queries": queries,
        "query_width": query_width,
        "query_layers": layers,
        "query_heads": shapes.configured("num_attention_heads", query_width // 64, "qformer_config"),
        "query_inner": shapes.of(r"^qformer\.encoder\.layer\.0\.intermediate_query\.dense\.weight$")[0],
        "cross_every": shapes.configured("cross_attention_frequency", 2 if crossing < layers else 1, "qformer_config"),
    }


def _blip2_layout(options: dict[str, Any]) -> TensorLayout:
    unused = () if options["mode"] == "queries" else (r"^qformer\.", r"^query_tokens$")
    return TensorLayout((), {}, (*_BLIP2_REST, *unused))


def _dino_sizes(shapes: Shapes, features: int | None) -> dict[str, Any]:  # noqa: ARG001
    width, _, patch, _ = shapes.of(r"^embeddings\.patch_embeddings\.projection\.weight$")
    positions = shapes.of(r"^embeddings\.position_embeddings$")[1] - 1
    return {
        "size": math.isqrt(positions) * patch,
        "patch": patch,
        "width": width,
        "layers": count(shapes.files, r"^encoder\.layer\.(\d+)\."),
        "heads": shapes.configured("num_attention_heads", max(width // 64, 1)),
        "inner": shapes.of(r"^encoder\.layer\.0\.mlp\.fc1\.weight$")[0],
        "norm_eps": shapes.configured("layer_norm_eps", 1e-6),
    }


def _dino_used(found: dict[str, Any], use: Use) -> dict[str, Any]:
    """The options that differ from RAD-DINO's own."""
    options = {**found, "layers": _layers_until(found["layers"], use.layer)}
    if use.layer == "all":
        options["all_layers"] = True
    elif not use.norm:
        options["norm"] = False
    return options | {name: True for name in ("stretched", "padded") if getattr(use, name)}


def _dino_layout(options: dict[str, Any]) -> TensorLayout:
    above = _above(r"^encoder\.layer", options["layers"])
    normed = options.get("norm", True) and not options.get("all_layers")
    return TensorLayout(DINOV2, {"model.": ""}, (above,) if normed else (above, r"^layernorm\."))


def _open_clip_sizes(shapes: Shapes, features: int | None) -> dict[str, Any]:  # noqa: ARG001
    width, _, patch, _ = shapes.of(r"visual\.trunk\.patch_embed\.proj\.weight$")
    positions = shapes.of(r"visual\.trunk\.pos_embed$")[1] - 1
    return {
        "size": math.isqrt(positions) * patch,
        "patch": patch,
        "width": width,
        "layers": count(shapes.files, r"visual\.trunk\.blocks\.(\d+)\."),
        "heads": max(width // 64, 1),
        "inner": shapes.of(r"visual\.trunk\.blocks\.0\.mlp\.fc1\.weight$")[0],
    }


def _open_clip_used(found: dict[str, Any], use: Use) -> dict[str, Any]:
    if use.norm or use.stretched or use.padded or use.layer == "all":
        raise BundleError("BiomedCLIP-CXR is read as LLaVA-Rad uses it: one layer, no norm, no padding")
    return {**found, "layers": _layers_until(found["layers"], use.layer)}


def _open_clip_layout(options: dict[str, Any]) -> TensorLayout:
    above = _above(r"^visual\.trunk\.blocks", options["layers"])
    return TensorLayout((), {"trunk.": "visual.trunk."}, (*_OPEN_CLIP_REST, above))


def _layers_until(layers: int, layer: int | Literal["all"]) -> int:
    """How many of so many layers are needed."""
    needed = layers if layer == "all" else layers + 1 + layer
    if not 0 < needed <= layers:
        raise BundleError(f"the encoder has {layers} layers: there is none at {layer}")
    return needed


def _above(stem: str, layers: int) -> str:
    """A pattern for the tensors of the layers after the first so many, of fewer than a hundred."""
    rest = "|".join(map(str, range(layers, 100)))
    return rf"{stem}\.({rest})\."


_RESNET_LAYOUT = TensorLayout((), {"model.": "vision_model.model."}, _MEDCLIP_REST)
RECIPES = (
    Recipe("MedCLIP ViT (Swin)", MedClipSwin, r"^vision_model\.model\.encoder\.layers\.", _swin_sizes, _swin_layout),
    Recipe("MedCLIP ResNet", MedClipResNet, r"^vision_model\.model\.layer1\.", _resnet_sizes, lambda _: _RESNET_LAYOUT),
    Recipe("BLIP-2 EVA ViT-g", Blip2Encoder, r"^vision_model\.encoder\.layers\.", _blip2_sizes, _blip2_layout),
    Recipe(
        "RAD-DINO (Dinov2)",
        RadDino,
        r"^encoder\.layer\.\d+\.layer_scale1\.",
        _dino_sizes,
        _dino_layout,
        _dino_used,
    ),
    Recipe(
        "BiomedCLIP-CXR (ViT)",
        BiomedClipCxr,
        r"^visual\.trunk\.blocks\.\d+\.ls1\.",
        _open_clip_sizes,
        _open_clip_layout,
        _open_clip_used,
        Use(layer=-2),
    ),
)

"""Published image encoders into a bundle: which one a file holds, of which sizes, and every tensor under our name."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import nn

from xraygpt_core.errors import BundleError
from xraygpt_core.model.encoders.blip2 import Blip2Encoder
from xraygpt_core.model.encoders.encoder import Encoder
from xraygpt_core.model.encoders.medclip import MedClipResNet, MedClipSwin
from xraygpt_core.model.encoders.raddino import RadDino
from xraygpt_core.model.importing.findings import ImportedPart
from xraygpt_core.model.importing.tensor_names import DINOV2, SWIN, TensorLayout, check_shapes, count, match, sizes
from xraygpt_core.model.importing.tensors import TensorFiles, read_json, separate

OTHER_MODELS = r"^(language_model|text_model)\."  # BLIP-2's text model alone may be forty GiB
_MEDCLIP_REST = (r"^text_model\.", r"^logit_scale$", r"(relative_position_index|position_ids|num_batches_tracked)$")
_BLIP2_REST = (
    r"^(language_model|language_projection|vision_projection|text_projection|itm_head|embeddings)\.",
    r"^qformer\.encoder\.layer\.\d+\.(intermediate|output)\.",  # the branch that reads text
    r"position_ids$",
)


@dataclass(frozen=True)
class Recipe:
    """One published encoder: how to recognise it, its sizes, and its names."""

    title: str
    build: Callable[..., Encoder]
    recognised_by: str  # a name that only this encoder's files have
    sizes: Callable[["_Shapes", int | None], dict[str, Any]]
    layout: Callable[[dict[str, Any]], TensorLayout]


@dataclass(frozen=True)
class ReadEncoder:
    """What goes into ``bundle.toml``, and what the projector will be given."""

    kind: str
    options: dict[str, Any]
    positions: int
    channels: int
    part: ImportedPart


class _Shapes:
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


def _swin_sizes(shapes: _Shapes, features: int | None) -> dict[str, Any]:
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


def _resnet_sizes(shapes: _Shapes, features: int | None) -> dict[str, Any]:  # noqa: ARG001  # one mode only
    stages = count(shapes.files, r"^vision_model\.model\.layer(\d+)\.") - 1
    patterns = [rf"^vision_model\.model\.layer{stage + 1}\.(\d+)\." for stage in range(stages)]
    return {
        "depths": [count(shapes.files, pattern) for pattern in patterns],
        "width": shapes.of(r"^vision_model\.model\.conv1\.weight$")[0],
        "projected": shapes.of(r"^vision_model\.model\.fc\.weight$")[0],
        "size": 224,
    }


def _blip2_sizes(shapes: _Shapes, features: int | None) -> dict[str, Any]:
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


def _dino_sizes(shapes: _Shapes, features: int | None) -> dict[str, Any]:  # noqa: ARG001
    width, _, patch, _ = shapes.of(r"^embeddings\.patch_embeddings\.projection\.weight$")
    positions = shapes.of(r"^embeddings\.position_embeddings$")[1] - 1
    return {
        "size": math.isqrt(positions) * patch,
        "patch": patch,
        "width": width,
        "layers": count(shapes.files, r"^encoder\.layer\.(\d+)\."),
        "heads": shapes.configured("num_attention_heads", width // 64),
        "inner": shapes.of(r"^encoder\.layer\.0\.mlp\.fc1\.weight$")[0],
        "norm_eps": shapes.configured("layer_norm_eps", 1e-6),
    }


_RESNET_LAYOUT = TensorLayout((), {"model.": "vision_model.model."}, _MEDCLIP_REST)
_DINO_LAYOUT = TensorLayout(DINOV2, {"model.": ""})
_RECIPES = (
    Recipe("MedCLIP ViT (Swin)", MedClipSwin, r"^vision_model\.model\.encoder\.layers\.", _swin_sizes, _swin_layout),
    Recipe("MedCLIP ResNet", MedClipResNet, r"^vision_model\.model\.layer1\.", _resnet_sizes, lambda _: _RESNET_LAYOUT),
    Recipe("BLIP-2 EVA ViT-g", Blip2Encoder, r"^vision_model\.encoder\.layers\.", _blip2_sizes, _blip2_layout),
    Recipe("RAD-DINO (Dinov2)", RadDino, r"^encoder\.layer\.\d+\.layer_scale1\.", _dino_sizes, lambda _: _DINO_LAYOUT),
)


def convert_encoder(source: Path, target: Path, features: int | None = None) -> ReadEncoder:
    """Write the encoder in ``source`` (a file or a folder) as safetensors under our names.

    Args:
        features: how many numbers a token the projector takes; chooses between the modes of an encoder.

    Raises:
        BundleError: no known encoder, or not every tensor is accounted for; nothing is written.
    """
    files = TensorFiles(source, OTHER_MODELS)
    recipe = next((one for one in _RECIPES if any(re.search(one.recognised_by, name) for name in files)), None)
    if recipe is None:
        titles = ", ".join(one.title for one in _RECIPES)
        raise BundleError(f"{source.name} holds no encoder that is known here ({titles})")
    options = recipe.sizes(_Shapes(files), features)
    try:
        encoder = recipe.build(None, **options)
    except (TypeError, ValueError, ZeroDivisionError, RuntimeError) as error:
        raise BundleError(f"{source.name} has the sizes of no {recipe.title}: {error}") from error
    assert isinstance(encoder, nn.Module)
    own = {name: tuple(tensor.shape) for name, tensor in encoder.state_dict().items()}
    own = {name: shape for name, shape in own.items() if not name.endswith("num_batches_tracked")}
    layout = recipe.layout(options)
    matched = match(own, files, layout, recipe.title)
    check_shapes(own, files, matched, recipe.title)
    save_file(
        separate({ours: files.get(theirs) for ours, theirs in matched.names.items()}), target, metadata={"format": "pt"}
    )
    mode = f", {options['mode']}" if "mode" in options else ""
    part = ImportedPart(
        "encoder",
        f"{recipe.title}{mode}",
        f"{sizes((encoder.positions, encoder.channels))} features at {options['size']} pixels",
        len(matched.names),
        matched.renamed,
        matched.ignored + files.skipped + [f"entry {name}" for name in files.extra],
    )
    return ReadEncoder(type(encoder).__name__, options, encoder.positions, encoder.channels, part)

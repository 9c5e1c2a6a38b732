"""MAIRA-2, Libra and LLaVA-Rad as they are published: what their ``config.json`` says, and where their parts are.

Where it was read: ``modeling_maira2.py`` and ``processing_maira2.py`` of Hugging Face microsoft/maira-2;
``libra/model`` of github.com/X-iZhang/Libra; ``llava/model`` of github.com/microsoft/LLaVA-Rad.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from xraygpt_core.errors import BundleError
from xraygpt_core.model.importing.files import Progress, check_space, real_path
from xraygpt_core.model.importing.published_prompts import prefer_published_tokenizer
from xraygpt_core.model.importing.recipes import Use
from xraygpt_core.model.importing.shards import ShardWriter, cast
from xraygpt_core.model.importing.tensors import TensorFiles, read_json
from xraygpt_core.model.importing.tokenizer import copy_tokenizer


@dataclass(frozen=True)
class Layout:
    """One published model.

    Attributes:
        model_type: of its ``config.json``.
        prefixes: what a tensor's name begins with -> the part it belongs to; the rest of the name stays, but for the
            projector's, whose reader knows the whole names.
        images: roles of the films that it reads.
    """

    title: str
    model_type: str
    prefixes: Mapping[str, str]
    template: str
    question: str
    images: tuple[str, ...] = ()


MAIRA_2 = Layout(
    "MAIRA-2",
    "maira2",
    {"vision_tower.": "encoder", "multi_modal_projector.": "projector", "language_model.": "llm"},
    "maira-2",
    "Provide a description of the findings in the radiology study in comparison to the prior frontal image.",
    ("frontal", "lateral", "prior"),
)
LIBRA = Layout(
    "Libra",
    "libra",
    {"model.vision_tower.vision_tower.": "encoder", "model.mm_projector.": "projector", "": "llm"},
    "libra",
    "Provide a detailed description of the findings in the radiology image.",
    ("frontal", "prior"),
)
LLAVA_RAD = Layout(
    "LLaVA-Rad",
    "llava",
    {},  # three files
    "llava-rad",
    "Provide a description of the findings in the radiology image.",
)
WHOLE = {layout.model_type: layout for layout in (MAIRA_2, LIBRA)}

_MOST_STRETCH = 64
_LLAMA_DEFAULTS = (
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size",
    "max_position_embeddings",
)  # fmt: skip


def use_of(layout: Layout, config: Mapping[str, Any]) -> Use:
    """What the model takes of its encoder.

    Raises:
        BundleError: something that is not done here, named by its key.
    """
    if layout is MAIRA_2:
        vision = _table(config, "vision_config")
        _only(config, "vision_feature_layer", (-1,))
        _only(config, "vision_feature_select_strategy", ("default",))
        _only(vision, "apply_layernorm", (True, None))
        return Use(layer=-1, norm=True, stretched=True)
    _only(config, "mm_vision_select_feature", ("patch", None))
    _only(config, "mm_use_im_start_end", (False, None))
    _only(config, "image_aspect_ratio", ("pad", "square", None))
    layer = config.get("mm_vision_select_layer")
    if layer != "all" and (type(layer) is not int or layer >= 0):
        raise BundleError(f"config.json has mm_vision_select_layer {layer!r}, which is neither 'all' nor below zero")
    normed = bool(config.get("use_maira_feature_norm"))
    padded = config.get("image_aspect_ratio") == "pad"
    return Use(layer=-1 if normed else layer, norm=normed, padded=padded)


def template_of(layout: Layout, config: Mapping[str, Any]) -> str:
    """The prompt it was trained on: Libra on Llama 3 speaks in that model's turns."""
    scaling = config.get("rope_scaling")
    llama3 = isinstance(scaling, dict) and scaling.get("rope_type") == "llama3"
    return "libra-llama-3" if layout is LIBRA and llama3 else layout.template


def images_of(layout: Layout, config: Mapping[str, Any]) -> tuple[str, ...]:
    """Roles of the films that it reads; none: the frontal one. In Libra's format an MLP sees no prior film."""
    return () if layout is LIBRA and config.get("mm_projector_type") != "TAC" else layout.images


def _only(config: Mapping[str, Any], name: str, known: tuple[Any, ...]) -> None:
    if config.get(name) not in known:
        raise BundleError(f"config.json has {name} {config.get(name)!r}, and only {known[0]!r} is read here")


def _table(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    table = config.get(name)
    if not isinstance(table, dict):
        raise BundleError(f"config.json has no {name}")
    return table


def split(
    layout: Layout, folder: Path, work: Path, progress: Progress, dtype: torch.dtype | None = None
) -> dict[str, Path]:
    """Write each part of a whole model as a folder of its own below ``work``: part -> folder.

    Args:
        dtype: of the LLM's weights; None: their own.

    Raises:
        BundleError: a tensor belongs to no part, or is damaged; what was begun is the caller's to remove.
    """
    files = TensorFiles(folder)
    places = {name: _part_of(layout, name, folder) for name in files}
    if absent := sorted({"projector", "llm"} - {part for part, _ in places.values()}):
        raise BundleError(f"{folder.name} is no whole {layout.title}: it has no {' and no '.join(absent)}")
    total = sum(real_path(path).stat().st_size for path in files.paths)
    check_space(work, total)
    writers: dict[str, ShardWriter] = {}
    for name, (part, short) in places.items():
        if part not in writers:
            writers[part] = ShardWriter(work / part, total, progress, f"taking {layout.title} apart")
        tensor = files.get(name)
        writers[part].add(short, cast(tensor, dtype, name) if part == "llm" else tensor)
    for writer in writers.values():
        writer.close()
    config = read_json(folder / "config.json")
    if "encoder" in writers and "vision_config" in config:
        (work / "encoder" / "config.json").write_text(json.dumps(_table(config, "vision_config")))
    (work / "llm" / "config.json").write_text(json.dumps(llm_config(layout, config)))
    copy_tokenizer((folder,), work / "llm")
    prefer_published_tokenizer(folder, work / "llm", layout.template)
    return {part: work / part for part in writers}


def _part_of(layout: Layout, name: str, folder: Path) -> tuple[str, str]:
    for prefix, part in layout.prefixes.items():
        if name.startswith(prefix):
            return part, name if part == "projector" else name.removeprefix(prefix)
    raise BundleError(f"{folder.name} has {name}, which {layout.title} does not have")


def llm_config(layout: Layout, config: Mapping[str, Any]) -> dict[str, Any]:
    """The ``config.json`` of the LLaMA inside."""
    if layout is not MAIRA_2:
        return {name: value for name, value in config.items() if not name.startswith("mm_")} | {"model_type": "llama"}
    from transformers import LlamaConfig

    text = _table(config, "text_config")
    usual = LlamaConfig()  # what equals it is not written into a nested configuration
    given = {name: getattr(usual, name) for name in _LLAMA_DEFAULTS} | text
    scaling = text.get("rope_scaling")
    if isinstance(scaling, dict) and scaling.get("rope_type", scaling.get("type")) == "linear":
        factor = scaling.get("factor")  # each reader of the configuration, vLLM too, multiplies the length by it
        if not isinstance(factor, int | float) or not 1 <= factor <= _MOST_STRETCH:
            raise BundleError("config.json has no usable rope_scaling")
    return given

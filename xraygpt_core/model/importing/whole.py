"""MAIRA-2, Libra and LLaVA-Rad in a folder of downloads: their parts, and how the importer gets each of them."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import torch

from xraygpt_core.errors import BundleError
from xraygpt_core.model.importing.downloads import WHERE, Chosen, Downloads, lacking, one
from xraygpt_core.model.importing.files import Progress
from xraygpt_core.model.importing.findings import few
from xraygpt_core.model.importing.importer import DTYPES, ImportRequest, asked_for_places
from xraygpt_core.model.importing.layouts import LLAVA_RAD, WHOLE, Layout, images_of, split, template_of, use_of
from xraygpt_core.model.importing.lora import adapter_file, merge
from xraygpt_core.model.importing.published_prompts import check_chat_template
from xraygpt_core.model.importing.tensors import TensorFiles, read_json
from xraygpt_core.model.prompt import template_named

_TRAINED = "non_lora_trainables.bin"  # LLaVA's name for what a training with LoRA tuned beside it


def choose_whole(found: Downloads, wanted: Mapping[str, Path | None], template: str | None) -> Chosen:
    """The parts of the one model that is there; a given encoder or base before a found one.

    Raises:
        BundleError: several models, or naming each missing part and where it is published.
    """
    models = found.whole + found.adapters
    if len(models) > 1:
        raise BundleError(f"more than one model is here: {', '.join(map(str, models))}; name the folder of one")
    if wanted.get("projector") or wanted.get("llm"):
        raise BundleError(f"{models[0]} has its own projector and language model; name all three parts, or none")
    return _chosen_whole(found, wanted, template) if found.whole else _chosen_adapter(found, wanted, template)


def _chosen_whole(found: Downloads, wanted: Mapping[str, Path | None], template: str | None) -> Chosen:
    folder = found.whole[0]
    config = read_json(folder / "config.json")
    layout = WHOLE[config["model_type"]]
    notes = [f"{layout.title} in one folder"]
    tower = next(prefix for prefix, part in layout.prefixes.items() if part == "encoder")
    within = folder if any(name.startswith(tower) for name in TensorFiles(folder)) else None
    encoder = wanted.get("encoder") or within or one(found.dinov2, "encoder", notes)
    if encoder is None:
        raise BundleError(lacking(found, [WHERE["rad-dino"]]))
    if template is None:
        check_chat_template(folder, layout.template)
    template = template or template_of(layout, config)
    return Chosen(encoder, folder, folder, None, template, tuple(notes), layout)


def _chosen_adapter(found: Downloads, wanted: Mapping[str, Path | None], template: str | None) -> Chosen:
    folder, missing = found.adapters[0], []
    trained = folder / _TRAINED
    if not trained.exists():
        raise BundleError(f"{folder} lacks {_TRAINED}, its projector; download it again")
    notes = ["LLaVA-Rad: an adapter, its projector, and the model it was trained on"]
    encoder = wanted.get("encoder") or one(found.biomedclip, "encoder", notes)
    base = wanted.get("base") or one(found.llms, "base", notes)
    if encoder is None:
        missing.append(WHERE["biomedclip"])
    if base is None:
        missing.append(WHERE["vicuna"])
    if encoder is None or base is None:
        raise BundleError(lacking(found, missing))
    adapter = adapter_file(folder)
    return Chosen(encoder, trained, adapter, base, template or LLAVA_RAD.template, tuple(notes), LLAVA_RAD)


def take_apart(chosen: Chosen, layout: Layout, wanted: ImportRequest, work: Path, progress: Progress) -> ImportRequest:
    """The request with each part as the importer reads it, written below ``work`` where it has no file of its own.

    Raises:
        BundleError: a part is damaged, or the model does something that is not done here.
    """
    template_named(chosen.template)  # before gibibytes are written
    asked_for_places(replace(wanted, template=chosen.template))
    if wanted.dtype not in (None, *DTYPES):
        raise BundleError(f"{wanted.dtype!r} is none of {', '.join(DTYPES)}")
    dtype = getattr(torch, wanted.dtype) if wanted.dtype else None
    folder = chosen.llm if chosen.base is None else chosen.llm.parent
    config = read_json(folder / "config.json")
    use, images = use_of(layout, config), images_of(layout, config)
    parts = {"encoder": chosen.encoder, "projector": chosen.projector}
    if chosen.base is None:
        parts |= split(layout, folder, work, progress, dtype)
        if chosen.encoder != folder:
            parts["encoder"] = chosen.encoder
    else:
        _check_trained(TensorFiles(chosen.projector), folder)
        parts["llm"] = work / "llm"
        merge(chosen.base, folder, parts["llm"], progress, dtype)
    question = wanted.question or layout.question
    wanted = replace(wanted, encoder=parts["encoder"], projector=parts["projector"], llm=parts["llm"])
    return replace(wanted, template=chosen.template, question=question, use=use, images=images)


def _check_trained(names: Iterable[str], folder: Path) -> None:
    """What was tuned beside the adapter is the projector and nothing else, or the merged model would be another."""
    if others := [name for name in names if "mm_projector." not in name]:
        raise BundleError(f"{folder.name}/{_TRAINED} has {few(others)}, which LLaVA-Rad does not have")

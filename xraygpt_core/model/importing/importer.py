"""``models import``: an encoder, a projector and an LLM, as they were downloaded, become one verified bundle.

Cheap checks come first: names, shapes and widths, then every number. The bundle appears under its name only when all of
it is there.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xraygpt_core.errors import BundleError
from xraygpt_core.model.bundle import FILE, Bundle, note_verified
from xraygpt_core.model.compose import PROJECTOR_FILE, new_bundle, write_bundle
from xraygpt_core.model.importing.encoders import OTHER_MODELS, ReadEncoder, convert_encoder
from xraygpt_core.model.importing.files import FileKind, Progress, check_space, kind_of, real_path
from xraygpt_core.model.importing.findings import ImportedPart
from xraygpt_core.model.importing.llms import describe_gguf, read_llm
from xraygpt_core.model.importing.projectors import ReadProjector, check_encoder, check_llm, read_projector
from xraygpt_core.model.importing.recipes import Use
from xraygpt_core.model.importing.tensors import shard_paths
from xraygpt_core.model.prompt import QUESTIONS, Template, template_named
from xraygpt_core.scope import MadeFor, Scope, scope_table

ENCODER_FILE = "encoder.safetensors"
ANSWER_TOKENS, PLACES_TOKENS = 300, 450  # of the released demo; of MAIRA-2's card where it says places
DTYPES = ("float32", "bfloat16", "float16")
# Published weights are under research licences, or were not measured on the films of the site.
RESEARCH = Scope(
    MadeFor.RESEARCH, "Research use only: this model was imported, and has not been validated on films like yours."
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_GGUF_GROWTH = 5  # bytes of bfloat16 for each byte of a file quantised to four bits, with room to spare


@dataclass(frozen=True)
class ImportRequest:
    """What to import: three paths, and how the model is to be prompted and computed.

    Attributes:
        use: what the model takes of its encoder; None: what is usual.
        images: roles of the films that it reads (:class:`xraygpt_core.model.backend.ImageRole`); none: the frontal one.
        places: it is asked where its findings are, in the template's own words.
        source: the table ``[source]`` (:mod:`xraygpt_core.model.importing.source`).
    """

    encoder: Path
    projector: Path
    llm: Path
    template: str = "xraygpt-code"
    question: str | None = None  # the usual one
    max_new_tokens: int = ANSWER_TOKENS
    dtype: str | None = None
    seed: int | None = None  # with one, text is drawn; without, the likeliest token is taken
    temperature: float = 1.0
    top_p: float = 0.9
    scope: Scope = RESEARCH
    use: Use | None = None
    images: tuple[str, ...] = ()
    places: bool = False
    source: Mapping[str, Any] | None = None


def asked_for_places(wanted: ImportRequest) -> ImportRequest:
    """The request with the question about places, where it wants them.

    Raises:
        BundleError: the template has none.
    """
    if not wanted.places:
        return wanted
    template = template_named(wanted.template)
    if not template.grounded:
        raise BundleError(f"--places is for a model that says where its findings are; {template.name}'s does not")
    return replace(wanted, question=template.grounded)


def import_bundle(
    models: Path, name: str, wanted: ImportRequest, progress: Progress
) -> tuple[Bundle, list[ImportedPart]]:
    """Make ``models/name``.

    Raises:
        BundleError: one sentence on what is wrong; nothing is left behind.
    """
    wanted = asked_for_places(wanted)
    template = _check_words(models, name, wanted)
    projector = read_projector(wanted.projector)
    gguf = real_path(wanted.llm).is_file() and kind_of(wanted.llm) is FileKind.GGUF
    llm = None if gguf else read_llm(wanted.llm)
    if llm is not None:
        check_llm(projector, llm.hidden)
        llm.part.notes += _prompted_otherwise(template, llm.part.notes[0])
    models.mkdir(parents=True, exist_ok=True)
    written = real_path(wanted.llm).stat().st_size * _GGUF_GROWTH if llm is None else llm.bytes_to_write(models)
    check_space(models, written + _size(wanted.encoder, OTHER_MODELS) + _size(wanted.projector))
    with new_bundle(models, name) as (work, commit):
        progress(0, 1, "reading the encoder")
        use = wanted.use or (Use(layer="all", padded=True) if projector.layers else None)  # as Libra has it
        encoder = convert_encoder(wanted.encoder, work / ENCODER_FILE, projector.takes, use)
        check_encoder(projector, encoder.positions, encoder.channels, encoder.part.found, encoder.layers)
        projector.write(work / PROJECTOR_FILE, None if llm is None else llm.config["num_attention_heads"])
        if llm is None:
            part = _convert_gguf(wanted.llm, work / "llm", projector)
        else:
            llm.write(work / "llm", progress)
            part = llm.part
        progress(1, 1, "hashing")
        write_bundle(work, name, _tables(wanted, template.stop, encoder, projector))
        bundle = commit()
    note_verified(bundle)
    return bundle, [encoder.part, projector.part, part]


def _check_words(models: Path, name: str, wanted: ImportRequest) -> Template:
    if not _NAME.fullmatch(name):
        raise BundleError(f"{name!r} is no bundle name: letters, digits, dots, dashes and underscores")
    if (models / name / FILE).exists():
        raise BundleError(f"there is a bundle {name!r} already; take another name, or remove {models / name}")
    if wanted.dtype not in (None, *DTYPES):
        raise BundleError(f"{wanted.dtype!r} is none of {', '.join(DTYPES)}")
    if wanted.question is not None and not wanted.question.strip():
        raise BundleError("the question is empty")
    return template_named(wanted.template)


def _prompted_otherwise(template: Template, version: str) -> list[str]:
    """A warning where the LLM looks like a Vicuna that was trained on other prompts than the template's."""
    hashes = "###" in template.stop
    if (hashes and "v1.5" in version) or (not hashes and "v0" in version and "v1.1" not in version):
        return [f"it was trained on other prompts than {template.name}'s: if the text is gibberish, that is why"]
    return []


def _size(source: Path, skip: str | None = None) -> int:
    paths = [source] if real_path(source).is_file() else shard_paths(source, skip)
    return sum(real_path(path).stat().st_size for path in paths)


def _convert_gguf(source: Path, folder: Path, projector: ReadProjector) -> ImportedPart:
    from xraygpt_core.model.importing.convert import convert_gguf, gguf_hidden

    check_llm(projector, gguf_hidden(source))
    convert_gguf(source, folder)
    return describe_gguf(folder)


def _tables(
    wanted: ImportRequest, stop: tuple[str, ...], encoder: ReadEncoder, projector: ReadProjector
) -> Mapping[str, Mapping[str, Any]]:
    declared = scope_table(wanted.scope)
    return {
        "encoder": {"class": encoder.kind, "weights": ENCODER_FILE, **encoder.options},
        "projector": {"class": projector.kind, "weights": PROJECTOR_FILE},
        "llm": {"folder": "llm", "dtype": wanted.dtype},
        "prompt": {"template": wanted.template, "question": wanted.question or QUESTIONS[0], "stop": list(stop)}
        | ({"images": list(wanted.images)} if wanted.images else {}),
        "decoding": _decoding(wanted),
    } | {name: table for name, table in (("scope", declared), ("source", wanted.source)) if table}


def _decoding(wanted: ImportRequest) -> dict[str, Any]:
    if wanted.seed is None:
        return {"max_new_tokens": wanted.max_new_tokens, "do_sample": False}
    drawn = {"temperature": wanted.temperature, "top_p": wanted.top_p, "seed": wanted.seed}
    return {"max_new_tokens": wanted.max_new_tokens, "do_sample": True, **drawn}

"""Downloads that are no whole model: an encoder with an LLM, to train a projector for, or the LLM of a judge."""

import tempfile
from pathlib import Path

from xraygpt_core.model.bundle import Bundle, note_verified
from xraygpt_core.model.compose import new_bundle, write_bundle
from xraygpt_core.model.importing.encoders import OTHER_MODELS, convert_encoder
from xraygpt_core.model.importing.files import Progress, check_space, real_path
from xraygpt_core.model.importing.findings import ImportedPart
from xraygpt_core.model.importing.hashes import check_hashes
from xraygpt_core.model.importing.importer import ENCODER_FILE, RESEARCH
from xraygpt_core.model.importing.llms import read_llm
from xraygpt_core.model.importing.source import read_source
from xraygpt_core.model.importing.tensors import shard_paths
from xraygpt_core.model.prompt import template_named
from xraygpt_core.scope import scope_table


def import_base(
    models: Path, name: str, parts: tuple[Path, Path], prompt: tuple[str, str], progress: Progress
) -> tuple[Bundle, list[ImportedPart]]:
    """Make ``models/name`` of an encoder and an LLM, without a projector: what a training begins from.

    Args:
        parts: the folders of both.
        prompt: template and question.

    Raises:
        BundleError: one sentence on what is wrong; nothing is left behind.
    """
    encoder_folder, llm_folder = parts
    template = template_named(prompt[0])
    check_downloaded([encoder_folder, llm_folder], progress)
    llm = read_llm(llm_folder)
    size = sum(real_path(path).stat().st_size for path in shard_paths(encoder_folder, OTHER_MODELS))
    models.mkdir(parents=True, exist_ok=True)
    check_space(models, llm.bytes_to_write(models) + size)
    with new_bundle(models, name) as (work, commit):
        encoder = convert_encoder(encoder_folder, work / ENCODER_FILE)
        llm.write(work / "llm", progress)
        progress(1, 1, "hashing")
        tables = {
            "encoder": {"class": encoder.kind, "weights": ENCODER_FILE, **encoder.options},
            "llm": {"folder": "llm"},
            "prompt": {"template": template.name, "question": prompt[1], "stop": list(template.stop)},
            "decoding": {"max_new_tokens": 300, "do_sample": False},
            "scope": scope_table(RESEARCH) or {},
        }
        source = read_source(encoder_folder.parent)
        write_bundle(work, name, tables | ({"source": source} if source else {}))
        bundle = commit()
    note_verified(bundle)
    return bundle, [encoder.part, llm.part]


def import_judge(source: Path, target: Path, progress: Progress) -> ImportedPart:
    """Make the folder ``target`` of an LLM, checked and as safetensors; what it is.

    Raises:
        BundleError: one sentence on what is wrong; nothing is left behind.
    """
    check_downloaded([source], progress)
    llm = read_llm(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    check_space(target.parent, llm.bytes_to_write(target.parent))
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as work:
        llm.write(Path(work) / "llm", progress)
        (Path(work) / "llm").replace(target)
    return llm.part


def check_downloaded(folders: list[Path], progress: Progress) -> None:
    """Hold each weights file against the hash that came with its download.

    Raises:
        BundleError: one differs.
    """
    files = [path for folder in folders for path in shard_paths(folder, OTHER_MODELS)]
    check_hashes(files, lambda name: progress(0, 1, f"hashing {name}"))

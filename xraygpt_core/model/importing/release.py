"""The released XrayGPT, found in a folder of downloads: which file is which part, and what is missing.

Parts are told by what they hold, not by their names. Which encoder is wanted follows from the projector: one that
takes 512 numbers was trained on MedCLIP's pooled vector (the paper), one that takes 768 on the Q-Former of BLIP-2 (the
public code). A projector says nothing sensible about the features of another encoder, so none is guessed.
"""

import json
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from xraygpt_core.errors import BundleError
from xraygpt_core.model.importing.delta import apply_delta, is_delta
from xraygpt_core.model.importing.files import FileKind, Progress, check_space, kind_of, real_path
from xraygpt_core.model.importing.hashes import HashCheck, check_hashes
from xraygpt_core.model.importing.importer import ImportRequest
from xraygpt_core.model.importing.projectors import read_projector
from xraygpt_core.model.importing.tensors import TensorFiles, shard_paths

_DEPTH = 3  # folders below the one that is searched
_WEIGHTS = "pytorch_model.bin"
_START = re.compile(r"^(pretrained_)?minigpt4", re.IGNORECASE)  # what the authors' training started from
_MEDCLIP_WIDTH, _QFORMER_WIDTH = 512, 768

WHERE = {
    "projector": "the checkpoint (checkpoint_*.pth, 38 MB): link 'pretrained xraygpt checkpoints' in the README of "
    "github.com/mbzuai-oryx/XrayGPT",
    "MedCLIP": "MedCLIP's weights (medclip-vit-pretrained.zip, 0.5 GB): the address is in "
    "medclip/medclip_vit_weight.txt of github.com/RyanWangZf/MedCLIP",
    "BLIP-2": "the Q-Former's encoder: Hugging Face Salesforce/blip2-flan-t5-xxl, without its language_model shards "
    "(4.4 GB)",
    "llm": "the language model (folder Vicuna_Radiology_fp16, 13.5 GB): link 'vicuna_weights' in the README of "
    "github.com/mbzuai-oryx/XrayGPT",
    "base": "LLaMA 7B in Hugging Face's format, which the Vicuna delta is added to: from Meta, under its licence; then "
    "transformers' convert_llama_weights_to_hf",
}


@dataclass
class Downloads:
    """What a folder holds that may be a part, each list in the order of names."""

    folder: Path
    medclip: list[Path] = field(default_factory=list)  # archives and unpacked files
    blip2: list[Path] = field(default_factory=list)
    projectors: list[Path] = field(default_factory=list)
    llms: list[Path] = field(default_factory=list)
    deltas: list[Path] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Chosen:
    """The parts that are taken. ``base``: what the LLM, a delta, is added to."""

    encoder: Path
    projector: Path
    llm: Path
    base: Path | None
    template: str
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        """What is taken, as sentences."""
        parts = (("encoder", self.encoder), ("projector", self.projector), ("llm", self.llm), ("base", self.base))
        return [f"{part}: {path}" for part, path in parts if path is not None] + list(self.notes)


def look(folder: Path) -> Downloads:
    """Sort what lies in a folder by what it holds; three folders deep, hidden ones left out.

    Raises:
        BundleError: there is no such folder.
    """
    if not real_path(folder).is_dir():
        raise BundleError(f"{folder} is no folder")
    found = Downloads(folder)
    for path in _walk(folder, _DEPTH):
        try:
            _sort(path, found)
        except BundleError as error:
            found.unreadable.append(str(error))
    return found


def choose(found: Downloads, wanted: dict[str, Path | None], template: str | None = None) -> Chosen:
    """One of each part, a given one before a found one.

    Args:
        wanted: paths that were given, under ``encoder``, ``projector``, ``llm`` and ``base``.
        template: None takes the one the projector was trained with.

    Raises:
        BundleError: naming each missing part and where it is published, or the candidates for one.
    """
    notes: list[str] = []
    missing: list[str] = []
    projector = wanted.get("projector") or _one(found.projectors, "projector", notes, prefer=_not_the_start)
    takes = None if projector is None else read_projector(projector).takes
    if projector is None:
        missing.append(WHERE["projector"])
    encoder = wanted.get("encoder") or _encoder(found, takes, missing, notes)
    llm = wanted.get("llm") or _one(found.llms, "llm", notes) or _one(found.deltas, "llm", notes)
    base = None
    if llm is None:
        missing.append(WHERE["llm"])
    elif llm in found.deltas or (real_path(llm).is_dir() and is_delta(llm)):
        base = wanted.get("base")
        if base is None:
            missing.append(WHERE["base"])
    if missing or projector is None or encoder is None or llm is None:
        raise BundleError(_missing(found, missing))
    if wanted.get("base") is None and not wanted.get("llm") and found.deltas and found.llms:
        notes.append(f"{found.deltas[0].name} is a delta and is not needed: {llm.name} is a whole model")
    trained = "xraygpt-paper" if takes == _MEDCLIP_WIDTH else "xraygpt-demo"
    return Chosen(encoder, projector, llm, base, template or trained, tuple(notes))


@contextmanager
def unpacked(chosen: Chosen, wanted: ImportRequest, models: Path, progress: Progress) -> Iterator[ImportRequest]:
    """The request with every part as the importer reads it: archives unpacked, the delta added, beside the bundles.

    What was unpacked is linked into the bundle and then removed under its own name, so it takes no space twice.
    """
    models.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".unpacked-", dir=models) as temporary:
        work = Path(temporary)
        encoder, llm = chosen.encoder, chosen.llm
        if _is_archive(encoder):
            encoder = _unpack(encoder, work, progress)
        if chosen.base is not None:
            llm = work / "llm"
            apply_delta(chosen.base, chosen.llm, llm, progress)
        yield replace(wanted, encoder=encoder, projector=chosen.projector, llm=llm, template=chosen.template)


def check_downloads(chosen: Chosen, notify: Callable[[str], None]) -> HashCheck:
    """Compare every weights file with the hash that came with it (:mod:`xraygpt_core.model.importing.hashes`).

    Raises:
        BundleError: a file is not what its download says.
    """
    files: list[Path] = []
    for part in (chosen.encoder, chosen.projector, chosen.llm, chosen.base):
        if part is not None:
            files += shard_paths(part, r"^(language_model|text_model)\.") if real_path(part).is_dir() else [part]
    return check_hashes(files, notify)


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        yield path
        if path.is_dir() and depth > 1 and not path.is_symlink():
            yield from _walk(path, depth - 1)


def _sort(path: Path, found: Downloads) -> None:
    if path.is_dir():
        kind = _model_type(path)
        if kind == "llama":
            (found.deltas if is_delta(path) else found.llms).append(path)
        elif kind == "blip-2":
            found.blip2.append(path)
    elif path.suffix == ".zip":
        if _is_archive(path):
            found.medclip.append(path)
    elif path.name == _WEIGHTS and _model_type(path.parent) is None:
        if any(name.startswith("vision_model.") for name in TensorFiles(path)):
            found.medclip.append(path)
    elif path.suffix in (".pth", ".pt") and any("llama_proj" in name for name in TensorFiles(path)):
        found.projectors.append(path)


def _model_type(folder: Path) -> str | None:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    kind = config.get("model_type") if isinstance(config, dict) else None
    return kind if isinstance(kind, str) else None


def _encoder(found: Downloads, takes: int | None, missing: list[str], notes: list[str]) -> Path | None:
    if takes == _QFORMER_WIDTH:
        encoder = _one(found.blip2, "encoder", notes)
        if encoder is None:
            hint = "; MedCLIP is here, but this projector was not trained on it" if found.medclip else ""
            missing.append(f"{WHERE['BLIP-2']}{hint} (its projector takes 768 numbers a token)")
        return encoder
    if takes in (None, _MEDCLIP_WIDTH):
        encoder = _one(found.medclip, "encoder", notes, prefer=_unpacked_first)
        if encoder is None:
            missing.append(WHERE["MedCLIP"])
        return encoder
    raise BundleError(
        f"the projector takes {takes} numbers a token: neither MedCLIP's 512 nor the Q-Former's 768; "
        "name its encoder with --encoder"
    )


def _one(
    paths: list[Path], part: str, notes: list[str], prefer: Callable[[list[Path]], list[Path]] = lambda paths: paths
) -> Path | None:
    likely = prefer(paths)
    if len(likely) > 1:
        names = ", ".join(str(path) for path in likely)
        raise BundleError(f"more than one {part} is here: {names}; name the one you mean with --{part}")
    if len(paths) > 1:
        notes.append(f"{part}: {likely[0].name} is taken, not {', '.join(p.name for p in paths if p != likely[0])}")
    return likely[0] if likely else None


def _not_the_start(paths: list[Path]) -> list[Path]:
    """The authors' checkpoint rather than MiniGPT-4's, which their README has one download, too."""
    return [path for path in paths if not _START.search(path.name)] or paths


def _unpacked_first(paths: list[Path]) -> list[Path]:
    """Of an archive and what was unpacked from it, the latter; ViT before ResNet, as the paper's figure has it."""
    files = [path for path in paths if path.suffix != ".zip"] or paths
    return [path for path in files if "vit" in str(path).lower()] or files


def _missing(found: Downloads, missing: list[str]) -> str:
    unread = f" Not readable there: {'; '.join(found.unreadable[:3])}." if found.unreadable else ""
    return f"{found.folder} lacks: " + "; ".join(missing) + "." + unread


def _is_archive(path: Path) -> bool:
    """A zip that holds a weights file, and is none itself."""
    if not real_path(path).is_file() or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    return any(Path(name).name == _WEIGHTS for name in names) and not any(n.endswith("data.pkl") for n in names)


def _unpack(archive: Path, work: Path, progress: Progress) -> Path:
    """The weights file in an archive; its checksum (CRC-32) is checked on the way."""
    target = work / _WEIGHTS
    try:
        with zipfile.ZipFile(archive) as opened:
            entry = next(one for one in opened.infolist() if Path(one.filename).name == _WEIGHTS)
            check_space(work, entry.file_size)
            progress(0, max(entry.file_size, 1), f"unpacking {archive.name}")
            with opened.open(entry) as source, target.open("wb") as file:
                shutil.copyfileobj(source, file, 2**22)
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError) as error:
        raise BundleError(f"{archive.name} is truncated or damaged; download it again") from error
    if kind_of(target) not in (FileKind.TORCH, FileKind.LEGACY_TORCH):
        raise BundleError(f"{archive.name}: its {_WEIGHTS} is no torch file")
    return target

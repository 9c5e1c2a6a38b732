"""A published model from a folder of downloads: its parts chosen, their hashes compared, and made ready to be imported.

MAIRA-2, Libra and LLaVA-Rad are recognised by their ``config.json``
(:mod:`xraygpt_core.model.importing.layouts`). Anything else is taken for the released XrayGPT, whose encoder follows
from its projector: one that takes 512 numbers was trained on MedCLIP's pooled vector (the paper), one that takes 768 on
the Q-Former of BLIP-2 (the public code). A projector says nothing sensible about the features of another encoder, so
none is guessed.
"""

import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from xraygpt_core.errors import BundleError
from xraygpt_core.model.importing.delta import apply_delta, is_delta
from xraygpt_core.model.importing.downloads import WEIGHTS, WHERE, Chosen, Downloads, is_archive, lacking, look, one
from xraygpt_core.model.importing.encoders import OTHER_MODELS
from xraygpt_core.model.importing.files import FileKind, Progress, check_space, kind_of, real_path
from xraygpt_core.model.importing.hashes import HashCheck, check_hashes
from xraygpt_core.model.importing.importer import ImportRequest
from xraygpt_core.model.importing.projectors import read_projector
from xraygpt_core.model.importing.tensors import shard_paths
from xraygpt_core.model.importing.whole import choose_whole, take_apart

__all__ = ["Chosen", "Downloads", "check_downloads", "choose", "look", "unpacked"]

_START = re.compile(r"^(pretrained_)?minigpt4", re.IGNORECASE)  # what the authors' training started from
_MEDCLIP_WIDTH, _QFORMER_WIDTH = 512, 768


def choose(found: Downloads, wanted: dict[str, Path | None], template: str | None = None) -> Chosen:
    """One of each part, a given one before a found one. A model that comes as a whole goes before loose parts.

    Args:
        wanted: paths that were given, under ``encoder``, ``projector``, ``llm`` and ``base``.
        template: None takes the one the projector was trained with.

    Raises:
        BundleError: naming each missing part and where it is published, or the candidates for one.
    """
    if found.whole or found.adapters:
        return choose_whole(found, wanted, template)
    notes: list[str] = []
    missing: list[str] = []
    projector = wanted.get("projector") or one(found.projectors, "projector", notes, prefer=_not_the_start)
    takes = None if projector is None else read_projector(projector).takes
    if projector is None:
        missing.append(WHERE["projector"])
    encoder = wanted.get("encoder") or _encoder(found, takes, missing, notes)
    llm = wanted.get("llm") or one(found.llms, "llm", notes) or one(found.deltas, "llm", notes)
    base = None
    if llm is None:
        missing.append(WHERE["llm"])
    elif llm in found.deltas or (real_path(llm).is_dir() and is_delta(llm)):
        base = wanted.get("base")
        if base is None:
            missing.append(WHERE["base"])
    if missing or projector is None or encoder is None or llm is None:
        raise BundleError(lacking(found, missing))
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
        if chosen.layout is not None:
            yield take_apart(chosen, chosen.layout, wanted, work, progress)
            return
        encoder, llm = chosen.encoder, chosen.llm
        if is_archive(encoder):
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
    needless = OTHER_MODELS if chosen.layout is None else None  # MAIRA-2's language model is needed
    for part in dict.fromkeys((chosen.encoder, chosen.projector, chosen.llm, chosen.base)):
        if part is not None:
            files += shard_paths(part, needless) if real_path(part).is_dir() else [part]
    return check_hashes(files, notify)


def _encoder(found: Downloads, takes: int | None, missing: list[str], notes: list[str]) -> Path | None:
    if takes == _QFORMER_WIDTH:
        encoder = one(found.blip2, "encoder", notes)
        if encoder is None:
            hint = "; MedCLIP is here, but this projector was not trained on it" if found.medclip else ""
            missing.append(f"{WHERE['BLIP-2']}{hint} (its projector takes 768 numbers a token)")
        return encoder
    if takes in (None, _MEDCLIP_WIDTH):
        encoder = one(found.medclip, "encoder", notes, prefer=_unpacked_first)
        if encoder is None:
            missing.append(WHERE["MedCLIP"])
        return encoder
    raise BundleError(
        f"the projector takes {takes} numbers a token: neither MedCLIP's 512 nor the Q-Former's 768; "
        "name its encoder with --encoder"
    )


def _not_the_start(paths: list[Path]) -> list[Path]:
    """The authors' checkpoint rather than MiniGPT-4's, which their README has one download, too."""
    return [path for path in paths if not _START.search(path.name)] or paths


def _unpacked_first(paths: list[Path]) -> list[Path]:
    """Of an archive and what was unpacked from it, the latter; ViT before ResNet, as the paper's figure has it."""
    files = [path for path in paths if path.suffix != ".zip"] or paths
    return [path for path in files if "vit" in str(path).lower()] or files


def _unpack(archive: Path, work: Path, progress: Progress) -> Path:
    """The weights file in an archive; its checksum (CRC-32) is checked on the way."""
    target = work / WEIGHTS
    try:
        with zipfile.ZipFile(archive) as opened:
            entry = next(one for one in opened.infolist() if Path(one.filename).name == WEIGHTS)
            check_space(work, entry.file_size)
            progress(0, max(entry.file_size, 1), f"unpacking {archive.name}")
            with opened.open(entry) as source, target.open("wb") as file:
                shutil.copyfileobj(source, file, 2**22)
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError) as error:
        raise BundleError(f"{archive.name} is truncated or damaged; download it again") from error
    if kind_of(target) not in (FileKind.TORCH, FileKind.LEGACY_TORCH):
        raise BundleError(f"{archive.name}: its {WEIGHTS} is no torch file")
    return target

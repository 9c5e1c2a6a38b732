"""What lies in a folder of downloads: which file may be which part of a published model, by what it holds."""

import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from xraygpt_core.errors import BundleError
from xraygpt_core.model.importing.delta import is_delta
from xraygpt_core.model.importing.files import real_path
from xraygpt_core.model.importing.layouts import LLAVA_RAD, WHOLE, Layout
from xraygpt_core.model.importing.tensors import TensorFiles

WEIGHTS = "pytorch_model.bin"
_DEPTH = 3  # folders below the one that is searched

WHERE = {
    "projector": "the checkpoint (checkpoint_*.pth, 38 MB): link 'pretrained xraygpt checkpoints' in the README of "
    "github.com/mbzuai-oryx/XrayGPT",
    "MedCLIP": "MedCLIP's weights (medclip-vit-pretrained.zip, 0.5 GB): the address is in "
    "medclip/medclip_vit_weight.txt of github.com/RyanWangZf/MedCLIP",
    "BLIP-2": "the Q-Former's encoder: Hugging Face Salesforce/blip2-flan-t5-xxl, without its language_model shards "
    "(4.4 GB)",
    "llm": "the language model (folder Vicuna_Radiology_fp16, 13.5 GB): link 'vicuna_weights' in the README of "
    "github.com/mbzuai-oryx/XrayGPT",
    "rad-dino": "the encoder RAD-DINO: Hugging Face microsoft/rad-dino (0.35 GB)",
    "biomedclip": "the encoder: biomedclipcxr_518_checkpoint.pt of Hugging Face microsoft/llava-rad",
    "vicuna": "the language model that the adapter is merged into: Hugging Face lmsys/vicuna-7b-v1.5 (13.5 GB)",
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
    whole: list[Path] = field(default_factory=list)  # a model with everything in it
    adapters: list[Path] = field(default_factory=list)
    dinov2: list[Path] = field(default_factory=list)
    biomedclip: list[Path] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Chosen:
    """The parts that are taken.

    Attributes:
        base: what the LLM, a delta or an adapter, is added to.
        layout: the model that they are parts of; None: the released XrayGPT.
    """

    encoder: Path
    projector: Path
    llm: Path
    base: Path | None
    template: str
    notes: tuple[str, ...]
    layout: Layout | None = None

    def lines(self) -> list[str]:
        """What is taken, as sentences."""
        parts = (("encoder", self.encoder), ("projector", self.projector), ("llm", self.llm), ("base", self.base))
        return [f"{part}: {path}" for part, path in parts if path is not None] + list(self.notes)


def look(folder: Path) -> Downloads:
    """Sort the folder and what lies in it by what it holds; three folders deep, hidden ones left out.

    Raises:
        BundleError: there is no such folder.
    """
    if not real_path(folder).is_dir():
        raise BundleError(f"{folder} is no folder")
    found = Downloads(folder)
    for path in (folder, *_walk(folder, _DEPTH)):
        try:
            _sort(path, found)
        except BundleError as error:
            found.unreadable.append(str(error))
    return found


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        yield path
        if path.is_dir() and depth > 1 and not path.is_symlink():
            yield from _walk(path, depth - 1)


def _sort(path: Path, found: Downloads) -> None:
    if path.is_dir():
        _sort_folder(path, found)
    elif path.suffix == ".zip":
        if is_archive(path):
            found.medclip.append(path)
    elif path.name == WEIGHTS and _model_type(path.parent) is None:
        if any(name.startswith("vision_model.") for name in TensorFiles(path)):
            found.medclip.append(path)
    elif path.suffix in (".pth", ".pt"):
        names = list(TensorFiles(path))
        if any("llama_proj" in name for name in names):
            found.projectors.append(path)
        elif any("visual.trunk.blocks." in name for name in names):
            found.biomedclip.append(path)


def _sort_folder(path: Path, found: Downloads) -> None:
    kind = _model_type(path)
    if (path / "adapter_config.json").is_file() and kind == LLAVA_RAD.model_type:
        found.adapters.append(path)
    elif kind in WHOLE:
        found.whole.append(path)
    elif kind == "llama":
        (found.deltas if is_delta(path) else found.llms).append(path)
    elif kind == "blip-2":
        found.blip2.append(path)
    elif kind == "dinov2":
        found.dinov2.append(path)


def _model_type(folder: Path) -> str | None:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    kind = config.get("model_type") if isinstance(config, dict) else None
    return kind if isinstance(kind, str) else None


def one(
    paths: list[Path], part: str, notes: list[str], prefer: Callable[[list[Path]], list[Path]] = lambda paths: paths
) -> Path | None:
    """The only candidate for a part, or the preferred one; None if there is none.

    Raises:
        BundleError: several are left, which are named.
    """
    likely = prefer(paths)
    if len(likely) > 1:
        names = ", ".join(str(path) for path in likely)
        raise BundleError(f"more than one {part} is here: {names}; name the one you mean with --{part}")
    if len(paths) > 1:
        notes.append(f"{part}: {likely[0].name} is taken, not {', '.join(p.name for p in paths if p != likely[0])}")
    return likely[0] if likely else None


def lacking(found: Downloads, missing: list[str]) -> str:
    """The sentence that names each missing part and where it is published."""
    unread = f" Not readable there: {'; '.join(found.unreadable[:3])}." if found.unreadable else ""
    return f"{found.folder} lacks: " + "; ".join(missing) + "." + unread


def is_archive(path: Path) -> bool:
    """A zip that holds a weights file, and is none itself."""
    if not real_path(path).is_file() or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    return any(Path(name).name == WEIGHTS for name in names) and not any(n.endswith("data.pkl") for n in names)

"""What ``--data`` and ``--from-ledger`` name, as sets of a mixture: a folder or file is recognised by its look."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from xraygpt_core.errors import TrainingError
from xraygpt_core.training.mixture import mixture_document
from xraygpt_core.training.selection import parse_selection

_TABLES = (".csv", ".csv.gz", ".jsonl", ".jsonl.gz")
_ARCHIVES = (".tgz", ".tar.gz", ".tar")
_MIMIC = re.compile(r"p\d\d")
_LOOKED_AT = 2000  # names in a folder
LAYOUTS = (
    "a mixture (.toml), a table (.csv, .jsonl), XrayGPT's layout (image/ and filter_cap.json), MIMIC-CXR-JPG "
    "(files/p10 …), Open-i (XML reports, or their .tgz), a data directory (manifest.jsonl)"
)


def sets_of(data: Sequence[str], selections: Sequence[str]) -> list[dict[str, Any]]:
    """The sets that these folders, files, addresses and selections of signed studies name, each with its own name.

    Raises:
        TrainingError: one of them is not there, or looks like none of the layouts.
    """
    found = [one for place in data for one in _sets(place)]
    for text in selections:
        parse_selection(text)
        found.append({"name": "signed studies", "reader": "ledger", "select": text, "split": "by-patient"})
    seen: Counter[str] = Counter()
    for one in found:
        name = str(one.get("name"))
        seen[name] += 1
        if seen[name] > 1:
            one["name"] = f"{name} ({seen[name]})"
    return found


def _sets(place: str) -> list[dict[str, Any]]:
    if place.endswith(".toml") and "://" not in place:
        sets = mixture_document(Path(place)).get("sets")
        if not isinstance(sets, list) or not all(isinstance(one, dict) for one in sets):
            raise TrainingError(f"{place} has no list of sets ([[sets]])")
        return sets
    name = Path(place.rstrip("/")).name.partition(".")[0] or "data"
    if place.startswith("s3://"):
        if not place.endswith(_TABLES):
            raise TrainingError(f"{place}: of an address, only a table is recognised; for others write a mixture file")
        return [{"name": name, "reader": "table", "path": place}]
    path = Path(place).absolute()
    reader, path = _look(path)
    one = {"name": name, "reader": reader, "path": str(path)}
    if reader == "open-i":
        one["split"] = "by-patient"
    return [one]


def _look(path: Path) -> tuple[str, Path]:
    """The reader for what lies there, and where it reads."""
    if path.is_file():
        if path.name == "filter_cap.json":
            return "filter-cap", path.parent
        if path.name == "manifest.jsonl":
            return "manifest", path.parent
        if path.name.endswith(_TABLES):
            return "table", path
        if path.name.endswith(_ARCHIVES):
            return "open-i", path
        raise TrainingError(f"{path} looks like no set: known are {LAYOUTS}")
    if not path.is_dir():
        raise TrainingError(f"there is no file or folder {path}")
    if (path / "filter_cap.json").is_file():
        return "filter-cap", path
    if (path / "manifest.jsonl").is_file():
        return "manifest", path
    for root in (path, path.parent):
        if root / "files" in (path / "files", path) and _is_mimic(root / "files"):
            return "mimic-cxr", root
    if any(one.suffix == ".xml" for one in _some(path)):
        return "open-i", path
    raise TrainingError(f"{path} looks like no set: known are {LAYOUTS}")


def _is_mimic(folder: Path) -> bool:
    return folder.is_dir() and any(one.is_dir() and _MIMIC.fullmatch(one.name) for one in folder.iterdir())


def _some(folder: Path) -> Iterable[Path]:
    """Some of what lies in a folder, one level of folders below it included."""
    looked = 0
    for one in sorted(folder.iterdir()):
        inside = [one] if not one.is_dir() else one.iterdir()
        for path in inside:
            yield path
            looked += 1
            if looked > _LOOKED_AT:
                return

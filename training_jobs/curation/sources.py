"""Which reader a source needs: said, or told from its name and what is in it."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from training_jobs.curation.mimic import read_mimic
from training_jobs.curation.open_i import read_open_i
from training_jobs.curation.options import READERS
from training_jobs.curation.records import Record
from training_jobs.curation.tables import read_csv, read_jsonl
from xraygpt_core.errors import TrainingError

_ENOUGH = 2000  # entries of a folder that are looked at


def reader_of(source: Path) -> str:
    """The reader for a source by its name; a folder or archive is MIMIC-CXR's if it has its text files.

    Raises:
        TrainingError: there is no such file or folder.
    """
    if not source.exists():
        raise TrainingError(f"there is no {source}")
    name = source.name.lower().removesuffix(".gz")
    if name.endswith(".csv"):
        return "csv"
    if name.endswith((".jsonl", ".ndjson")):
        return "jsonl"
    if "mimic" in name:
        return "mimic-cxr"
    if source.is_dir():
        for number, path in enumerate(source.rglob("s*.txt")):
            if path.parent.name.startswith("p") and path.stem[1:].isdigit():
                return "mimic-cxr"
            if number > _ENOUGH:
                break
    return "open-i"


def read_reports(source: Path, reader: str, columns: Mapping[str, str], images: Path | None) -> Iterator[Record]:
    """The reports of a source in an order that is the same every time.

    Raises:
        TrainingError: it cannot be read.
    """
    match reader:
        case "open-i":
            return read_open_i(source)
        case "mimic-cxr":
            return read_mimic(source, images)
        case "csv":
            return read_csv(source, columns)
        case "jsonl":
            return read_jsonl(source, columns)
    raise TrainingError(f"there is no reader {reader!r}; there are {', '.join(READERS)}")

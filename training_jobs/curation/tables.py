"""Reports in rows: a CSV with a column for each section, as CheXpert Plus has it, and any JSON lines."""

import csv
import gzip
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from training_jobs.curation.archives import BROKEN
from training_jobs.curation.records import Record, broken
from xraygpt_core.errors import TrainingError

FIELDS = ("uid", "findings", "impression", "indication", "patient", "images")
# CheXpert Plus' names, then ours, then what people call them.
_USUAL: dict[str, tuple[str, ...]] = {
    "uid": ("uid", "path_to_image", "study_id", "report_id", "id", "pair_id"),
    "findings": ("section_findings", "findings"),
    "impression": ("section_impression", "impression"),
    "indication": ("section_clinical_history", "section_history", "section_indication", "indication", "history"),
    "patient": ("deid_patient_id", "patient", "patient_id", "subject_id"),
    "images": ("path_to_image", "images", "image", "image_id"),
}
_MAX_LINE = 2**22  # letters


def read_csv(source: Path, columns: Mapping[str, str]) -> Iterator[Record]:
    """The rows of a ``.csv`` or ``.csv.gz``; ``columns`` gives the name of a column where it is not a usual one.

    Raises:
        TrainingError: it cannot be read, or a column that is needed is not there.
    """
    with _text(source) as lines:
        csv.field_size_limit(_MAX_LINE)
        rows = csv.DictReader(_bounded_lines(lines, source))
        names = _names(list(rows.fieldnames or ()), columns, source)
        begun = rows.line_num + 1
        try:
            for row in rows:
                where = f"{source.name}, line {begun}"
                begun = rows.line_num + 1
                if None in row or None in row.values():
                    yield broken(where, "it has not as many cells as the first row")
                else:
                    yield _record({ours: row[theirs] for ours, theirs in names.items()}, where)
        except csv.Error as error:
            raise TrainingError(f"{source}, line {rows.line_num}: {error}") from error


def read_jsonl(source: Path, columns: Mapping[str, str]) -> Iterator[Record]:
    """The objects of a ``.jsonl`` or ``.jsonl.gz``. A broken line is a broken record.

    Raises:
        TrainingError: it cannot be read.
    """
    names: dict[str, str] = {}
    with _text(source) as lines:
        for number, line in enumerate(_bounded_lines(lines, source), 1):
            if not line.strip():
                continue
            where = f"{source.name}, line {number}"
            try:
                data = json.loads(line)
            except (ValueError, RecursionError):
                yield broken(where, "this is no JSON")
                continue
            if not isinstance(data, dict):
                yield broken(where, "this is no object")
                continue
            names = names or _names(list(data), columns, source)
            yield _record({ours: data.get(theirs) for ours, theirs in names.items()}, where)


def _names(there: list[str], columns: Mapping[str, str], source: Path) -> dict[str, str]:
    """Our fields and the columns they are in."""
    unknown = sorted(set(columns) - set(FIELDS))
    if unknown:
        raise TrainingError(f"--column {unknown[0]}=… is none of {', '.join(FIELDS)}")
    found = dict(columns)
    for ours, usual in _USUAL.items():
        if ours not in found and (name := next((one for one in usual if one in there), None)):
            found[ours] = name
    missing = [f"{ours} ({name})" for ours, name in columns.items() if name not in there]
    missing += [ours for ours in ("findings", "impression") if ours not in found]
    if missing:
        raise TrainingError(f"{source} has no column for {', '.join(missing)}: name it with --column OURS=THEIRS")
    return found


def _record(cells: Mapping[str, Any], where: str) -> Record:
    def text(name: str) -> str:
        value = cells.get(name)
        return " ".join(str(value).split()) if isinstance(value, str | int) else ""

    films = cells.get("images")
    images = (
        tuple(str(one) for one in films) if isinstance(films, list) else (text("images"),) if text("images") else ()
    )
    return Record(
        text("uid") or where, text("findings"), text("impression"), text("indication"), text("patient"), images, where
    )


@contextmanager
def _text(source: Path) -> Iterator[TextIO]:
    try:
        with (gzip.open if source.suffix == ".gz" else open)(source, "rt", encoding="utf-8-sig", newline="") as lines:
            yield lines
    except UnicodeDecodeError as error:
        raise TrainingError(f"{source} is no UTF-8: {error.reason} at byte {error.start}") from error
    except BROKEN as error:
        raise TrainingError(f"{source} cannot be read: {error}") from error


def _bounded_lines(lines: TextIO, source: Path) -> Iterator[str]:
    number = 0
    while line := lines.readline(_MAX_LINE + 1):
        number += 1
        if len(line) > _MAX_LINE:
            raise TrainingError(f"{source}, line {number} is longer than {_MAX_LINE} letters")
        yield line.replace("\0", "")

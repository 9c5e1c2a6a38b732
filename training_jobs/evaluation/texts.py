"""Texts beside their references, as files: JSON lines of ours, or what a ReXrank inference script leaves."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xraygpt_core.errors import TrainingError

_MOST_LETTERS = 2**30  # of a file; what is longer is cut, and so no JSON


@dataclass(frozen=True)
class TextPair:
    """A text that was written about a film, and the text that is right.

    Attributes:
        uid: opaque, unique in its file.
    """

    uid: str
    candidate: str
    reference: str


def read_text_pairs(file: Path) -> list[TextPair]:
    """The texts of a file.

    ``.jsonl``: a line ``{"id", "candidate", "reference"}`` for each. ``.json``: an object of studies with
    ``model_prediction``, ``section_findings`` and ``section_impression``; the reference is made of the sections as
    ReXrank's evaluation script makes it, but a section that is missing is left out.

    Raises:
        TrainingError: it cannot be read, holds no text, an id twice, or a row without one of its fields.
    """
    try:
        with file.open(encoding="utf-8") as stream:
            return parse_text_pairs(stream.read(_MOST_LETTERS), studies=file.suffix == ".json")
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"{file} cannot be read: {type(error).__name__}") from error
    except TrainingError as error:
        raise TrainingError(f"{file}: {error}") from error


def parse_text_pairs(text: str, *, studies: bool) -> list[TextPair]:
    """The same for what a file holds: an object of ``studies``, or lines."""
    try:
        pairs = list(_studies(json.loads(text)) if studies else _lines(text))
    except (ValueError, RecursionError) as error:  # no word of a text in the message
        raise TrainingError(f"it is no JSON: {type(error).__name__}") from error
    if not pairs:
        raise TrainingError("it holds no text")
    if len({pair.uid for pair in pairs}) != len(pairs):
        raise TrainingError("it holds an id twice")
    return pairs


def _lines(text: str) -> Iterator[TextPair]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            row, where = json.loads(line), f"line {number}"
            yield TextPair(*(_word(row, key, where) for key in ("id", "candidate", "reference")))


def _studies(document: Any) -> Iterator[TextPair]:
    if not isinstance(document, dict):
        raise TrainingError("it is no object of studies")
    for uid, study in document.items():
        yield TextPair(uid, _word(study, "model_prediction", f"study {uid}"), reference_of(study, f"study {uid}"))


def reference_of(study: Any, where: str) -> str:
    """``Findings: … Impression: …`` of a ReXrank study. Raises TrainingError where it has neither."""
    sections = [
        f"{name.title()}: {text.strip()}"
        for name in ("findings", "impression")
        if isinstance(study, Mapping) and isinstance(text := study.get(f"section_{name}"), str) and text.strip()
    ]
    if not sections:
        raise TrainingError(f"{where} has neither findings nor impression")
    return " ".join(sections)


def _word(row: Any, key: str, where: str) -> str:
    found = row.get(key) if isinstance(row, Mapping) else None
    if not isinstance(found, str):
        raise TrainingError(f"{where} has no {key}")
    return found

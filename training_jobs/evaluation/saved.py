"""Texts in a file, so that they can be scored again without a model: one object a line.

``id`` is the picture's SHA-256 cut to 16 digits, so the file names no film and no patient. ``kinds`` and ``view`` are
for a reader; they are made anew when the texts are scored again.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training_jobs.evaluation.cases import BLANK, Case, Writer
from xraygpt_core.errors import TrainingError
from xraygpt_core.phantoms.findings import View
from xraygpt_core.report.kinds import kinds_of_text
from xraygpt_core.report.labeller import view_of
from xraygpt_core.training.datasets.files import FolderFiles
from xraygpt_core.training.datasets.json_rows import json_rows
from xraygpt_core.training.datasets.problems import Problems, stop_at


def save(path: Path, cases: Sequence[Case], texts: Sequence[str], blank: str) -> None:
    """Write each case's text, with the classes it names and whether its view is right, and last the grey plate's.

    Raises:
        TrainingError: it cannot be written.
    """
    lines = [_line(case.picture, text, case.view) for case, text in zip(cases, texts, strict=True)]
    lines.append(_line(BLANK, blank, None))
    try:
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    except OSError as error:
        raise TrainingError(f"{path} cannot be written: {error.strerror}") from error


def saved_texts(path: Path) -> Writer:
    """What the file says about each picture, in place of a model.

    Raises:
        TrainingError: the file cannot be read, or has no text for a picture.
    """
    problems = Problems()
    texts = {row.get("id"): row.get("text") for _, row in json_rows(FolderFiles(path.parent), path.name, problems)}
    stop_at([problems])

    def write(pictures: Sequence[bytes]) -> list[str]:
        found = [text for picture in pictures if isinstance(text := texts.get(picture_id(picture)), str)]
        if len(found) < len(pictures):
            missing = len(pictures) - len(found)
            raise TrainingError(f"{path} has no text for {missing} of {len(pictures)} pictures: is it of these films?")
        return found

    return write


def picture_id(picture: bytes) -> str:
    """An opaque name for a picture."""
    return hashlib.sha256(picture).hexdigest()[:16]


def _line(picture: bytes, text: str, view: View | None) -> dict[str, Any]:
    right = None if view is None else view_of(text) == view
    return {"id": picture_id(picture), "kinds": sorted(kinds_of_text(text)), "view": right, "text": text}

"""Real films with a text to compare with: the test side of a data directory."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from training_jobs.data import FREE, film_file, film_view, manifest_rows
from xraygpt_core.errors import TrainingError
from xraygpt_core.phantoms.findings import View

# NIH ChestX-ray14 label -> kind of finding in our vocabulary; the other labels have no word there
_KINDS = {
    "Cardiomegaly": "cardiomegaly",
    "Effusion": "effusion",
    "Pneumothorax": "pneumothorax",
    "Consolidation": "consolidation",
    "Pneumonia": "consolidation",
    "Infiltration": "consolidation",
    "Nodule": "nodule",
    "Mass": "nodule",
}


@dataclass(frozen=True)
class Film:
    """A real film: its file, the text that comes with it, and which kinds of finding its labels name."""

    file: Path
    text: str
    kinds: frozenset[str]
    view: View | None


def films(data: Path, split: str) -> list[Film]:
    """The films of one split that carry a text.

    Raises:
        TrainingError: there is no manifest, a row leads elsewhere, or there is no such film.
    """
    chosen = [
        row
        for row in manifest_rows(data)
        if row["split"] == split and row["image"].startswith(FREE) and row.get("template_text")
    ]
    if not chosen:
        raise TrainingError(f"{data} has no film with a text in its {split} split")
    return [
        Film(
            film_file(data, row["image"]),
            row["template_text"],
            frozenset(_KINDS[label] for label in row["labels"] if label in _KINDS),
            film_view(row),
        )
        for row in chosen
    ]


def most_frequent_text(chosen: Sequence[Film]) -> str:
    """The text that comes with most films."""
    return Counter(film.text for film in chosen).most_common(1)[0][0]

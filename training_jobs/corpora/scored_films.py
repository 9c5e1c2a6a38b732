"""Real films with a text to compare with: one split of the sets of the demo's mixture."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from training_jobs.corpora.mixtures import demo_films
from xraygpt_core.errors import TrainingError
from xraygpt_core.phantoms.findings import View
from xraygpt_core.training.datasets import nih14
from xraygpt_core.training.datasets.files import open_set
from xraygpt_core.training.datasets.manifest import manifest_rows
from xraygpt_core.training.datasets.problems import Problems, stop_at
from xraygpt_core.training.datasets.views import view_of
from xraygpt_core.training.mixture import SetSpec

_COLUMNS = {"text": "template_text", "source": "source_repo"}


@dataclass(frozen=True)
class Film:
    """A real film: its file, the text that comes with it, and which of the six classes its labels name."""

    file: Path
    text: str
    kinds: frozenset[str]
    view: View | None
    patient: str
    source: str


def films(data: Path, split: str | None, only: str = "") -> list[Film]:
    """The films of one split (None: of all) that carry labels and a text; those whose path begins with ``only``.

    Raises:
        TrainingError: there is no manifest, a row is broken or leads elsewhere, or there is no such film.
    """
    sets = [replace(spec, columns=_COLUMNS) for spec in demo_films(data)]
    chosen = [film for spec in sets for film in _of_set(spec, split, only)]
    if not chosen:
        raise TrainingError(f"{data} has no film with a text in its {split or 'whole'} split")
    return chosen


def most_frequent_text(chosen: Sequence[Film]) -> str:
    """The text that comes with most films."""
    return Counter(film.text for film in chosen).most_common(1)[0][0]


def _of_set(spec: SetSpec, split: str | None, only: str) -> list[Film]:
    files, images = open_set(spec)
    problems = Problems()
    rows = [row for _, row in manifest_rows(spec, files, problems) if split in (None, row["split"])]
    stop_at([problems])
    return [
        Film(
            file=images.path(row["image"]),
            text=row["text"],
            kinds=nih14.kinds_of_nih(frozenset(row["labels"])),
            view=_view(row["view"]),
            patient=row["patient"] or row["id"],
            source=row["source"] or spec.name,
        )
        for row in rows
        if row["text"] and row["labels"] and row["image"].startswith(only)
    ]


def _view(word: str | None) -> View | None:
    view = view_of(word)
    return "AP" if view == "AP" else "PA" if view == "PA" else None

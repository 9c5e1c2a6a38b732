"""What the jobs train on: phantoms, and real films of a data directory whose licence allows it."""

import io
import json
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training_jobs.drawers.augment import augment
from training_jobs.drawers.sketch import draw_sketch
from training_jobs.drawers.wording import concise_report
from xraygpt_core.errors import TrainingError
from xraygpt_core.paths import is_below
from xraygpt_core.phantoms.draw import draw_phantom
from xraygpt_core.phantoms.findings import LABELS, View
from xraygpt_core.training.config import Phantoms

# Collections that may train weights we publish: NIH (no restrictions), Hannover (CC BY 3.0), VQA-RAD (CC0).
FREE = ("images/nih/", "images/hannover/", "images/vqarad/")
_FILM_VARIANTS = 2  # augmented copies of each real film in the training set
_STREAM = 7919
SKETCH = "sketch"


@dataclass(frozen=True)
class TrainingStudy:
    """One picture to train on, and its truth.

    ``presence`` has one number per slot (view first, then the labels): 1 there, 0 not there, None unknown.
    ``report`` is None where there is no text about the film.
    """

    source: str  # "phantom", "sketch" or the film's id
    seed: int
    population: str
    augmented: bool
    presence: tuple[float | None, ...]
    report: str | None
    file: str | None = None


def draw(study: TrainingStudy) -> tuple[bytes, TrainingStudy]:
    """The study's 8-bit grey PNG; a phantom learns its truth by being drawn.

    Raises:
        TrainingError: a film's file cannot be read.
    """
    if study.file is not None:
        grey = read_film(Path(study.file))
    elif study.source == SKETCH:
        sketch = draw_sketch(study.seed)
        study, grey = _with_truth(study, sketch.labels, sketch.view), sketch.grey
    else:
        phantom = draw_phantom(study.seed, cast(Literal["train", "held_out"], study.population))
        study, grey = _with_truth(study, phantom.labels, phantom.view), phantom.grey8()
    if study.augmented:
        grey = augment(grey, np.random.default_rng([_STREAM, study.seed]))
    return png(grey), study


def presence(labels: Set[str], view: View) -> tuple[float, ...]:
    """1 for what is there, 0 for what is not, in the order of the slots; AP counts as there."""
    return (float(view == "AP"), *(float(label in labels) for label in LABELS))


def _with_truth(study: TrainingStudy, labels: Set[str], view: View) -> TrainingStudy:
    return replace(study, presence=presence(labels, view), report=concise_report(labels, view))


def png(grey: NDArray[np.uint8]) -> bytes:
    """Grey pixels (height, width) as a PNG, quickly."""
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def read_film(path: Path) -> NDArray[np.uint8]:
    """An image file as grey pixels (height, width).

    Raises:
        TrainingError: it cannot be read.
    """
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            return np.asarray(image.convert("L"))
    except (OSError, Image.DecompressionBombError) as error:
        raise TrainingError(f"{path} cannot be read: {error}") from error


def phantom_studies(phantoms: Phantoms, augment_share: float) -> list[TrainingStudy]:
    """Phantoms of consecutive seeds; a fixed share of them augmented."""
    rng = np.random.default_rng([_STREAM, phantoms.seed])
    augmented = rng.random(phantoms.count) < augment_share
    return [
        TrainingStudy("phantom", phantoms.seed + index, phantoms.population, bool(augmented[index]), (), None)
        for index in range(phantoms.count)
    ]


def sketch_studies(count: int, augment_share: float) -> list[TrainingStudy]:
    """Crude pictures by another drawer; a fixed share of them augmented."""
    augmented = np.random.default_rng([_STREAM, 1]).random(count) < augment_share
    return [TrainingStudy(SKETCH, seed, SKETCH, bool(augmented[seed]), (), None) for seed in range(count)]


def film_studies(data: Path, split: Sequence[str], *, variants: int = _FILM_VARIANTS) -> list[TrainingStudy]:
    """The films of a data directory in the given splits; the first variant of each is not augmented.

    Raises:
        TrainingError: there is no manifest, or a row of it names no film of its collection.
    """
    studies = []
    for row in manifest_rows(data):
        if row["split"] not in split or not row["image"].startswith(FREE):
            continue
        truth = film_presence(row), film_report(row), str(film_file(data, row["image"]))
        studies += [TrainingStudy(row["id"], variant, "film", variant > 0, *truth) for variant in range(variants)]
    return studies


def manifest_rows(data: Path) -> list[dict[str, Any]]:
    """Rows of a data directory: what each must say is there, as text or a list of texts."""
    manifest = data / "manifest.jsonl"
    if not is_below(manifest, data) or not manifest.is_file():
        raise TrainingError(f"{manifest} cannot be read: it is no file of this folder")
    try:
        rows = [json.loads(line) for line in manifest.read_text().splitlines() if line.strip()]
    except (OSError, ValueError, RecursionError) as error:
        raise TrainingError(f"{manifest} cannot be read: {error}") from error
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict) or not all(isinstance(row.get(name), str) for name in ("id", "split", "image")):
            raise TrainingError(f"{manifest}, row {number}: id, split and image must be texts")
    return rows


def film_file(data: Path, image: str) -> Path:
    """A film's file, which lies in the folder of its collection: the licence is that folder's.

    Raises:
        TrainingError: it leads out of it.
    """
    folder = next(prefix for prefix in FREE if image.startswith(prefix))
    path = data / image
    if not is_below(path, data / folder):
        raise TrainingError(f"a row of {data / 'manifest.jsonl'} leads out of {folder}")
    return path


def film_view(row: dict[str, Any]) -> View | None:
    """AP or PA where the manifest says so."""
    view = str(row.get("view"))
    return "AP" if view.startswith("AP") else "PA" if view == "PA" else None


def film_presence(row: dict[str, Any]) -> tuple[float | None, ...]:
    """What an NIH film's labels tell about each slot. They name no side or zone, so a positive says nothing there."""
    view = film_view(row)
    ap = None if view is None else float(view == "AP")
    if "/nih/" not in row["image"]:
        return (ap, *(None for _ in LABELS))
    named = set(row["labels"])
    absent_or_unknown = {
        "effusion": None if "Effusion" in named else 0.0,
        "pneumothorax": None if "Pneumothorax" in named else 0.0,
        "consolidation": None
        if named & {"Consolidation", "Pneumonia", "Infiltration", "Atelectasis", "Edema"}
        else 0.0,
        "device": None,
        "nodule": float(bool(named & {"Nodule", "Mass"})),
        "cardiomegaly": float("Cardiomegaly" in named),
    }
    return (ap, *(absent_or_unknown[label.split("_")[0]] for label in LABELS))


def film_report(row: dict[str, Any]) -> str | None:
    """The report of a film, where the model's words can express its labels without inventing a side or a zone."""
    view = film_view(row)
    words = {"No Finding": None, "Cardiomegaly": "cardiomegaly", "Nodule": "nodule", "Mass": "nodule"}
    if view is None or "/nih/" not in row["image"] or not set(row["labels"]) <= words.keys():
        return None
    return concise_report({words[name] for name in row["labels"]} - {None}, view)  # type: ignore[arg-type]

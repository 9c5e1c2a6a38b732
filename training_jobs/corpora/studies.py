"""Drawings and films as :mod:`training_jobs.features` keeps them: one study with its truth as numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from training_jobs.corpora.mixtures import demo_films
from training_jobs.drawers.augment import augment
from training_jobs.drawers.drawings import PHANTOMS, SKETCHES, Drawing, drawings
from training_jobs.drawers.drawings import draw as draw_picture
from training_jobs.drawers.grey import png, read_film
from xraygpt_core.phantoms.findings import LABELS, Population
from xraygpt_core.training.config import Phantoms
from xraygpt_core.training.datasets.files import open_set
from xraygpt_core.training.datasets.problems import stop_at
from xraygpt_core.training.datasets.read import read_set


@dataclass(frozen=True)
class TrainingStudy:
    """One picture to train on, and its truth.

    ``presence`` has one number per slot (view first, then the labels): 1 there, 0 not there, None unknown.
    ``report`` is None where there is no text about the film.
    """

    source: str  # who draws it, or the film's id
    seed: int
    population: str
    augmented: bool
    presence: tuple[float | None, ...]
    report: str | None
    file: str | None = None


def draw(study: TrainingStudy) -> tuple[bytes, TrainingStudy]:
    """The study's 8-bit grey PNG; a drawing learns its truth by being drawn.

    Raises:
        TrainingError: a film's file cannot be read.
    """
    if study.file is None:
        population: Population = "held_out" if study.population == "held_out" else "train"
        drawn = draw_picture(Drawing(study.source, study.seed, population, study.augmented))
        return drawn.png, replace(study, presence=_numbers(drawn.truth), report=drawn.report)
    grey = read_film(Path(study.file))
    return png(augment(grey, np.random.default_rng(study.seed)) if study.augmented else grey), study


def phantom_studies(phantoms: Phantoms, augment_share: float) -> list[TrainingStudy]:
    """Phantoms of consecutive seeds; a fixed share of them augmented."""
    found = drawings(PHANTOMS, phantoms.count, phantoms.seed, phantoms.population, augment_share)
    return [TrainingStudy(one.drawer, one.seed, one.population, one.augmented, (), None) for one in found]


def sketch_studies(count: int, augment_share: float) -> list[TrainingStudy]:
    """Crude pictures by another drawer; a fixed share of them augmented."""
    found = drawings(SKETCHES, count, augment_share=augment_share)
    return [TrainingStudy(one.drawer, one.seed, one.population, one.augmented, (), None) for one in found]


def film_studies(data: Path, split: Sequence[str], *, variants: int = 2) -> list[TrainingStudy]:
    """The films of the demo's sets in the given splits; the first variant of each is not augmented.

    Raises:
        TrainingError: there is no manifest, or a row of it names no film of its set.
    """
    studies = []
    for spec in demo_films(data):
        files, images = open_set(spec)
        reading = read_set(spec, files, images)
        for pair in reading.pairs:
            truth = _numbers(pair.labels), pair.text, str(images.path(pair.image))
            if pair.split in split:
                studies += [TrainingStudy(pair.pair_id, copy, "film", copy > 0, *truth) for copy in range(variants)]
        stop_at([reading.problems])
    return studies


def _numbers(labels: Mapping[str, float | None]) -> tuple[float | None, ...]:
    return tuple(labels.get(name) for name in ("view", *LABELS))

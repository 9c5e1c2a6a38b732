"""Pictures that are drawn to train on, each with its truth: phantoms, and sketches by another hand."""

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training_jobs.drawers.augment import augment
from training_jobs.drawers.contours import draw_contours
from training_jobs.drawers.fields import draw_fields
from training_jobs.drawers.grey import png
from training_jobs.drawers.sketch import draw_sketch
from training_jobs.drawers.solids import draw_solids
from xraygpt_core.phantoms.draw import draw_phantom
from xraygpt_core.phantoms.findings import Population, View
from xraygpt_core.report.concise import TRUTHS, concise_report, with_kinds
from xraygpt_core.training.config import Phantoms

PHANTOMS, SKETCHES = "phantoms", "sketches"  # the readers of a mixture
_STREAM = 7919


class Film(Protocol):
    """What every drawer gives: 8-bit grey (height, width), bone white, and its truth."""

    @property
    def grey(self) -> NDArray[np.uint8]:
        """The pixels."""

    @property
    def labels(self) -> frozenset[str]:
        """Out of :data:`xraygpt_core.phantoms.findings.LABELS`."""

    @property
    def view(self) -> View:
        """How it was taken."""


@dataclass(frozen=True)
class _Phantom:
    grey: NDArray[np.uint8]
    labels: frozenset[str]
    view: View


def _phantom(seed: int, population: Population) -> Film:
    drawn = draw_phantom(seed, population)
    return _Phantom(drawn.grey8(), drawn.labels, drawn.view)


# Independent hands: what a model learns of one must hold for another. Only the phantoms know a held-out population.
DRAWERS: Mapping[str, Callable[[int, Population], Film]] = {
    PHANTOMS: _phantom,
    SKETCHES: lambda seed, _population: draw_sketch(seed),
    "contours": lambda seed, _population: draw_contours(seed),
    "fields": lambda seed, _population: draw_fields(seed),
    "solids": lambda seed, _population: draw_solids(seed),
}


@dataclass(frozen=True)
class Drawing:
    """One picture to draw: by whom, from which seed, and whether it is augmented afterwards."""

    drawer: str
    seed: int
    population: Population = "train"
    augmented: bool = False

    @property
    def name(self) -> str:
        """Unique among all drawings."""
        return f"{self.drawer}-{self.population}-{self.seed}"


@dataclass(frozen=True)
class Drawn:
    """A picture and what it shows. ``png`` is 8-bit grey."""

    png: bytes
    labels: frozenset[str]
    view: View

    @property
    def report(self) -> str:
        """What is to be said about it."""
        return concise_report(self.labels, self.view)

    @property
    def truth(self) -> Mapping[str, float | None]:
        """The labels of a pair: 1 there, 0 not there; under ``view``, 1 for AP."""
        there = with_kinds(self.labels)
        return {"view": float(self.view == "AP")} | {label: float(label in there) for label in TRUTHS}


def drawings(
    drawer: str, count: int, seed: int = 0, population: str = "train", augment_share: float = 0.0
) -> Iterator[Drawing]:
    """Consecutive seeds, a fixed share of them augmented; more of them begin with the same ones."""
    augmented = np.random.default_rng([_STREAM, seed, list(DRAWERS).index(drawer)]).random(count) < augment_share
    for index in range(count):
        yield Drawing(drawer, seed + index, cast(Population, population), bool(augmented[index]))


def phantoms(chosen: Phantoms) -> Iterator[Drawing]:
    """The phantoms of a configuration, as they are."""
    return drawings(PHANTOMS, chosen.count, chosen.seed, chosen.population)


def draw(drawing: Drawing) -> Drawn:
    """The picture; the same for the same drawing."""
    film = DRAWERS[drawing.drawer](drawing.seed, drawing.population)
    grey = film.grey
    if drawing.augmented:
        grey = augment(grey, np.random.default_rng([_STREAM, drawing.seed]))
    return Drawn(png(grey), film.labels, film.view)


def variant(film: bytes, number: int, seed: int) -> bytes:
    """An augmented copy of a grey PNG; the same for the same film, number and seed."""
    with Image.open(io.BytesIO(film), formats=("PNG",)) as image:
        grey = np.asarray(image.convert("L"))
    return png(augment(grey, np.random.default_rng([_STREAM, number, seed])))

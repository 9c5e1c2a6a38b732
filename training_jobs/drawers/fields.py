"""A chest film made of smooth fields on a grid: warped distances, level lines, branching vessels and 1/f noise."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training_jobs.drawers.fields_anatomy import bones, markings, soft_tissue
from training_jobs.drawers.fields_chest import Chest, build_chest
from training_jobs.drawers.fields_devices import devices
from training_jobs.drawers.fields_findings import Disease, add_findings
from training_jobs.drawers.fields_grid import Grid, enlarge
from training_jobs.drawers.fields_tone import develop
from xraygpt_core.phantoms.findings import LABELS, View, draw_labels

_STREAM = 7_301
_PARTS = ("truth", "build", "body", "bones", "markings", "density", "tone", *LABELS)


@dataclass(frozen=True, eq=False)
class FieldFilm:
    """A drawn film and its truth. ``grey`` is uint8, shape (side, side) of 256 to 288 pixels, bone white."""

    grey: NDArray[np.uint8]
    labels: frozenset[str]
    view: View


def draw_fields(seed: int) -> FieldFilm:
    """One film of random labels and view; the same for the same seed."""
    rng = _generator(seed, "truth")
    labels = draw_labels(rng)
    view: View = "AP" if rng.random() < 0.5 else "PA"
    return FieldFilm(paint_fields(seed, labels, view), labels, view)


def paint_fields(seed: int, labels: frozenset[str], view: View) -> NDArray[np.uint8]:
    """The film of this body with these findings, uint8; without a finding the rest of the film stays as it is."""
    size, tone = _generator(seed, "density"), _generator(seed, "tone")

    side = 2 * int(size.integers(128, 145))
    chest = build_chest(_generator(seed, "build"), side, view, "cardiomegaly" in labels)
    half = chest.half()
    disease = add_findings({label: _generator(seed, label) for label in LABELS if label in labels}, labels, chest)
    density = enlarge(soft_tissue(_generator(seed, "body"), half), side)
    frame = enlarge(bones(_generator(seed, "bones"), half), side)
    brightest = float(np.percentile((density + frame)[::4, ::4], tone.uniform(90.0, 99.7)))  # set before any finding
    texture = markings(_generator(seed, "markings"), chest)
    density = _lungs(size, chest, disease, density, texture) + frame * (1 - 0.6 * disease.fluid)

    if "device" in labels:
        density += devices(_generator(seed, "device"), chest)
    return develop(tone, density / brightest, view)


def _lungs(rng: np.random.Generator, chest: Chest, disease: Disease, density: Grid, texture: Grid) -> Grid:
    """The density of the body less what the lungs take from it, and with what their findings give back."""
    clear = rng.uniform(0.46, 0.74) * (0.9 if chest.view == "AP" else 1.0)

    lean = 1 + rng.normal(0, 0.05) * np.sign(chest.u)
    aerated = chest.air * (1 - disease.fluid) * (1 - disease.solid)
    inside = aerated * (1 - disease.free)
    dark = inside * (1 - disease.collapse) + 1.3 * disease.free * chest.air * (1 - disease.fluid)
    shown = inside + 0.15 * (1 - np.clip(chest.air * 4, 0, 1))  # vessels show a little through the heart
    spots = disease.round_ * clear * 0.62 + disease.line * chest.air * (1 - disease.fluid)
    veil = 0.12 * disease.fluid * np.clip(chest.air * 3, 0, 1)
    left_over = np.maximum(1 - clear * lean * dark, 0.04)
    return np.asarray(density * left_over + texture * shown * (1 + disease.collapse) + spots + veil, np.float32)


def _generator(seed: int, part: str) -> np.random.Generator:
    """Every part has its own generator, so that one finding more leaves the others as they are."""
    return np.random.default_rng([_STREAM, seed, _PARTS.index(part)])

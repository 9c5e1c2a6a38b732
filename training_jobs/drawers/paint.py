"""Findings painted into a real film without any: a picture with real anatomy and a known truth."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training_jobs.drawers import paint_heart
from training_jobs.drawers.paint_devices import devices
from training_jobs.drawers.paint_findings import consolidation, effusion, nodules, pneumothorax
from training_jobs.drawers.paint_lungs import Lungs, find_lungs
from training_jobs.drawers.paint_neutral import neutral
from training_jobs.drawers.paint_scene import Scene
from xraygpt_core.phantoms.findings import LABELS, SIDES, Side

# How much of the film's grey range a finding changes, and on how much of the film, for it to show
_LARGE, _SMALL, _THIN = (0.06, 0.008), (0.06, 0.0005), (0.02, 0.001)
# What may hide another finding comes first: what is painted later is left out where it does not show.
_ORDER = (
    *(f"pneumothorax_{side}" for side in SIDES),
    *(f"effusion_{side}" for side in SIDES),
    *(label for label in LABELS if label.startswith("consolidation")),
    "nodule",
    "cardiomegaly",
    "device",
)


@dataclass(frozen=True, eq=False)
class Painted:
    """A painted film.

    Attributes:
        grey: 8-bit, bone white, the shape of the film.
        labels: what was painted and shows.
    """

    grey: NDArray[np.uint8]
    labels: frozenset[str]


def paint(
    grey: NDArray[np.uint8], wanted: frozenset[str], rng: np.random.Generator, lungs: Lungs | None = None
) -> Painted:
    """The film with the wanted findings, as far as they show, and some changes that mean nothing.

    Args:
        grey: a frontal film without findings, (height, width), bone white.
        wanted: of :data:`xraygpt_core.phantoms.findings.LABELS`.
        lungs: where :func:`find_lungs` finds them on this film, if that is known already.

    Raises:
        LungsNotFound: the film does not look like two lungs in a chest.
    """
    scene = Scene(grey, lungs or find_lungs(grey))
    painted = frozenset(label for label in _ORDER if label in wanted and _shows(scene, label, rng))
    neutral(scene, rng, "cardiomegaly" in painted)
    return Painted(scene.grey(), painted)


def _shows(scene: Scene, label: str, rng: np.random.Generator) -> bool:
    """Paint one finding; take it back where it cannot be seen."""
    if label == "cardiomegaly":
        return paint_heart.enlarge(scene, rng)
    before, look = scene.value.copy(), scene.look()
    _finding(scene, label, rng)
    low, high = np.quantile(look, (0.02, 0.98))
    least, share = {"nodule": _SMALL, "device": _THIN}.get(label, _LARGE)
    change = np.abs(scene.look() - look) / max(float(high - low), 1.0)
    if float(np.quantile(change, 1 - share)) >= least:
        return True
    scene.value = before
    return False


def _finding(scene: Scene, label: str, rng: np.random.Generator) -> None:
    kind, _, place = label.partition("_")
    side: Side = "left" if place.startswith("left") else "right"
    match kind:
        case "effusion":
            effusion(scene, side, rng)
        case "pneumothorax":
            pneumothorax(scene, side, rng)
        case "consolidation":
            consolidation(scene, side, place.removeprefix(f"{side}_"), rng)
        case "nodule":
            nodules(scene, rng)
        case _:
            devices(scene, rng)

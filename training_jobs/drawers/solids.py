"""Chest films as solids in space: line integrals from a point source, Beer and Lambert, and a film's curve.

The patient is made of lofts, ellipsoids and clouds of points in millimetres; AP and PA differ by where the source and
the film stand, by breathing and by posture.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training_jobs.drawers.solids_body import Body, draw_body, draw_vessels
from training_jobs.drawers.solids_bones import draw_bones
from training_jobs.drawers.solids_devices import draw_devices
from training_jobs.drawers.solids_film import expose, mark
from training_jobs.drawers.solids_findings import Air, add_findings
from training_jobs.drawers.solids_patient import Patient, draw_patient
from training_jobs.drawers.solids_rays import Plane
from xraygpt_core.phantoms.findings import View, draw_labels

STREAM = 58021
TISSUE, BONE, METAL = 0.0155, 0.042, 0.65  # per mm, near 60 keV
LUNG = 0.24  # density of inflated lung


@dataclass(frozen=True, eq=False)
class SolidFilm:
    """A film and its truth. ``grey`` is uint8, (side, side), bone white."""

    grey: NDArray[np.uint8]
    labels: frozenset[str]
    view: View


def draw_solids(seed: int) -> SolidFilm:
    """The film of ``seed``: the same picture for the same seed, on any machine with the same NumPy and Pillow."""
    rng = np.random.default_rng([STREAM, seed])
    labels = draw_labels(rng)
    view: View = "AP" if rng.random() < 0.5 else "PA"
    return SolidFilm(draw_film(int(rng.integers(2**63)), labels, view), labels, view)


def draw_film(seed: int, labels: frozenset[str], view: View) -> NDArray[np.uint8]:
    """A film that shows ``labels`` and nothing else of ``LABELS``; each part of the picture has its own stream."""
    body_rng, bone_rng, finding_rng, device_rng, film_rng = (
        np.random.default_rng([int(seed), part]) for part in range(5)
    )
    patient = draw_patient(body_rng, view, "cardiomegaly" in labels)
    body = draw_body(patient, body_rng)
    metal = draw_devices(patient, device_rng) if "device" in labels else None
    path = TISSUE * (body.tissue + _lungs(patient, body, labels, body_rng, finding_rng))
    path = path + BONE * draw_bones(patient, bone_rng)
    if metal is not None:
        path = path + METAL * metal
    return mark(expose(path.astype(np.float32), film_rng), view, film_rng)


def _lungs(
    patient: Patient, body: Body, labels: frozenset[str], rng: np.random.Generator, findings: np.random.Generator
) -> Plane:
    """The tissue in both lungs as mm of water, shape (side, side)."""
    strength, grain = rng.uniform(1.0, 2.6), rng.uniform(0.01, 0.08)
    texture = _texture(rng, patient.rays.side)
    vessels, airs = strength * draw_vessels(patient, rng), []
    for lung in body.lungs:
        airs.append(Air(lung, lung.air * (LUNG + grain * texture) + vessels * (lung.air > 0)))
    return add_findings(patient, airs, labels, findings)


def _texture(rng: np.random.Generator, side: int) -> Plane:
    plane = np.zeros((side, side), np.float32)
    for cells in (12, 60):
        coarse = Image.fromarray(rng.standard_normal((cells, cells), dtype=np.float32))
        plane += np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC))
    return plane / np.float32(1.6)

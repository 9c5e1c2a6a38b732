"""The soft solids of an imaginary patient: torso, lungs, diaphragm, heart, mediastinum and vessels."""

from dataclasses import dataclass

import numpy as np

from training_jobs.drawers.solids_patient import Patient
from training_jobs.drawers.solids_rays import Plane, Rays, Span, cast, chord, ellipsoid, finer, loft, soften


@dataclass(frozen=True, eq=False)
class Lung:
    """One lung on the film. ``way`` is -1 for the picture's left (the patient's right lung), 1 for its right."""

    way: int
    air: Plane  # mm of lung that each ray crosses, without heart, mediastinum and diaphragm
    lateral: Plane  # -1 at the mediastinal edge of the lung's outline, 1 at the chest wall
    height: Plane  # 0 at the apex, 1 at the costophrenic angle; shape (side, 1)
    x: Plane  # mm at the lung's depth, (1, side)
    y: Plane  # mm at the lung's depth, (side, 1)

    @property
    def inside(self) -> Plane:
        """1 within the outline, 0 outside, shape (side, side)."""
        return ((np.abs(self.lateral) < 1) & (self.height > 0) & (self.height < 1)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Body:
    """What the findings need of the solids, and the tissue that each ray crosses in mm."""

    tissue: Plane
    lungs: tuple[Lung, Lung]
    heart: Plane  # chord in mm


def outer_wall(patient: Patient, way: int, y: Plane, apex_drop: float = 0.0) -> Plane:
    """The distance of the inner chest wall from the midline at heights ``y``, in mm; 0 above the apex."""
    apex, angle = patient.apex + apex_drop, patient.angle[(way + 1) // 2]
    height = np.clip((y - apex) / (0.82 * (angle - apex)), 0, 1)
    wall: Plane = 14 * (height > 0) + (patient.wall - 14) * (1 - (1 - height) ** 2.5) ** patient.barrel
    return wall


def lung_profile(patient: Patient, way: int, y: Plane, apex_drop: float = 0.0, gap: float = 0.0) -> Plane:
    """Centre, half width and half depth of a lung's ellipse at heights ``y``: (3, side, 1).

    ``apex_drop`` and ``gap`` in mm make the smaller lung of a pneumothorax.
    """
    angle = patient.angle[(way + 1) // 2]
    wall = outer_wall(patient, way, y, apex_drop) - gap
    inner = np.minimum(6.0, wall)
    present = (y > patient.apex + apex_drop) & (y < angle) & (wall > inner + 1)
    middle = patient.spine(y) * 0.4 + patient.turned(way * (wall + inner) / 2, patient.thick * 0.52)
    height = np.clip((y - patient.apex) / (angle - patient.apex), 0, 1)
    deep = patient.thick * (0.12 + 0.29 * np.sin(np.pi * np.minimum(height * 0.9, 0.5)))
    wide = np.where(present, (wall - inner) / 2, 0)
    return np.stack((middle, wide, deep)).astype(np.float32)


def _torso(patient: Patient, rng: np.random.Generator) -> Plane:
    neck, shoulder, waist = rng.uniform(48, 68), rng.uniform(1.45, 1.75), rng.uniform(0.9, 1.12)
    top = patient.apex - rng.uniform(0, 25)
    edge = patient.wall + patient.flesh + 12

    def profile(y: Plane) -> Plane:
        heights = np.array([-70, -25, 25, 75, 150, 250, 400]) + top
        widths = np.array([neck, neck * 1.15, edge * 0.9, edge * shoulder * 0.93, edge * 1.04, edge, edge * waist])
        wide = np.interp(y, heights, widths)
        deep = np.interp(y, heights, np.array([0.3, 0.32, 0.38, 0.45, 0.5, 0.52, 0.55]) * patient.thick)
        return np.stack((patient.spine(y) * 0.3, wide, deep)).astype(np.float32)

    rays = patient.rays.coarser(4)
    path = loft(rays, patient.depth(patient.thick / 2), profile).length()
    for way in (-1, 1):
        x = patient.turned(way * (edge + rng.uniform(12, 60)), patient.thick * 0.6)
        arm = (x, top + 200, patient.depth(patient.thick * 0.55))
        path = np.maximum(path, chord(rays, arm, (rng.uniform(38, 52), 230, 45), way * -0.08))
    if rng.random() < 0.4:
        path = path + _breasts(patient, rays, rng)
    return finer(path, patient.rays.side)


def _breasts(patient: Patient, rays: Rays, rng: np.random.Generator) -> Plane:
    """Full towards the lower rim, fading upwards, and reaching past the chest wall."""
    low = patient.dome[0] + rng.uniform(-30, 30)
    size, tall, deep = patient.wall * rng.uniform(0.4, 0.52), rng.uniform(75, 105), rng.uniform(14, 34)
    total = np.zeros((rays.side, rays.side), np.float32)
    for way in (-1, 1):
        x = way * patient.wall * rng.uniform(0.66, 0.72)
        centre = (patient.turned(x, 8), low - tall + rng.normal(0, 5), patient.depth(8))
        _, y = rays.at_depth(centre[2])
        fade = np.clip((y - centre[1] + 0.5 * tall) / (1.3 * tall), 0, 1)
        total += chord(rays, centre, (size, tall, deep), way * 0.15) * fade
    return total


def _heart(patient: Patient, rng: np.random.Generator) -> tuple[Span, Span]:
    front = patient.thick * 0.36
    distance = patient.rays.source[2]
    enlarged = distance / (distance - patient.depth(front))
    chest = distance / (distance - patient.depth(patient.thick * 0.52))
    half = patient.heart_ratio * patient.wall * chest / enlarged
    tilt, slim = rng.uniform(0.45, 0.8), rng.uniform(0.66, 0.78)
    long = half / np.sqrt(np.cos(tilt) ** 2 + (slim * np.sin(tilt)) ** 2)
    tall = long * np.sqrt(np.sin(tilt) ** 2 + (slim * np.cos(tilt)) ** 2)
    x = patient.turned(half * rng.uniform(0.26, 0.4), front)
    y = patient.dome[1] - tall * rng.uniform(0.55, 0.78) + 6
    whole = ellipsoid(patient.soft, (x, y, patient.depth(front)), (long, long * slim, patient.thick * 0.37), tilt)
    right = (x - half * 0.5, y - tall * 0.12, patient.depth(front + 8))
    return whole, ellipsoid(patient.soft, right, (half * 0.5, tall * 0.74, patient.thick * 0.31))


def _mediastinum(patient: Patient, rng: np.random.Generator) -> Span:
    low = rng.uniform(0.6, 0.8)
    bulge = rng.uniform(0.8, 1.15)
    waist = rng.uniform(0.7, 0.95)

    def profile(y: Plane) -> Plane:
        heights = np.array([patient.apex - 60, patient.apex + 20, -45, -8, 30, patient.dome[0] + 60])
        share = np.array([0.8, 0.95 * bulge, bulge, waist, 1.0, low])
        wide = np.interp(y, heights, share * patient.mediastinum)
        middle = patient.spine(y) * 0.5 + patient.turned(0, patient.thick * 0.5)
        return np.stack((middle + 0 * y, wide, 0 * y + patient.thick * 0.27)).astype(np.float32)

    return loft(patient.soft, patient.depth(patient.thick * 0.5), profile)


def _aorta(patient: Patient, rng: np.random.Generator) -> tuple[Span, ...]:
    knob = 12 + 9 * patient.age + rng.uniform(-2, 3)
    x = patient.mediastinum * 0.75 + 5 * patient.age
    front, depth = patient.thick * 0.55, patient.depth(patient.thick * 0.55)
    arch = ellipsoid(patient.soft, (patient.turned(x, front), -38, depth), (knob, knob * 1.15, 34))
    trunk = ellipsoid(patient.soft, (patient.turned(x * 0.95, front), 2, depth), (15, 24, 28), rng.uniform(0, 0.4))
    return arch, trunk


def _dome(patient: Patient, way: int, rng: np.random.Generator) -> Span:
    top, angle = patient.dome[(way + 1) // 2], patient.angle[(way + 1) // 2]
    centre = (
        patient.turned(way * (patient.wall * 0.5 + 3), 0.5 * patient.thick),
        angle + 4,
        patient.depth(patient.thick * 0.5),
    )
    radii = (patient.wall * rng.uniform(0.52, 0.56), angle - top + 4, patient.thick * 0.43)
    return ellipsoid(patient.soft, centre, radii)


def _lung(patient: Patient, way: int, middle_solid: Span, dome: Span) -> Lung:
    depth, side = patient.depth(patient.thick * 0.5), patient.rays.side
    x, y = patient.rays.at_depth(depth)
    span = loft(patient.soft, depth, lambda heights: lung_profile(patient, way, heights))
    taken = np.maximum(span.shared(middle_solid), span.shared(dome))
    middle, wide, _ = lung_profile(patient, way, y)
    lateral = way * (x - middle) / np.maximum(wide, 1)
    height = (y - patient.apex) / (patient.angle[(way + 1) // 2] - patient.apex)
    return Lung(way, finer(np.maximum(span.length() - taken, 0), side), lateral, height, x, y)


def draw_body(patient: Patient, rng: np.random.Generator) -> Body:
    """The patient's soft solids; the tissue's plane counts what is not lung."""
    whole, right = _heart(patient, rng)
    middle = whole.hull(right).hull(_mediastinum(patient, rng))
    for vessel in _aorta(patient, rng):
        middle = middle.hull(vessel)
    lungs = (
        _lung(patient, -1, middle, _dome(patient, -1, rng)),
        _lung(patient, 1, middle, _dome(patient, 1, rng)),
    )
    tissue = _torso(patient, rng) - (lungs[0].air + lungs[1].air)
    windpipe = (patient.turned(rng.normal(3, 2), patient.thick * 0.55), -75.0, patient.depth(patient.thick * 0.55))
    tissue = tissue - rng.uniform(0.8, 1.7) * chord(patient.rays, windpipe, (8, 75, 9))
    if rng.random() < (0.65 if patient.view == "PA" else 0.15):
        tissue = tissue - _stomach_air(patient, rng)
    return Body(np.maximum(tissue, 0), lungs, finer(np.maximum(whole.length(), right.length()), patient.rays.side))


def _stomach_air(patient: Patient, rng: np.random.Generator) -> Plane:
    wide, tall = rng.uniform(18, 40), rng.uniform(10, 22)
    centre = (patient.wall * rng.uniform(0.4, 0.62), patient.dome[1] + tall + rng.uniform(9, 18), patient.depth(90))
    bubble = chord(patient.rays, centre, (wide, tall, rng.uniform(25, 45)))
    _, y = patient.rays.at_depth(centre[2])
    return bubble * (y < centre[1] + tall * 0.3) if rng.random() < 0.6 else bubble


def draw_vessels(patient: Patient, rng: np.random.Generator) -> Plane:
    """Both trees of vessels, as mm of blood on each ray, shape (side, side)."""
    right, left = _tree(patient, -1, rng), _tree(patient, 1, rng)
    points, blood = np.concatenate((right[0], left[0])), np.concatenate((right[1], left[1]))
    return soften(cast(patient.rays, patient.place(points), blood))


def _tree(patient: Patient, side: int, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """Points of a tree from the hilum, and the mm^3 of blood that each stands for."""
    stems, twigs, steps = 15, 9, 26
    base = patient.dome[(side + 1) // 2]
    hilum = np.array([side * rng.uniform(30, 42), 12 + (6 if side < 0 else -4), patient.thick * 0.53])
    root = hilum + np.stack((rng.normal(0, 5, stems), np.linspace(-16, 20, stems), rng.normal(0, 12, stems)), axis=1)
    aim = np.linspace(-1.2, 1.4, stems) + rng.normal(0, 0.12, stems)
    reach = np.where(np.abs(aim) > 0.8, 1.0, 0.85) * patient.wall * rng.uniform(0.5, 0.85, stems)
    tip = np.stack((side * np.cos(aim) * reach, np.sin(aim) * reach * (base / 110), rng.normal(0, 40, stems)), 1)
    along = np.linspace(0, 1, steps)[:, None, None]
    bend = rng.normal(0, 10, (stems, 3))
    stem = root + tip * along + bend * np.sin(np.pi * along)
    width = rng.uniform(2.6, 5.4, stems) * (1 - 0.72 * along[..., 0])
    start = rng.integers(4, steps - 1, (stems, twigs))
    branch = np.arange(stems)[:, None]
    from_, thin = stem[start, branch], width[start, branch] * rng.uniform(0.45, 0.75, (stems, twigs))
    turn = aim[:, None] + rng.choice((-1, 1), (stems, twigs)) * rng.uniform(0.3, 0.9, (stems, twigs))
    length = rng.uniform(18, 55, (stems, twigs))
    way = np.stack((side * np.cos(turn) * length, np.sin(turn) * length, rng.normal(0, 18, turn.shape)), -1)
    twig = from_ + way * np.linspace(0, 1, steps)[:, None, None, None]
    taper = thin * np.linspace(1, 0.35, steps)[:, None, None]
    points = np.concatenate((stem.reshape(-1, 3), twig.reshape(-1, 3)))
    step = np.concatenate((np.broadcast_to(reach, width.shape).ravel(), np.broadcast_to(length, taper.shape).ravel()))
    radius = np.concatenate((width.ravel(), taper.ravel()))
    points = points + rng.normal(0, 0.25, points.shape) * radius[:, None]
    return points, np.pi * radius**2 * step / steps

"""Metal and plastic in and on the patient, as mm of metal on each ray."""

from collections.abc import Callable

import numpy as np

from training_jobs.drawers.solids_patient import Patient
from training_jobs.drawers.solids_rays import Plane, cast, chord

Way = list[tuple[float, float, float]]  # waypoints (x, y, front) in mm


def _wire(patient: Patient, way: Way, radius: float, share: float = 1.0) -> Plane:
    """A smooth wire through ``way``; ``share`` thins its metal."""
    knots = np.array(way)
    walked = np.concatenate(([0], np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1))))
    even = np.linspace(0, walked[-1], max(int(walked[-1] / 0.5), 8))
    path = np.stack([np.interp(even, walked, axis) for axis in knots.T], axis=1)
    width = max(min(len(path) // (len(knots) + 1), 70), 1)
    window = np.hanning(width + 2)[1:-1]
    padded = np.pad(path, ((width // 2, width - 1 - width // 2), (0, 0)), mode="edge")
    path = np.stack([np.convolve(axis, window / window.sum(), "valid") for axis in padded.T], axis=1)
    step = np.linalg.norm(np.gradient(path, axis=0), axis=1)
    return cast(patient.rays, patient.place(path.astype(np.float32)), step * np.pi * radius**2 * share)


def _ring(patient: Patient, centre: tuple[float, float, float], radii: tuple[float, float], thick: float) -> Plane:
    turn = np.linspace(0, 2 * np.pi, 120)
    path = np.stack((centre[0] + radii[0] * np.cos(turn), centre[1] + radii[1] * np.sin(turn), 0 * turn + centre[2]), 1)
    length = np.pi * (radii[0] + radii[1]) / 120
    return cast(patient.rays, patient.place(path.astype(np.float32)), np.full(120, length * np.pi * thick**2))


def _disc(patient: Patient, centre: tuple[float, float, float], radii: tuple[float, float, float]) -> Plane:
    place = (patient.turned(centre[0], centre[2]), centre[1], patient.depth(centre[2]))
    return chord(patient.rays, place, radii)


def _vein(patient: Patient, rng: np.random.Generator, way: int) -> Way:
    """From under the collar bone of one side into the superior vena cava."""
    high = patient.clavicle[0]
    return [
        (way * patient.wall * 0.6, high + 4, 45),
        (way * 40, high - rng.uniform(0, 10), 60),
        (-14 if way > 0 else -22, high + 32, 85),
        (-24, 5, 95),
    ]


def _pacemaker(patient: Patient, rng: np.random.Generator) -> Plane:
    way = 1 if rng.random() < 0.8 else -1
    x, y = way * patient.wall * rng.uniform(0.58, 0.78), patient.clavicle[0] + rng.uniform(32, 55)
    size = rng.uniform(17, 26)
    box = np.minimum(_disc(patient, (x, y, 12), (size, size * 0.85, 9)), 8)
    vein, low = _vein(patient, rng, way), patient.dome[1]
    tip = (patient.wall * rng.uniform(0.15, 0.4), low - rng.uniform(2, 22), 60.0)
    metal = box + _wire(patient, [(x, y - size * 0.7, 15), *vein, (-24, low - 55, 85), tip], 1.1)
    if rng.random() < 0.6:
        metal = metal + _wire(patient, [(x, y - size * 0.6, 15), *vein, (-34, low - 70, 80), (-20, low - 85, 70)], 1.0)
    return metal


def _port(patient: Patient, rng: np.random.Generator) -> Plane:
    way = -1 if rng.random() < 0.75 else 1
    x, y = way * patient.wall * rng.uniform(0.5, 0.68), patient.clavicle[0] + rng.uniform(36, 62)
    size = rng.uniform(9, 13)
    body = _ring(patient, (x, y, 12), (size, size * 0.9), 1.6) + _disc(
        patient, (x, y, 12), (size * 0.6, size * 0.55, 2.5)
    )
    vein = _vein(patient, rng, way)
    return body + _wire(patient, [(x, y - 8, 14), *vein, (-24, rng.uniform(15, 45), 95)], 1.0, 0.8)


def _central_line(patient: Patient, rng: np.random.Generator) -> Plane:
    low = (-24.0, rng.uniform(0, 45), 95.0)
    if rng.random() < 0.5:
        way: Way = [(-50, patient.apex - 60, 60), (-38, patient.apex - 5, 70), (-26, -45, 85), low]
        return _wire(patient, way, 1.3, 0.9)
    side = 1 if rng.random() < 0.5 else -1
    arm: Way = [(side * patient.wall * 1.6, -5, 110), (side * patient.wall * 1.05, patient.clavicle[0] + 12, 70)]
    return _wire(patient, [*arm, *_vein(patient, rng, side), low], 1.1, 0.9)


def _breathing_tube(patient: Patient, rng: np.random.Generator) -> Plane:
    low, front = rng.uniform(-62, -24), patient.thick * 0.55
    metal = np.zeros((patient.rays.side, patient.rays.side), np.float32)
    for offset, share in ((-4.5, 0.5), (4.5, 0.5), (2.0, 1.0)):
        metal += _wire(
            patient, [(offset + 5, -260, front), (offset + 2, -120, front), (offset, low, front)], 1.2, share
        )
    return metal


def _feeding_tube(patient: Patient, rng: np.random.Generator) -> Plane:
    front, low = patient.thick * 0.62, patient.dome[1]
    way: Way = [(2, -260, front), (-3, -60, front), (8, low - 60, front), (22, low + 10, front)]
    end = (patient.wall * rng.uniform(0.35, 0.6), low + rng.uniform(25, 70), patient.thick * 0.4)
    return _wire(patient, [*way, end], rng.uniform(1.2, 1.7), 0.9)


def _leads(patient: Patient, rng: np.random.Generator) -> Plane:
    spots = [(-0.75, -40), (0.75, -42), (0.85, 90), (-0.85, 95), (0.3, 60), (0.55, 125)]
    metal = np.zeros((patient.rays.side, patient.rays.side), np.float32)
    exit_x, exit_y = rng.uniform(-0.7, 1.1) * patient.wall, patient.angle[0] + 90
    for index in rng.permutation(len(spots))[: int(rng.integers(3, 6))]:
        x, y = spots[index][0] * patient.wall + rng.normal(0, 12), spots[index][1] + rng.normal(0, 12)
        metal = metal + _ring(patient, (x, y, -4), (5, 5), 1.1) + _disc(patient, (x, y, -4), (3.4, 3.4, 2.2))
        bow = (x * 0.7 + exit_x * 0.3 + rng.normal(0, 35), y + 60 + rng.normal(0, 25), -6.0)
        metal = metal + _wire(patient, [(x, y, -5), bow, (exit_x + rng.normal(0, 10), exit_y, -6)], 0.75)
    return metal


def _breastbone_wires(patient: Patient, rng: np.random.Generator) -> Plane:
    metal = np.zeros((patient.rays.side, patient.rays.side), np.float32)
    for y in np.linspace(-55, patient.dome[0] - 45, int(rng.integers(5, 8))):
        size = (rng.uniform(6, 10), rng.uniform(3, 6))
        metal = metal + _ring(patient, (rng.normal(0, 1.5), y + rng.normal(0, 2), 14), size, 1.05)
        metal = metal + _disc(patient, (rng.normal(0, 3), y + size[1], 12), (2.2, 1.6, 2))
    if rng.random() < 0.4:
        metal = metal + _ring(patient, (18, 45, patient.thick * 0.4), (13, 9), 1.6)
    return metal


VISIBLE, LEAST = 0.8, 60  # mm of metal that stands out, and on how many pixels
Device = Callable[[Patient, np.random.Generator], Plane]
DEVICES: tuple[tuple[Device, float, float], ...] = (  # with its weight in AP and in PA
    (_pacemaker, 1.2, 2.5),
    (_port, 1, 2),
    (_central_line, 2, 1),
    (_breathing_tube, 2, 0.1),
    (_feeding_tube, 1.5, 0.3),
    (_leads, 3, 0.6),
    (_breastbone_wires, 1, 1.6),
)


def draw_devices(patient: Patient, rng: np.random.Generator) -> Plane:
    """One to three devices that fit the view, more where they fall off the film; mm of metal, shape (side, side)."""
    weights = np.array([row[1 if patient.view == "AP" else 2] for row in DEVICES])
    count = int(rng.integers(1, 4 if patient.view == "AP" else 3))
    metal = np.zeros((patient.rays.side, patient.rays.side), np.float32)
    for drawn, index in enumerate(rng.choice(len(DEVICES), len(DEVICES), replace=False, p=weights / weights.sum())):
        if drawn >= count and int((metal > VISIBLE).sum()) >= LEAST:
            break
        metal = metal + DEVICES[index][0](patient, rng)
    return metal

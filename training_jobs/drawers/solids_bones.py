"""The skeleton as clouds of points on the surface of its tubes and plates: its rims come out bright by themselves."""

import numpy as np

from training_jobs.drawers.solids_body import outer_wall
from training_jobs.drawers.solids_patient import Patient
from training_jobs.drawers.solids_rays import Plane, cast, chord, finer, soften


def tube(
    path: Plane, radii: tuple[float, float], rng: np.random.Generator, around: int = 8, thick: float = 1.0
) -> tuple[Plane, Plane]:
    """Points on the surface of a tube along ``path`` (..., steps, 3) and the volume in mm^3 that each stands for.

    ``radii`` are the half height and the half depth in mm, ``thick`` the shell.
    """
    steps = path.shape[-2]
    turn = 2 * np.pi * (np.arange(around) / around + 0.29 * np.arange(steps)[:, None])
    step = np.linalg.norm(np.diff(path, axis=-2), axis=-1)
    step = np.concatenate((step, step[..., -1:]), axis=-1)
    slide = rng.uniform(-0.5, 0.5, (*path.shape[:-1], around))[..., None] * np.gradient(path, axis=-2)[..., None, :]
    offset = np.stack((0 * turn, radii[0] * np.sin(turn), radii[1] * np.cos(turn)), axis=-1)
    area = step * np.pi * (radii[0] + radii[1]) / around * thick
    return (path[..., None, :] + offset + slide).reshape(-1, 3), np.repeat(area.ravel(), around)


def _ribs(patient: Patient, rng: np.random.Generator) -> tuple[Plane, Plane]:
    count, steps = int(rng.integers(9, 12)), 72
    gap = (patient.angle[0] - patient.apex) / (count + 0.5) * rng.uniform(0.92, 1.08)
    number = np.arange(count)[:, None]
    last = np.pi * np.minimum(0.6 + 0.035 * number, 0.8) + rng.normal(0, 0.06, (count, 1))
    turn = np.linspace(0.08, 1.0, steps)[None, :] * last
    drop = patient.slope * np.minimum(0.45 + 0.12 * number, 1.15)
    start = patient.apex - 4 + gap * number
    y = start + drop * ((1 - np.cos(turn)) / 2) ** 0.8 - 9 * np.sin(turn) * (patient.view == "PA")
    deep = patient.thick * (0.2 + 0.19 * np.minimum(number / 4, 1))
    clouds, areas = [], []
    for way in (-1, 1):
        wide = outer_wall(patient, way, np.maximum(y, patient.apex + 8)) + 4
        x = way * (14 + (wide - 14) * np.sin(turn)) + 0.5 * patient.spine(y)
        front = patient.thick * 0.53 + deep * np.cos(turn)
        path = np.stack((x, y + rng.normal(0, 1.5, (count, 1)), front), axis=-1)
        points, area = tube(path, (rng.uniform(4.5, 7), 3.2), rng, 9)
        fade = np.repeat(
            (np.where(turn > 1.7, 0.7, 1.0) * np.clip((last - turn) * 3, 0, 1) * np.clip(0.35 + turn, 0, 1)).ravel(), 9
        )
        clouds.append(points)
        areas.append(area * fade)
    return np.concatenate(clouds), np.concatenate(areas)


def _clavicle(patient: Patient, rng: np.random.Generator, way: int) -> tuple[Plane, Plane]:
    along = np.linspace(0, 1, 90)
    inner, outer = patient.clavicle
    x = way * (20 + along * patient.wall * rng.uniform(0.98, 1.15))
    y = inner + (outer - inner) * along + 7 * np.sin(2 * np.pi * along) * rng.uniform(0.5, 1.2)
    front = patient.thick * (0.16 + 0.3 * along**1.5) + 0 * y
    return tube(np.stack((x, y, front), axis=-1), (rng.uniform(5, 7.5), 5), rng, 14, rng.uniform(1.4, 3))


def _shoulder_blade(patient: Patient, rng: np.random.Generator, way: int) -> tuple[Plane, Plane]:
    inner = patient.shoulder_blade * patient.wall
    top = patient.clavicle[1] + rng.uniform(14, 30)
    corner = np.array([inner + 8, top])
    low = np.array([inner + rng.uniform(0, 22), top + rng.uniform(120, 150)])
    socket = np.array([max(inner + 62, patient.wall * 1.12), top + rng.uniform(10, 25)])
    first, second = rng.random((2, 1300))
    first, second = np.where(first + second > 1, 1 - first, first), np.where(first + second > 1, 1 - second, second)
    plate = corner + first[:, None] * (low - corner) + second[:, None] * (socket - corner)
    area = np.full(1300, 0.8 * abs(np.linalg.det(np.stack((low - corner, socket - corner)))) / 1300)
    back = np.full((1300, 1), patient.thick * 0.86)
    clouds, areas = [np.concatenate((plate * (way, 1), back), axis=1)], [area]
    for start, end, radius in (
        (corner, low, 2.6),
        (socket, low, 3.6),
        (corner + np.array([0, 18]), socket - np.array([0, 14]), 4.5),
    ):
        along = np.linspace(0, 1, 45)[:, None]
        line = start + (end - start) * along + np.sin(np.pi * along) * rng.normal(0, 3, 2)
        path = np.concatenate((line * (way, 1), np.full((45, 1), patient.thick * 0.86)), axis=1)
        points, shell = tube(path, (radius, radius), rng)
        clouds.append(points)
        areas.append(shell)
    return np.concatenate(clouds), np.concatenate(areas)


def _spine(patient: Patient, rng: np.random.Generator) -> Plane:
    x, y = patient.soft.at_depth(patient.depth(patient.thick * 0.76))
    away = (x - patient.spine(y) - patient.turned(0, patient.thick * 0.76)) / rng.uniform(15, 20)
    beat = np.tanh(2.5 * np.sin(2 * np.pi * y / rng.uniform(23, 29) + rng.uniform(0, 6)))
    body = np.sqrt(np.maximum(1 - away * away, 0)) * (rng.uniform(5, 12) * (0.85 + rng.uniform(0.05, 0.25) * beat))
    return finer(body.astype(np.float32), patient.rays.side)


def draw_bones(patient: Patient, rng: np.random.Generator) -> Plane:
    """Bone as mm on each ray, shape (side, side)."""
    clouds = [_ribs(patient, rng)]
    shell = rng.choice((rng.uniform(0.3, 1.2), rng.uniform(1.2, 3.6)))
    clouds[0] = (clouds[0][0], clouds[0][1] * shell)
    bone = _spine(patient, rng)
    for way in (-1, 1):
        clouds += [_clavicle(patient, rng, way), _shoulder_blade(patient, rng, way)]
        head = max(patient.wall * 1.25, (patient.shoulder_blade * patient.wall) + 85)
        place = (
            patient.turned(way * head, patient.thick * 0.6),
            patient.clavicle[1] + 36,
            patient.depth(patient.thick * 0.6),
        )
        bone = bone + 0.3 * chord(patient.rays, place, (22, 24, 22))
        shaft = (place[0] + way * 14, place[1] + 130, place[2])
        bone = bone + 0.3 * chord(patient.rays, shaft, (11, 135, 11), way * -0.08)
    points = np.concatenate([cloud for cloud, _ in clouds]).astype(np.float32)
    area = np.concatenate([area for _, area in clouds])
    return bone + soften(cast(patient.rays, patient.place(points), area * 1.6))

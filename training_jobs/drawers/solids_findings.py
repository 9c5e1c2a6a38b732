"""What illness does to the two lungs, as tissue or fluid in place of air (mm of water on each ray)."""

from dataclasses import dataclass

import numpy as np

from training_jobs.drawers.solids_body import Lung, lung_profile
from training_jobs.drawers.solids_patient import Patient
from training_jobs.drawers.solids_rays import Plane, cast, chord, soften

NAMES = {-1: "right", 1: "left"}  # the patient's side by the lung's ``way``
ZONES = {"upper": (0.1, 0.46), "lower": (0.56, 1.0)}  # shares of the way from apex to dome


@dataclass(frozen=True, eq=False)
class Air:
    """A lung and the water in it: ``water`` in mm on each ray, vessels included, shape (side, side)."""

    lung: Lung
    water: Plane


def add_findings(patient: Patient, airs: list[Air], labels: frozenset[str], rng: np.random.Generator) -> Plane:
    """The water of both lungs with the findings in ``labels``, summed; the heart and devices are drawn elsewhere."""
    total, rooms = np.zeros_like(airs[0].water), []
    for air in airs:
        name, lung = NAMES[air.lung.way], air.lung
        water, room = air.water, lung.air * (np.abs(lung.lateral) < 0.86)
        kept, pleura = np.ones_like(water), np.zeros_like(water)
        if f"pneumothorax_{name}" in labels:
            kept, pleura = _collapse(patient, lung, rng)
            room = room * (kept > 0.9)
        for zone in ZONES:
            if f"consolidation_{name}_{zone}" in labels:
                filled = _consolidation(patient, lung, room, zone, rng)
                water = water + (lung.air * 0.95 - water) * filled
                room = room * (filled < 0.15)
        water = water * kept + pleura * (lung.air > 0)
        if f"effusion_{name}" in labels:
            spared = "nodule" in labels or any(f"consolidation_{name}_{zone}" in labels for zone in ZONES)
            fluid = _effusion(patient, lung, spared, rng)
            water = water + np.maximum(lung.air - water, 0) * fluid
            room = room * (fluid < 0.1)
        rooms.append(room)
        total += water
    if "nodule" in labels:
        total = total + _nodules(patient, (airs[0].lung, airs[1].lung), rooms, rng)
    return total


def _along(patient: Patient, lung: Lung) -> Plane:
    """0 at the apex and 1 at the dome's top, shape (side, 1)."""
    return (lung.y - patient.apex) / (patient.dome[(lung.way + 1) // 2] - patient.apex)


def _step(value: Plane) -> Plane:
    value = np.clip(value, 0, 1)
    eased: Plane = value * value * (3 - 2 * value)
    return eased


def _collapse(patient: Patient, lung: Lung, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """Where the smaller lung still is (1 inside, 0 beyond), and the visceral pleura in mm."""
    kind = rng.random()
    drop, gap = rng.uniform(32, 62), rng.uniform(7, 14)
    if kind > 0.4:
        drop, gap = rng.uniform(20, 40), rng.uniform(18, 32)
    if kind > 0.75:
        drop, gap = rng.uniform(40, 65), rng.uniform(36, 0.5 * patient.wall)
    middle, wide, _ = lung_profile(patient, lung.way, lung.y, drop, gap)
    inside = np.clip((wide - np.abs(lung.x - middle)) / 1.5, 0, 1)
    kept = np.where(lung.way * (lung.x - middle) < 0, (wide > 0).astype(np.float32), inside)
    fine = np.linspace(patient.apex, patient.angle[(lung.way + 1) // 2], 900, dtype=np.float32)[:, None]
    middle, wide, _ = lung_profile(patient, lung.way, fine, drop, gap)
    present = wide[:, 0] > 0
    edge = np.concatenate((middle + lung.way * wide, fine), axis=1)[present]
    walked = np.concatenate(([0], np.cumsum(np.linalg.norm(np.diff(edge, axis=0), axis=1))))
    even = np.arange(0, walked[-1], 0.5)
    x, y = np.interp(even, walked, edge[:, 0]), np.interp(even, walked, edge[:, 1])
    points = np.stack((x, y, np.full_like(x, patient.depth(patient.thick * 0.5))), axis=1)
    line = cast(patient.rays, points, np.full(len(x), 0.5 * 1.7 * rng.uniform(9, 18)))
    return kept * rng.uniform(1.0, 1.25) + 0.02 * (1 - kept), line


def _consolidation(patient: Patient, lung: Lung, room: Plane, zone: str, rng: np.random.Generator) -> Plane:
    """How much of the air is filled, 0 to 1: clumps of alveoli around one place of the zone."""
    along = _along(patient, lung)
    low, high = ZONES[zone]
    place = _choose(room * ((along > low + 0.08) & (along < high - 0.1)), lung, rng)
    tall = (high - low) * (patient.dome[0] - patient.apex)
    spread = np.array([rng.uniform(0.15, 0.26) * patient.wall, rng.uniform(0.24, 0.4) * tall, 28])
    clumps = rng.normal(0, 0.8, (int(rng.integers(16, 40)), 3)) * spread + (*place, patient.depth(patient.thick * 0.5))
    points = clumps[:, None, :] + rng.normal(0, 1, (len(clumps), 60, 3)) * rng.uniform(4, 10, (len(clumps), 1, 1))
    cloud = soften(cast(patient.rays, points.reshape(-1, 3), np.full(len(clumps) * 60, 1.0)), int(rng.integers(3, 7)))
    cloud = cloud / max(float(np.percentile(cloud[cloud > 0.1 * cloud.max()], 60)), 1e-6)
    if rng.random() < 0.4:
        cloud = cloud * np.exp(-_bronchi(patient, place, lung.way, rng))
    gate = _step((along - low + 0.03) / 0.08) * _step((high + 0.03 - along) / 0.08)
    filled: Plane = rng.uniform(0.6, 0.85) * (1 - np.exp(-rng.uniform(1.1, 2.0) * cloud)) * gate
    return filled


def _bronchi(patient: Patient, place: tuple[float, float], way: int, rng: np.random.Generator) -> Plane:
    along = np.linspace(-1, 1, 90)[:, None]
    turns = rng.uniform(-0.9, 0.9, (1, 4))
    x = place[0] + way * along * 26 * np.cos(turns)
    y = place[1] + along * 26 * np.sin(turns) + rng.normal(0, 3, (1, 4))
    points = np.stack((x.ravel(), y.ravel(), np.full(x.size, patient.depth(patient.thick * 0.5))), axis=1)
    return soften(cast(patient.rays, points, np.full(len(points), 52 / 90 * 2.5 * rng.uniform(0.8, 1.6))))


def _effusion(patient: Patient, lung: Lung, spared: bool, rng: np.random.Generator) -> Plane:
    """The share of the air that fluid has taken: a meniscus that rises to the side, or a haze when supine."""
    dome, angle = patient.dome[(lung.way + 1) // 2], patient.angle[(lung.way + 1) // 2]
    tall, outward = dome - patient.apex, np.clip((lung.lateral + 1) / 2, 0, 1)
    amount = rng.random() * (0.7 if spared else 1.0)
    side = dome - rng.uniform(16, 42)
    middle = angle - rng.uniform(0.05, 0.6) * (angle - dome)
    if amount > 0.4:
        side = dome - tall * rng.uniform(0.14, 0.4)
        middle = side + rng.uniform(36, 70)
    if amount > 0.85:
        side = dome - tall * rng.uniform(0.45, 0.85)
        middle = side + rng.uniform(20, 50)
    surface = middle + (side - middle) * outward ** rng.uniform(2.2, 4.5)
    fluid = rng.uniform(0.82, 0.97) * _step((lung.y - surface) / rng.uniform(8, 16) + 0.5)
    if patient.view == "AP" and rng.random() < 0.3:
        haze = _step((_along(patient, lung) - rng.uniform(0.15, 0.4)) / rng.uniform(0.4, 0.6))
        fluid = np.maximum(fluid, rng.uniform(0.24, 0.4) * haze)
    return fluid


def _choose(room: Plane, lung: Lung, rng: np.random.Generator, radius: float = 0.0) -> tuple[float, float]:
    """The x and y in mm, at the lung's depth, of a pixel where the lung is deep and ``radius`` mm around it is free."""
    step = 4
    coarse = room[::step, ::step]
    deep = coarse > 0.55 * max(float(coarse.max()), 1e-6)
    free = deep
    reach = int(np.ceil(radius / (step * float(lung.x[0, 1] - lung.x[0, 0]))))
    for rows, columns in ((reach, 0), (-reach, 0), (0, reach), (0, -reach)) if reach else ():
        free = free & np.roll(deep, (rows, columns), (0, 1))
    places = np.flatnonzero(free if free.any() else coarse == coarse.max())
    row, column = divmod(int(rng.choice(places)), coarse.shape[1])
    return float(lung.x[0, column * step]), float(lung.y[row * step, 0])


def _nodules(patient: Patient, lungs: tuple[Lung, Lung], rooms: list[Plane], rng: np.random.Generator) -> Plane:
    """Balls with a sharp rim, in mm of water: one to three, 9 to 30 mm across, sometimes a mass to 50 mm."""
    share = np.array([float((room > 0.55 * room.max()).sum()) + 1 for room in rooms])
    count = int(rng.choice((1, 2, 3), p=(0.65, 0.2, 0.15)))
    mass = rng.random() < 0.15
    depth = patient.depth(patient.thick * 0.5)
    total = np.zeros_like(rooms[0])
    for _ in range(count):
        index = int(rng.choice(2, p=share / share.sum()))
        radius = rng.uniform(16, 25) if mass else 5.0 + 10.0 * rng.beta(1.6, 2)
        x, y = _choose(rooms[index], lungs[index], rng, radius)
        radii = (radius, radius * rng.uniform(0.88, 1.12), radius)
        ball = chord(patient.rays, (x, y, depth), radii, rng.uniform(0, 3)) / (2 * radius)
        total = np.maximum(total, rng.uniform(32, 50) * (1.2 if mass else 1) * np.sqrt(ball))
    return total

"""The chest's findings: pneumothorax, effusion, consolidation, nodule. Each is placed where an eye can see it."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from xraygpt_core.phantoms.anatomy import Anatomy, Floats, Lung
from xraygpt_core.phantoms.canvas import Canvas, Point, inside
from xraygpt_core.phantoms.findings import SIDES, Side


@dataclass(frozen=True)
class Collapse:
    """A pneumothorax: ``rim`` mm of air at the lateral wall; at the base ``taper`` of it is gone."""

    rim: float
    taper: float
    line: float  # how white the visceral pleura shows

    def inset(self, y: npt.ArrayLike, lung: Lung) -> Floats:
        """Width of the air rim at height y."""
        t = np.clip((np.asarray(y, dtype=np.float32) - lung.apex_y) / (lung.angle_y - lung.apex_y), 0.0, 1.0)
        return np.asarray(self.rim * (1.0 - self.taper * t), dtype=np.float32)


@dataclass(frozen=True)
class Effusion:
    """Fluid below ``level`` (its height at the wall, mm); its surface falls by ``sag`` towards the midline."""

    level: float
    sag: float
    bend: float  # how sharply the meniscus climbs at the wall; 0 is a flat air–fluid level
    density: float
    softness: float
    veil: float  # haze above the surface, as in supine films

    def surface(self, x: npt.ArrayLike, lung: Lung) -> Floats:
        """Height of the fluid's upper border at distance x from the midline."""
        q = np.clip((lung.width - np.asarray(x, dtype=np.float32)) / lung.width, 0.0, 1.0)
        fall = 1.0 - np.exp(-self.bend * q) if self.bend > 0 else q * 0.0
        return np.asarray(self.level + self.sag * fall, dtype=np.float32)


@dataclass(frozen=True)
class Opacity:
    """A consolidated patch: centre and radii in mm (x: distance from the midline), and its texture."""

    side: Side
    centre: Point
    radii: Point
    density: float
    edge: float
    lumps: float
    tilt: float
    fissure: bool  # a sharp lower border at the minor fissure


@dataclass(frozen=True)
class Nodule:
    """A round opacity; ``centre`` is in image coordinates (mm)."""

    centre: Point
    radius: float
    density: float
    edge: float


@dataclass(frozen=True)
class Lesions:
    """All chest findings of one phantom."""

    collapse: dict[Side, Collapse]
    effusions: dict[Side, Effusion]
    opacities: tuple[Opacity, ...]
    nodules: tuple[Nodule, ...] = ()


def draw_lesions(rng: np.random.Generator, anatomy: Anatomy, labels: frozenset[str]) -> Lesions:
    """Geometry for every label. A finding gives way where it would hide another one."""
    collapse = {side: _collapse(rng, anatomy, labels, side) for side in SIDES if f"pneumothorax_{side}" in labels}
    effusions = {side: _effusion(rng, anatomy, labels, side) for side in SIDES if f"effusion_{side}" in labels}
    opacities = tuple(
        _opacity(rng, anatomy, side, zone, collapse.get(side), effusions.get(side))
        for side in SIDES
        for zone in ("upper", "lower")
        if f"consolidation_{side}_{zone}" in labels
    )
    found = Lesions(collapse, effusions, opacities)
    if "nodule" in labels:
        count = 2 if rng.random() < 0.12 else 1
        found = replace(found, nodules=tuple(_nodule(rng, anatomy, found) for _ in range(count)))
    return found


def _collapse(rng: np.random.Generator, anatomy: Anatomy, labels: frozenset[str], side: Side) -> Collapse:
    crowded = any(f"consolidation_{side}_{zone}" in labels for zone in ("upper", "lower"))
    largest = 0.18 if crowded else 0.42
    rim = anatomy.half_width * float(rng.uniform(0.1, largest))
    return Collapse(
        rim=rim, taper=float(rng.uniform(0.0, 0.95)), line=float(rng.choice([0.0, 1.0, 1.0]) * rng.uniform(0.04, 0.16))
    )


def _effusion(rng: np.random.Generator, anatomy: Anatomy, labels: frozenset[str], side: Side) -> Effusion:
    """From a blunted angle to fluid up to mid chest; low where it would drown a consolidation."""
    lung = anatomy.lungs[side]
    height = lung.dome_y - lung.apex_y
    lowest, highest = lung.dome_y - 0.08 * height, lung.level(0.48)
    if f"consolidation_{side}_lower" in labels:
        highest = lung.dome_y - 0.14 * height
    elif f"consolidation_{side}_upper" in labels:
        highest = lung.level(0.62)
    level = float(rng.uniform(highest, lowest))
    flat = f"pneumothorax_{side}" in labels and rng.random() < 0.6
    sag = float(rng.uniform(0.05, 0.3)) * height
    if level > lung.dome_y - 0.18 * height:
        sag = min(sag, 0.4 * lung.angle_drop)  # a small effusion rounds the angle off: it must not follow the dome
    supine = anatomy.view == "AP" and rng.random() < 0.4
    return Effusion(
        level=level,
        sag=0.0 if flat else sag,
        bend=0.0 if flat else float(rng.uniform(1.5, 7.0)),
        density=float(rng.uniform(0.78, 1.08)),
        softness=float(rng.uniform(1.0, 3.0) if flat else rng.uniform(2.0, 9.0)),
        veil=float(rng.uniform(0.05, 0.2)) if supine else 0.0,
    )


def _gap(anatomy: Anatomy, side: Side, y: float, collapse: Collapse | None) -> tuple[float, float]:
    """Where aerated lung begins and ends at height y, as distances from the midline."""
    lung = anatomy.lungs[side]
    medial = float(anatomy.heart.border(y, side))
    rim = 0.0 if collapse is None else float(collapse.inset(y, lung))
    return medial, float(lung.wall(y)) - rim


def _opacity(
    rng: np.random.Generator,
    anatomy: Anatomy,
    side: Side,
    zone: str,
    collapse: Collapse | None,
    effusion: Effusion | None,
) -> Opacity:
    lung = anatomy.lungs[side]
    low, high = (0.17, 0.38) if zone == "upper" else (0.66, 0.88)
    bottom = lung.level(high) if effusion is None else min(lung.level(high), effusion.level - 22.0)
    y = float(rng.uniform(min(lung.level(low), bottom), bottom))
    if collapse is not None:
        y = max(y, lung.apex_y + 1.1 * collapse.rim + 26.0)
    medial, lateral = _gap(anatomy, side, y, collapse)
    width = max(lateral - medial, 10.0)
    radius = min(float(rng.uniform(0.26, 0.6)) * width, 52.0) if width > 45 else 0.62 * width
    radius = max(radius, 16.0)
    room = max(width - 1.5 * radius, 0.0)
    x = medial + 0.75 * radius + float(rng.uniform(0, 1)) * room if room > 0 else 0.5 * (medial + lateral)
    small = radius < 24.0  # then it must not be taken for a large nodule: ragged, soft and taller than wide
    tall = min(float(rng.uniform(0.7, 1.4)) * max(radius, 22.0), 0.2 * (lung.dome_y - lung.apex_y))
    return Opacity(
        side=side,
        centre=(x, y),
        radii=(radius, max(tall, 1.35 * radius if small else 18.0)),
        density=float(rng.uniform(0.66, 1.0)),
        edge=float(rng.uniform(0.45 if small else 0.15, 0.85)),
        lumps=0.0 if rng.random() < 0.25 and not small else float(rng.uniform(0.3 if small else 0.1, 0.6)),
        tilt=float(rng.normal(0, 0.35)),
        fissure=zone == "upper" and side == "right" and rng.random() < 0.3,
    )


def _clearance(anatomy: Anatomy, side: Side, centre: Point, others: Lesions) -> float:
    """Distance (mm) from a place in the lung to the nearest thing that could hide a nodule there."""
    lung = anatomy.lungs[side]
    x, y = centre
    medial, lateral = _gap(anatomy, side, y, others.collapse.get(side))
    top = lung.apex_y + (1.1 * others.collapse[side].rim if side in others.collapse else 0.0)
    near = [x - medial - 8.0, lateral - x, y - top - 14.0, float(lung.floor(x)) - y]
    if (effusion := others.effusions.get(side)) is not None:
        near.append(float(effusion.surface(x, lung)) - y - effusion.softness)
    for opacity in others.opacities:
        if opacity.side == side:
            off = np.hypot((x - opacity.centre[0]) / opacity.radii[0], (y - opacity.centre[1]) / opacity.radii[1])
            near.append(float(off - 1.15) * min(opacity.radii))
    return min(near)


def _nodule(rng: np.random.Generator, anatomy: Anatomy, others: Lesions) -> Nodule:
    """6–30 mm across, in the freest of some places that were tried; a small one is denser, so that it shows."""
    wanted = float(rng.triangular(3.0, 8.5, 15.0))
    best, best_clearance, best_side = (0.0, 0.0), -1e9, SIDES[0]
    for _ in range(40):
        side = SIDES[int(rng.integers(2))]
        lung = anatomy.lungs[side]
        y = lung.level(float(rng.uniform(0.12, 0.95)))
        centre = (float(rng.uniform(0.2, 0.95)) * lung.width, y)
        clearance = _clearance(anatomy, side, centre, others)
        if clearance > best_clearance:
            best, best_clearance, best_side = centre, clearance, side
        if clearance > wanted + 2.0:
            break
    radius = max(3.0, min(wanted, best_clearance))
    density = float(rng.uniform(0.24, 0.4)) + 1.4 / (radius + 3.0)
    return Nodule(
        centre=(anatomy.lungs[best_side].sign * best[0], best[1]),
        radius=radius,
        density=density,
        edge=float(rng.uniform(0.5, 2.0)) if radius < 6 else float(rng.uniform(0.6, 0.35 * radius)),
    )


def opacity_mask(canvas: Canvas, rng: np.random.Generator, opacity: Opacity, sign: float) -> Floats:
    """How much of the air is replaced, 0–1, shape (n, n)."""
    u = (canvas.x * sign - opacity.centre[0]) / opacity.radii[0]
    v = (canvas.y - opacity.centre[1]) / opacity.radii[1]
    u, v = u + opacity.tilt * v, v - opacity.tilt * u
    field = 1.0 - np.sqrt(u * u + v * v)
    if opacity.lumps > 0:
        field = field + opacity.lumps * 0.5 * canvas.clouds(rng, int(rng.integers(14, 34)))
    mask = np.clip(field / opacity.edge + 0.5, 0.0, 1.0)
    if opacity.fissure:
        border = opacity.centre[1] + 0.45 * opacity.radii[1] + 0.08 * canvas.x
        mask = mask * inside(np.asarray(border - canvas.y, dtype=np.float32), 1.5)
    return np.asarray(opacity.density * mask, dtype=np.float32)


def add_nodule(canvas: Canvas, value: Floats, nodule: Nodule) -> None:
    """Add the nodule's attenuation to ``value`` in place; only its own window of the array is touched."""
    reach = nodule.radius + 2 * nodule.edge + 2 * canvas.mm
    (left, top), (right, bottom) = (
        canvas.pixel((nodule.centre[0] - reach, nodule.centre[1] - reach)),
        canvas.pixel((nodule.centre[0] + reach, nodule.centre[1] + reach)),
    )
    rows = slice(max(0, int(top)), max(0, int(bottom) + 1))
    columns = slice(max(0, int(left)), max(0, int(right) + 1))
    distance = np.hypot(canvas.x[:, columns] - nodule.centre[0], canvas.y[rows] - nodule.centre[1])
    value[rows, columns] += nodule.density * inside((nodule.radius - distance).astype(np.float32), nodule.edge)

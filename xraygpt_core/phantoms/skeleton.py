"""Ribs, clavicles, scapulae and spine, and the vessels of the lung."""

from dataclasses import dataclass

import numpy as np

from xraygpt_core.phantoms.anatomy import Anatomy, Floats, Lung
from xraygpt_core.phantoms.canvas import Canvas, Pen, Point, curve
from xraygpt_core.phantoms.findings import SIDES


@dataclass(frozen=True)
class BoneLook:
    """How strongly the skeleton shows."""

    ribs: float
    front_ribs: float
    clavicles: float
    scapulae: float
    spine: float
    vessels: float
    rib_width: float


def draw_look(rng: np.random.Generator) -> BoneLook:
    """From high-kilovolt films, where ribs are faint, to hard ones. One in twenty films shows no ribs at all."""
    ribs = 0.0 if rng.random() < 0.05 else float(rng.uniform(0.02, 0.13))
    return BoneLook(
        ribs=ribs,
        front_ribs=ribs * float(rng.uniform(0.1, 0.8)),
        clavicles=float(rng.uniform(0.04, 0.15)),
        scapulae=float(rng.uniform(0.08, 0.15)),
        spine=float(rng.uniform(0.02, 0.13)),
        vessels=0.0 if rng.random() < 0.06 else float(rng.uniform(0.02, 0.12)),
        rib_width=float(rng.uniform(5.0, 10.0)),
    )


def _rib(lung: Lung, k: int, spacing: float, drop: float) -> tuple[list[Point], list[Point]]:
    """The k-th rib's back and front arcs."""
    start = lung.apex_y + 4 + k * spacing
    reach = float(lung.wall(start + 0.75 * drop)) + 2.0
    reach = reach if reach > 45 else 45.0 + 3 * k
    arch = min(reach, 20.0 + 12.0 * (k + 1))
    back = curve([(14, start), (0.45 * arch + 10, start - 9), (0.85 * reach, start - 3), (reach, start + drop)])
    front = curve(
        [
            (reach, start + drop),
            (0.97 * reach, start + drop + 22),
            (0.7 * reach, start + drop + 34),
            (34, start + drop + 52),
        ]
    )
    return [(lung.sign * x, y) for x, y in back], [(lung.sign * x, y) for x, y in front[:20]]


def _ribs(anatomy: Anatomy) -> tuple[list[list[Point]], list[list[Point]]]:
    """The back and the front arcs of ten ribs on both sides."""
    arcs = [
        _rib(anatomy.lungs[side], k, anatomy.rib_spacing, anatomy.rib_drop * (0.5 + 0.06 * k))
        for side in SIDES
        for k in range(10)
    ]
    return [back for back, _ in arcs], [front for _, front in arcs]


def _paint_ribs(pen: Pen, arcs: list[list[Point]], width: float) -> None:
    for arc in arcs:
        pen.line(arc, width, 1.0)
        pen.line(arc, 0.5 * width, 0.62)  # the marrow is thinner than the cortex


def _paint_clavicles(pen: Pen, rng: np.random.Generator, anatomy: Anatomy, ink: float) -> None:
    """V-shaped and over the upper ribs in PA films; flatter and above the apices in AP films."""
    ap = anatomy.view == "AP"
    lift = float(rng.uniform(6, 16)) if ap else float(rng.uniform(-10, 2))
    slope = float(rng.uniform(-4, 10)) if ap else float(rng.uniform(16, 38))
    width = float(rng.uniform(8, 12))
    for side in SIDES:
        lung = anatomy.lungs[side]
        medial = lung.apex_y + 22 - lift
        far = anatomy.half_width * 1.08
        line = curve([(14, medial), (45, medial - 2), (0.6 * far, medial - slope), (far, medial - slope)])
        placed = [(lung.sign * x, y) for x, y in line]
        pen.line(placed, width, ink)
        pen.line(placed, width * 0.5, 0.7 * ink)


def _paint_scapulae(pen: Pen, rng: np.random.Generator, anatomy: Anatomy, ink: float) -> None:
    """Turned out of the lungs in PA films (shoulders forward), lying over their outer third in AP films."""
    for side in SIDES:
        lung = anatomy.lungs[side]
        if anatomy.view == "AP":
            medial = anatomy.half_width * float(rng.uniform(0.52, 0.74))
        else:
            medial = anatomy.half_width + anatomy.fat * float(rng.uniform(0.1, 0.5))
        top, tip = lung.level(float(rng.uniform(0.1, 0.2))), lung.level(float(rng.uniform(0.68, 0.85)))
        outer = anatomy.half_width + anatomy.fat
        outline = [
            (medial + 8, top),
            (medial, 0.5 * (top + tip)),
            (medial + 12, tip),
            (min(medial + 24, outer), tip - 6),
            (outer, top + 20),
            (outer, top - 8),
        ]
        placed = [(lung.sign * x, y) for x, y in outline]
        pen.polygon(placed, 0.85 * ink)
        pen.line(placed[:4], 4.0, 1.3 * ink)


def _paint_spine(pen: Pen, rng: np.random.Generator, anatomy: Anatomy) -> None:
    half = float(rng.uniform(13, 18))
    pitch = anatomy.rib_spacing * 0.95
    for k in range(-2, 13):
        y = anatomy.lungs["right"].apex_y + k * pitch
        x = anatomy.spine_bend * float(np.sin(0.5 * k))
        pen.box((x, y + 0.5 * pitch), (2 * half, 0.82 * pitch), 3.0, 0.8)
        pen.ellipse((x, y + 0.7 * pitch), (2.5, 5.0), 1.0)


def _paint_vessels(pen: Pen, rng: np.random.Generator, anatomy: Anatomy) -> None:
    """Branches that fan out from both hila and thin towards the periphery."""
    for side in SIDES:
        lung = anatomy.lungs[side]
        hilum_y = lung.level(0.47) + (4 if side == "right" else -4)
        hilum_x = 26.0
        pen.ellipse((lung.sign * (hilum_x + 4), hilum_y), (9, 18), 0.55)
        for _ in range(int(rng.integers(14, 30))):
            angle = float(rng.uniform(-1.35, 1.35))
            length = float(rng.uniform(0.35, 0.85)) * anatomy.half_width
            bend = angle + float(rng.normal(0, 0.3))
            mid = (hilum_x + 0.5 * length * np.cos(angle), hilum_y + 0.5 * length * np.sin(angle))
            tip = (mid[0] + 0.5 * length * np.cos(bend), mid[1] + 0.5 * length * np.sin(bend))
            start = (lung.sign * hilum_x, hilum_y + float(rng.normal(0, 8)))
            branch = (lung.sign * float(mid[0]), float(mid[1]))
            pen.line([start, branch], 2.6, float(rng.uniform(0.6, 1.0)))
            pen.line([branch, (lung.sign * float(tip[0]), float(tip[1]))], 1.3, float(rng.uniform(0.35, 0.75)))


def bones(canvas: Canvas, rng: np.random.Generator, anatomy: Anatomy, look: BoneLook) -> Floats:
    """Attenuation added by the whole skeleton, shape (n, n)."""
    shoulder = max(look.clavicles, look.scapulae)

    def paint_girdle(pen: Pen) -> None:
        _paint_scapulae(pen, rng, anatomy, look.scapulae / shoulder)
        _paint_clavicles(pen, rng, anatomy, look.clavicles / shoulder)

    added = shoulder * canvas.layer(paint_girdle)
    added += look.spine * canvas.layer(lambda pen: _paint_spine(pen, rng, anatomy))
    if look.ribs > 0:
        back, front = _ribs(anatomy)
        added += look.ribs * canvas.layer(lambda pen: _paint_ribs(pen, back, look.rib_width))
        added += look.front_ribs * canvas.layer(lambda pen: _paint_ribs(pen, front, 1.15 * look.rib_width))
    return added


def vessels(canvas: Canvas, rng: np.random.Generator, anatomy: Anatomy, look: BoneLook) -> Floats:
    """Attenuation added by hila and vessels inside aerated lung, shape (n, n); the caller clips it to the lung."""
    return look.vessels * canvas.layer(lambda pen: _paint_vessels(pen, rng, anatomy))

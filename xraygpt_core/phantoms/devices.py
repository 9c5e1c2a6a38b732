"""Devices in and on the chest, each drawn by one function on one bright layer."""

from collections.abc import Callable

import numpy as np

from xraygpt_core.phantoms.anatomy import Anatomy, Floats
from xraygpt_core.phantoms.canvas import Canvas, Pen, Point, curve

Painter = Callable[[Pen, np.random.Generator, Anatomy], None]


def _catheter(pen: Pen, rng: np.random.Generator, anatomy: Anatomy, start: Point, width: float) -> None:
    """From ``start`` over the upper mediastinum down into the superior vena cava (right of the midline)."""
    tip = anatomy.lungs["right"].level(float(rng.uniform(0.42, 0.6)))
    vein_y = anatomy.lungs["right"].level(0.12)
    vein_x = -float(rng.uniform(12, 20))
    pen.line(curve([start, (0.55 * start[0], vein_y - 18), (vein_x, vein_y - 6), (vein_x - 2, tip)]), width, 1.0)


def _pacemaker(pen: Pen, rng: np.random.Generator, anatomy: Anatomy) -> None:
    side = 1.0 if rng.random() < 0.75 else -1.0
    lung = anatomy.lungs["left"]
    x, y = side * anatomy.half_width * float(rng.uniform(0.55, 0.85)), lung.level(float(rng.uniform(0.1, 0.3)))
    size = (float(rng.uniform(28, 46)), float(rng.uniform(24, 40)))
    vein = (-12.0, lung.level(0.16))
    bottom = lung.level(float(rng.uniform(0.85, 0.97)))
    apex = (anatomy.heart.left * float(rng.uniform(0.35, 0.7)), bottom)
    width = float(rng.uniform(1.6, 3.0))
    for lead in range(1 + int(rng.random() < 0.5)):
        end = apex if lead == 0 else (-0.5 * anatomy.heart.right, lung.level(0.72))
        pen.line(
            curve([(x, y - 10), (x * 0.5, y - 34), vein, (-24, lung.level(0.55)), (-20, bottom + 14), end], 30),
            width,
            0.8,
        )
    pen.box((x, y), size, float(rng.uniform(3, 14)), 1.0)
    pen.box((x, y - 0.55 * size[1]), (0.5 * size[0], 7.0), 2.0, 0.75)


def _port(pen: Pen, rng: np.random.Generator, anatomy: Anatomy) -> None:
    side = -1.0 if rng.random() < 0.7 else 1.0
    place = (
        side * anatomy.half_width * float(rng.uniform(0.5, 0.75)),
        anatomy.lungs["right"].level(float(rng.uniform(0.14, 0.34))),
    )
    _catheter(pen, rng, anatomy, place, float(rng.uniform(1.8, 3.0)))
    radius = float(rng.uniform(10, 15))
    pen.ellipse(place, (radius, radius), 0.65)
    pen.ellipse(place, (radius, radius), 1.0, ring_mm=3.0)


def _central_line(pen: Pen, rng: np.random.Generator, anatomy: Anatomy) -> None:
    side = -1.0 if rng.random() < 0.65 else 1.0
    if rng.random() < 0.5:
        start = (side * float(rng.uniform(22, 40)), anatomy.lungs["right"].apex_y - 70.0)
    else:
        start = (side * anatomy.half_width * 1.15, anatomy.lungs["right"].level(float(rng.uniform(-0.05, 0.2))))
    _catheter(pen, rng, anatomy, start, float(rng.uniform(2.0, 3.6)))


def _ecg_leads(pen: Pen, rng: np.random.Generator, anatomy: Anatomy) -> None:
    lung = anatomy.lungs["left"]
    for _ in range(int(rng.integers(3, 6))):
        x = float(rng.choice([-1.0, 1.0])) * anatomy.half_width * float(rng.uniform(0.45, 1.0))
        y = lung.level(float(rng.uniform(0.05, 0.95)))
        bow = x + float(rng.normal(0, 40))
        pen.line(curve([(x, y), (bow, y + 60), (0.5 * x, lung.angle_y + 40), (0.6 * x, lung.angle_y + 120)]), 1.8, 0.8)
        pen.ellipse((x, y), (6.0, 6.0), 1.0)
        pen.ellipse((x, y), (2.0, 2.0), 0.4)


def _airway_tube(pen: Pen, rng: np.random.Generator, anatomy: Anatomy) -> None:
    lung = anatomy.lungs["right"]
    tip = lung.level(float(rng.uniform(0.28, 0.4)))
    top = lung.apex_y - 90.0
    half = float(rng.uniform(4.0, 6.0))
    for edge in (-half, half):
        pen.line([(edge, top), (edge + 1, tip)], 1.6, 0.8)
    pen.line([(0.0, top), (1.0, tip)], 1.4, 1.0)


def _gastric_tube(pen: Pen, rng: np.random.Generator, anatomy: Anatomy) -> None:
    lung = anatomy.lungs["left"]
    end = (float(rng.uniform(30, 70)), lung.dome_y + float(rng.uniform(25, 60)))
    pen.line(
        curve([(3, lung.apex_y - 90), (8, lung.level(0.5)), (-4, lung.level(0.9)), (12, lung.dome_y + 40), end]),
        2.6,
        0.95,
    )


def _sternal_wires(pen: Pen, rng: np.random.Generator, anatomy: Anatomy) -> None:
    lung = anatomy.lungs["right"]
    for k in range(int(rng.integers(4, 8))):
        y = lung.level(0.22 + 0.11 * k)
        pen.ellipse(
            (float(rng.normal(0, 2)), y), (float(rng.uniform(6, 10)), float(rng.uniform(4, 7))), 1.0, ring_mm=1.7
        )


def _chest_drain(pen: Pen, rng: np.random.Generator, anatomy: Anatomy) -> None:
    side = float(rng.choice([-1.0, 1.0]))
    lung = anatomy.lungs["left" if side > 0 else "right"]
    line = [
        (side * lung.width * 1.3, lung.level(0.75)),
        (side * lung.width * 0.8, lung.level(0.6)),
        (side * lung.width * 0.5, lung.level(0.2)),
    ]
    pen.line(curve(line), float(rng.uniform(4, 6)), 0.5)
    pen.line(curve(line), 1.6, 1.0)


PAINTERS: dict[str, Painter] = {
    "pacemaker": _pacemaker,
    "port": _port,
    "central line": _central_line,
    "ECG leads": _ecg_leads,
    "endotracheal tube": _airway_tube,
    "nasogastric tube": _gastric_tube,
    "sternal wires": _sternal_wires,
    "chest drain": _chest_drain,
}
WEIGHTS = (0.3, 0.13, 0.18, 0.1, 0.08, 0.07, 0.08, 0.06)


def choose_devices(rng: np.random.Generator) -> tuple[str, ...]:
    """One device, sometimes two; pacemakers are the most frequent."""
    count = 2 if rng.random() < 0.2 else 1
    chosen = rng.choice(list(PAINTERS), size=count, replace=False, p=WEIGHTS)
    return tuple(str(name) for name in chosen)


def devices(canvas: Canvas, rng: np.random.Generator, anatomy: Anatomy, names: tuple[str, ...]) -> Floats:
    """Attenuation added by the named devices, shape (n, n)."""
    added = np.zeros((canvas.n, canvas.n), dtype=np.float32)
    for name in names:
        layer = canvas.layer(lambda pen, paint=PAINTERS[name]: paint(pen, rng, anatomy))  # type: ignore[misc]
        added += np.float32(rng.uniform(0.4, 0.85)) * layer
    return added

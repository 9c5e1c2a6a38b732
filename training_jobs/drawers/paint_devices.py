"""Devices painted onto a film: lines, tubes, a pacemaker, a port, electrodes, wires. Lengths in millimetres."""

from collections.abc import Callable

import numpy as np

from training_jobs.drawers.paint_lungs import Point
from training_jobs.drawers.paint_scene import Pen, Scene

Rng = np.random.Generator


class _Body:
    """Millimetres on the film: x from the midline to the image's right, y from the apices down."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.mm = scene, scene.mm
        self.pen: Pen = scene.pen()
        self._top = (scene.lungs.top("left") + scene.lungs.top("right")) / 2
        self.high = (max(place.bottom for place in scene.places.values()) - self._top) / self.mm

    def at(self, x: float, y: float) -> Point:
        return self.scene.lungs.midline + x * self.mm, self._top + y * self.mm

    def curve(self, points: list[Point], wide: float, ink: float = 1.0) -> None:
        """A smooth line through the points (Catmull and Rom 1974)."""
        known = np.asarray([points[0], *points, points[-1]], np.float64)
        t = np.linspace(0, 1, 14)[:, None]
        line: list[Point] = []
        for a, b, c, d in zip(known, known[1:], known[2:], known[3:], strict=False):
            part = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
            line += [self.at(x, y) for x, y in part.tolist()]
        self.pen.line(line, wide * self.mm, ink)


def _central_line(body: _Body, rng: Rng) -> None:
    tip = (float(rng.uniform(-28, -14)), body.high * float(rng.uniform(0.38, 0.62)))
    wide, ink = float(rng.uniform(1.6, 3)), float(rng.uniform(0.5, 1))
    match int(rng.integers(3)):
        case 0:  # jugular
            side = float(rng.choice([-1, 1]))
            start = [(side * 48.0, -75.0), (side * 34.0, -25.0), (-18.0 if side < 0 else 12.0, 20.0)]
        case 1:  # subclavian
            side = float(rng.choice([-1, 1]))
            start = [(side * 105.0, 38.0), (side * 70.0, 14.0), (side * 32.0, 14.0), (-16.0, 36.0)]
        case _:  # from the arm
            side = float(rng.choice([-1, 1]))
            start = [(side * 165.0, 75.0), (side * 125.0, 28.0), (side * 60.0, 10.0), (-14.0, 34.0)]
    body.curve([(x + float(rng.normal(0, 4)), y + float(rng.normal(0, 4))) for x, y in start] + [tip], wide, ink)


def _airway_tube(body: _Body, rng: Rng) -> None:
    x, tip, half = float(rng.normal(0, 4)), body.high * float(rng.uniform(0.16, 0.34)), float(rng.uniform(4, 5.5))
    for edge in (-half, half):
        body.curve([(x + edge, -90.0), (x + edge + float(rng.normal(0, 2)), -30.0), (x + edge, tip)], 1.3, 0.7)
    body.curve([(x + 0.5 * half, -90.0), (x + 0.6 * half, -30.0), (x + 0.5 * half, tip)], 1.2, 1.0)


def _stomach_tube(body: _Body, rng: Rng) -> None:
    x = float(rng.normal(2, 4))
    end = (float(rng.uniform(35, 80)), body.high + float(rng.uniform(25, 60)))
    points = [(x, -90.0), (x + 3, 0.2 * body.high), (x - 2, 0.6 * body.high), (x + 8, 0.98 * body.high), end]
    body.curve(points, float(rng.uniform(2, 4)), 0.45)
    body.curve(points, 1.2, 0.9)


def _pacemaker(body: _Body, rng: Rng) -> None:
    side = float(rng.choice([-1, 1], p=(0.25, 0.75)))
    x, y = side * float(rng.uniform(82, 112)), float(rng.uniform(12, 50))
    wide, tall = float(rng.uniform(18, 25)), float(rng.uniform(17, 24))
    body.pen.spot(body.at(x, y), (wide * body.mm, tall * body.mm), float(rng.uniform(0.75, 0.95)))
    body.pen.spot(body.at(x - 0.2 * wide, y + 0.2 * tall), (0.5 * wide * body.mm, 0.5 * tall * body.mm), 1.0)
    body.curve([(x - 0.7 * wide, y - 0.8 * tall), (x + 0.7 * wide, y - 0.8 * tall)], 7, 0.55)
    ends = [(float(rng.uniform(25, 60)), body.high * float(rng.uniform(0.86, 1.02)))]
    if rng.random() < 0.6:
        ends.append((float(rng.uniform(-32, -12)), body.high * float(rng.uniform(0.58, 0.72))))
    for end in ends:
        way = [(x, y - 0.9 * tall), (side * 55.0, 8 + float(rng.normal(0, 3))), (-10.0, 0.25 * body.high)]
        body.curve([*way, (-28.0 + float(rng.normal(0, 4)), 0.62 * body.high), end], float(rng.uniform(1.3, 2)), 0.9)
        body.pen.spot(body.at(*end), (2.2 * body.mm, 1.5 * body.mm))


def _port(body: _Body, rng: Rng) -> None:
    side = float(rng.choice([-1, 1], p=(0.75, 0.25)))
    x, y, size = side * float(rng.uniform(65, 95)), float(rng.uniform(35, 65)), float(rng.uniform(9, 13))
    body.pen.spot(body.at(x, y), (size * body.mm, size * body.mm), 0.4)
    body.pen.spot(body.at(x, y), (size * body.mm, size * body.mm), 0.95, rim=2.5 * body.mm)
    end = (float(rng.uniform(-28, -14)), body.high * float(rng.uniform(0.42, 0.62)))
    body.curve([(x, y - size), (side * 45.0, 4.0), (side * 22.0, 12.0), (-17.0, 0.25 * body.high), end], 2.2, 0.7)


def _electrodes(body: _Body, rng: Rng) -> None:
    spots = [(-95, 25), (98, 25), (-90, 150), (100, 160), (12, 120), (70, 175)]
    for index in rng.permutation(len(spots))[: int(rng.integers(2, 6))]:
        x, y = (value + float(rng.normal(0, 12)) for value in spots[index])
        size = float(rng.uniform(4, 7))
        body.pen.spot(body.at(x, y), (2.4 * size * body.mm, 2.4 * size * body.mm), 0.1)
        body.pen.spot(body.at(x, y), (size * body.mm, size * body.mm), float(rng.uniform(0.6, 0.95)))
        away = [(x + float(rng.normal(0, 30)), y - 60.0), (x * 1.2 + float(rng.normal(0, 30)), y - 160.0)]
        body.curve([(x, y), *(away if rng.random() < 0.5 else [(a, 2 * y - b) for a, b in away])], 1.3, 0.7)


def _wires(body: _Body, rng: Rng) -> None:
    for index in range(int(rng.integers(4, 8))):
        x, y = float(rng.normal(0, 2)), body.high * (0.18 + 0.11 * index)
        radii = (float(rng.uniform(6, 10)) * body.mm, float(rng.uniform(3.5, 6)) * body.mm)
        body.pen.spot(body.at(x, y), radii, 1.0, rim=1.2 * body.mm)
        body.curve([(x - 3, y + 6), (x + float(rng.normal(0, 3)), y + 8), (x + 3, y + 5)], 1.4)


_ALL: dict[str, tuple[Callable[[_Body, Rng], None], float]] = {
    "central line": (_central_line, 0.3),
    "airway tube": (_airway_tube, 0.12),
    "stomach tube": (_stomach_tube, 0.1),
    "pacemaker": (_pacemaker, 0.2),
    "port": (_port, 0.1),
    "electrodes": (_electrodes, 0.1),
    "sternal wires": (_wires, 0.08),
}


def devices(scene: Scene, rng: Rng) -> None:
    """One or two devices, some faint and some metal."""
    body = _Body(scene)
    weights = [weight for _, weight in _ALL.values()]
    count = 2 if rng.random() < 0.3 else 1
    for index in rng.choice(len(_ALL), count, replace=False, p=weights):
        list(_ALL.values())[int(index)][0](body, rng)
    scene.value = scene.value + body.pen.sheet() * np.float32(rng.uniform(0.6, 1.6) * scene.unit)

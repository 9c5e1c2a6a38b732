"""Lines, tubes, wires and implants as bright strokes on a film."""

import numpy as np

from training_jobs.drawers.contours_anatomy import Anatomy
from training_jobs.drawers.contours_curves import Layer, Points, Stroke, curve, disc

_BEDSIDE = ("breathing tube", "feeding tube", "neck line", "arm line", "leads", "drain", "pacemaker", "wires")
_RINGS = (0.2, 0.45, 0.7, 0.95)  # of a plate filled by rings, from the middle outwards
_CHANCES = {"AP": (0.2, 0.16, 0.15, 0.1, 0.19, 0.08, 0.07, 0.05), "PA": (0.02, 0.06, 0.1, 0.16, 0.1, 0.06, 0.3, 0.2)}


def devices(rng: np.random.Generator, body: Anatomy) -> Layer:
    """One to three devices, at least one of them plain to see."""
    count = int(rng.choice([1, 2, 3], p=[0.45, 0.35, 0.2]))
    kinds = rng.choice(_BEDSIDE, count, replace=False, p=_CHANCES[body.view])
    strokes: list[Stroke] = []
    for kind in kinds:
        strokes += _DRAWN[str(kind)](rng, body)
    return body.pose.stroke(strokes, soft=0.4)


def _breathing_tube(rng: np.random.Generator, body: Anatomy) -> list[Stroke]:
    tip = body.level(rng.uniform(0.14, 0.3))
    x = rng.normal(0, 0.02)
    line = _line([(x + rng.normal(0, 0.08), -1.9), (x, -1.2), (x + 0.01, tip)])
    beside = np.array([0.03, 0.0])
    return [(line, 0.085, 110), (line - beside, 0.024, 240), (line + beside, 0.018, 190)]


def _feeding_tube(rng: np.random.Generator, body: Anatomy) -> list[Stroke]:
    dome = body.domes[1]
    marks = [(rng.normal(0, 0.05), -1.9), (0.02, -0.9), (0.05, body.level(0.5)), (0.1, dome), (0.22, dome + 0.25)]
    line = _line([*marks, (rng.uniform(0.3, 0.5), dome + rng.uniform(0.25, 0.45))])
    return [(line, 0.038, 235), (line[-3:], 0.05, 255)]


def _neck_line(rng: np.random.Generator, body: Anatomy) -> list[Stroke]:
    sign = rng.choice([-1, 1], p=[0.75, 0.25])
    tip = body.level(rng.uniform(0.4, 0.62))
    marks = [(sign * rng.uniform(0.4, 0.6), -1.75), (sign * 0.33, -1.3), (sign * 0.2, -0.9), (-0.15, body.level(0.25))]
    return [(_line([*marks, (-0.17, tip)]), 0.03, 225), (disc(sign * 0.5, -1.6, 0.05, 0.03), 0.03, 230)]


def _arm_line(rng: np.random.Generator, body: Anatomy) -> list[Stroke]:
    sign = rng.choice([-1, 1])
    marks = [
        (sign * 1.7, -0.2),
        (sign * 1.25, -0.75),
        (sign * 0.8, -0.86),
        (sign * 0.35, -0.8),
        (-0.12, body.level(0.2)),
    ]
    return [(_line([*marks, (-0.17, body.level(rng.uniform(0.4, 0.6)))]), 0.026, 225)]


def _leads(rng: np.random.Generator, body: Anatomy) -> list[Stroke]:
    strokes: list[Stroke] = []
    spots = [(-0.75, -0.75), (0.75, -0.75), (-0.85, body.level(0.9)), (0.85, body.level(0.9)), (0.15, body.level(0.75))]
    exit_x = rng.choice([-1.5, 1.5])
    for index in rng.permutation(5)[: int(rng.integers(3, 6))]:
        x, y = np.array(spots[index]) + rng.normal(0, 0.1, 2)
        strokes += [(disc(x, y, radius, radius), 0.026, 235) for radius in (0.012, 0.03)]
        bend = (x * 0.6 + exit_x * 0.4 + rng.normal(0, 0.15), y + rng.uniform(-0.2, 0.4))
        strokes.append((_line([(x, y), bend, (exit_x, y + rng.uniform(-0.4, 0.8))]), 0.022, 205))
    return strokes


def _drain(rng: np.random.Generator, body: Anatomy) -> list[Stroke]:
    sign = rng.choice([-1, 1])
    low = body.level(rng.uniform(0.6, 0.9))
    end = (sign * rng.uniform(0.35, 0.65), body.level(rng.uniform(0.1, 0.35)))
    line = _line([(sign * 1.5, low + 0.2), (sign * 0.95, low), (sign * 0.72, body.level(0.55)), end])
    beside = np.array([0.025, 0.0])
    return [(line, 0.07, 110), (line + beside, 0.02, 245), (line - beside, 0.012, 190)]


def _pacemaker(rng: np.random.Generator, body: Anatomy) -> list[Stroke]:
    sign = rng.choice([-1, 1], p=[0.25, 0.75])
    x, y = sign * rng.uniform(0.62, 0.82), rng.uniform(-0.72, -0.5)
    tip = (0.55 * body.heart[1], body.domes[1] - rng.uniform(0.02, 0.12))
    lead = [(x - sign * 0.05, y - 0.1), (sign * 0.4, -0.85), (-0.1, body.level(0.25)), (-0.18, body.level(0.6))]
    strokes = [(_line([*lead, (0.05, body.domes[1]), tip]), 0.026, 225)]
    if rng.random() < 0.6:
        strokes.append((_line([*lead, (-0.24, body.level(0.72)), (-0.14, body.level(0.66))]), 0.024, 220))
    if rng.random() < 0.3:  # a port: a ring with a line
        return [strokes[0], (disc(x, y, 0.07, 0.075), 0.04, 245), (disc(x, y, 0.03, 0.03), 0.05, 200)]
    rings = [(disc(x, y, 0.11 * part, 0.12 * part), 0.045, 225 + 5 * index) for index, part in enumerate(_RINGS)]
    return [*strokes, *rings]


def _wires(rng: np.random.Generator, body: Anatomy) -> list[Stroke]:
    x = rng.normal(0, 0.03)
    heights = np.linspace(body.level(0.2), body.level(0.9), int(rng.integers(5, 8)))
    loops = [disc(x + rng.normal(0, 0.01), y, 0.055, 0.03) for y in heights]
    return [(np.concatenate([loop, loop[:1]]), 0.022, 250) for loop in loops]


def _line(marks: list[tuple[float, float]]) -> Points:
    return curve(marks, closed=False)


_DRAWN = {
    "breathing tube": _breathing_tube,
    "feeding tube": _feeding_tube,
    "neck line": _neck_line,
    "arm line": _arm_line,
    "leads": _leads,
    "drain": _drain,
    "pacemaker": _pacemaker,
    "wires": _wires,
}

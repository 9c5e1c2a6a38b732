"""The build of one chest: a warped coordinate system and the outlines of lungs, heart and diaphragm in it."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from training_jobs.drawers.fields_grid import HEIGHTS, Grid, cloud, height_index, knots, look_up, step
from xraygpt_core.phantoms.findings import Side, View


@dataclass(frozen=True, eq=False)
class Chest:
    """Fields of shape (side, side).

    ``u`` is 0 in the midline and 1 at the inner chest wall on the patient's left; ``a`` is its size; ``v`` is 0 at
    the apex of the lung and 1 at the right dome. One unit of v is as long as ``tall`` units of u.
    """

    view: View
    side: int
    u: Grid
    v: Grid
    a: Grid
    is_left: NDArray[np.bool_]
    row: NDArray[np.intp]
    outer: Grid  # the inner chest wall, in units of a
    inner: Grid  # the edge of heart and mediastinum, in units of a
    dome: Grid  # the diaphragm, in units of v
    air: Grid  # 0 to 1: how much of a ray runs through lung
    tall: float
    scale: float  # pixels for one unit of u
    centre: tuple[float, float]
    tilt: float
    widest: tuple[float, float]  # the heart's reach to the patient's right and left, in units of u

    def half(self) -> "Chest":
        """The same chest on every second pixel, for soft bodies, which lose nothing there."""
        every = {
            name: getattr(self, name)[::2, ::2]
            for name in ("u", "v", "a", "is_left", "row", "outer", "inner", "dome", "air")
        }
        middle = (self.centre[0] / 2, self.centre[1] / 2)
        return replace(self, side=self.side // 2, scale=self.scale / 2, centre=middle, **every)

    def pixels(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Column and row of points (u, v) of the unwarped body; both of shape (n, 2)."""
        x, y = points[:, 0] * self.scale, (points[:, 1] - 0.5) * (self.scale * self.tall)
        cosine, sine = math.cos(self.tilt), math.sin(self.tilt)
        return np.stack([self.centre[0] + cosine * x - sine * y, self.centre[1] + sine * x + cosine * y], 1)

    def on(self, where: Side) -> Grid:
        """1 on one side of the patient, 0 on the other."""
        return (self.is_left if where == "left" else ~self.is_left).astype(np.float32)


def build_chest(rng: np.random.Generator, side: int, view: View, is_large_heart: bool) -> Chest:
    """A chest of random size, place and shape; its cardiothoracic ratio is clear of the limit on the right side."""
    is_ap = view == "AP"
    scale = side * 0.5 * rng.uniform(0.56, 0.84)
    tall = 2.0 * float(np.clip(rng.normal(0.74 if is_ap else 0.97, 0.06), 0.62, 1.12))
    if (most := 0.75 * side / scale) < tall:  # a zoom that would cut the lungs off
        scale *= most / tall
    centre = (side * rng.normal(0.5, 0.025), side * rng.normal(0.47 if is_ap else 0.475, 0.025))
    tilt = float(np.radians(rng.normal(0, 3.0 if is_ap else 1.3)))
    u, v = _coordinates(rng, side, scale, tall, centre, tilt)
    a, is_left, row = np.abs(u), u > 0, height_index(v)
    outer_table = _wall(rng)
    right_table, left_table, widest = _mediastinum(rng, is_ap, is_large_heart)
    apex_table = 0.42 - 0.32 * np.clip(HEIGHTS / rng.uniform(0.14, 0.24), 0, 1) ** 0.65
    outer = look_up(outer_table, row)
    tables = [np.maximum(table, apex_table) for table in (left_table, right_table)]
    leftness = step(u, 0.3)  # without a seam in the midline
    inner = look_up(tables[0], row) * leftness + look_up(tables[1], row) * (1 - leftness)
    dome = _dome(rng, a, leftness)
    depth = np.minimum(np.minimum(outer - a, a - inner), (dome - v) * tall)
    thick = 1.0 - np.square(1.0 - np.clip(depth * (1 / rng.uniform(0.25, 0.5)), 0, 1))
    floor = rng.uniform(0.5, 0.8)
    air = step(depth, rng.uniform(0.02, 0.05)) * (floor + (1 - floor) * thick)
    if is_ap:
        air *= rng.uniform(0.85, 1.0)
    return Chest(view, side, u, v, a, is_left, row, outer, inner, dome, air, tall, scale, centre, tilt, widest)


def _coordinates(
    rng: np.random.Generator, side: int, scale: float, tall: float, centre: tuple[float, float], tilt: float
) -> tuple[Grid, Grid]:
    """The body's coordinates of every pixel, displaced by slow random waves."""
    along = np.arange(side, dtype=np.float32)
    x, y = along[None, :] - np.float32(centre[0]), along[:, None] - np.float32(centre[1])
    cosine, sine = np.float32(np.cos(tilt)), np.float32(np.sin(tilt))
    u = (cosine * x + sine * y) * np.float32(1 / scale)
    v = (cosine * y - sine * x) * np.float32(1 / (scale * tall)) + 0.5
    strength = rng.uniform(0.01, 0.034)
    u = u + strength * cloud(rng, side, 5)
    v = v + np.float32(strength * 0.6) * cloud(rng, side, 5)
    bend = knots([-0.8, 0.1, 0.6, 1.1, 2.0], [float(x) for x in rng.normal(0, 0.03, 5)], 301)
    return u + look_up(bend, height_index(v)), v


def _wall(rng: np.random.Generator) -> NDArray[np.float64]:
    """The inner chest wall: from the apex out to 1, round as a barrel or sloped as a bell."""
    share = np.clip(HEIGHTS / rng.uniform(0.7, 1.0), 0, 1)
    shape = (1 - (1 - share) ** rng.uniform(1.9, 2.9)) ** (1 / rng.uniform(1.35, 1.95))
    waist = 1 - rng.uniform(-0.04, 0.08) * np.clip(HEIGHTS - 0.75, 0, 0.8)
    return np.asarray((0.42 + 0.58 * shape) * waist)


def _mediastinum(
    rng: np.random.Generator, is_ap: bool, is_large_heart: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[float, float]]:
    """Its right and left edge over height, and how far the heart reaches to both sides."""
    low, high = (0.45, 0.53) if is_ap else (0.39, 0.485)
    if is_large_heart:
        low, high = (0.63, 0.71) if is_ap else (0.585, 0.68)
    total = 2 * rng.uniform(low, high)
    right = total * rng.uniform(0.27, 0.36)
    left = total - right
    wide = rng.uniform(0.0, 0.07) + (rng.uniform(0.02, 0.08) if is_ap else 0.0)
    turn = rng.normal(0, 0.03)
    vena, knob = 0.14 + wide + turn, 0.17 + wide - turn + rng.uniform(0.0, 0.13)
    level = rng.uniform(-0.04, 0.04)
    heights = [-0.8, -0.15, 0.05, 0.2, 0.4, 0.5, 0.65, 0.8, 0.93, 1.1, 1.4]
    table_right = knots(
        [h + level for h in heights],
        [0.1, 0.12, vena - 0.01, vena, vena, vena + 0.02, right * 0.9, right, right * 0.96, right * 0.75, right * 0.6],
    )
    waist = max(0.17, min(knob - rng.uniform(0, 0.06), left - 0.15))
    table_left = knots(
        [-0.8, -0.15, 0.08 + level, 0.19 + level, 0.3, 0.4, 0.55, 0.7, 0.86 + level, 0.97 + level, 1.08, 1.4],
        [0.1, 0.12, knob - 0.06, knob, waist, waist + rng.uniform(0.0, 0.05), waist + 0.45 * (left - waist),
         waist + 0.8 * (left - waist), left * 1.01, left * 0.95, left * 0.7, left * 0.3],
    )  # fmt: skip
    return table_right, table_left, (right, left)


def _dome(rng: np.random.Generator, a: Grid, leftness: Grid) -> Grid:
    """The height of the diaphragm over the whole width, one dome on each side, the left one mostly lower."""
    peak = rng.uniform(0.42, 0.58)
    across = (a - np.float32(peak)) * np.float32(1 / (1 - peak))
    lateral, medial = rng.uniform(0.16, 0.34, 2), rng.uniform(0.0, 0.06, 2)
    falls = [np.where(across > 0, np.float32(lateral[left]), np.float32(medial[left])) for left in (0, 1)]
    fall = falls[0] + leftness * (falls[1] - falls[0])
    return np.asarray(1.0 + rng.normal(0.045, 0.025) * leftness + fall * across * across, np.float32)

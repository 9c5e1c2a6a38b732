"""Rays from a point source through solids: chords in millimetres, and clouds of points cast on the film.

The frame: x to the picture's right (the patient's left), y down, z from the film (0) to the source, all in mm.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Plane = NDArray[Any]  # float32 on the film; float64 among a few points
Triple = tuple[float, float, float]
Profile = Callable[[Plane], Plane]
MISS = np.float32(1e5)  # a depth in mm that no solid has


@dataclass(frozen=True)
class Span:
    """Where each ray enters and leaves a solid, in mm of depth, shape (side, side); ``near`` > ``far`` is a miss."""

    near: Plane
    far: Plane

    def length(self) -> Plane:
        """The chord in mm, 0 where the ray misses the solid."""
        chord: Plane = np.maximum(self.far - self.near, 0)
        return chord

    def hull(self, other: "Span") -> "Span":
        """From the first entry to the last exit of two solids."""
        return Span(np.minimum(self.near, other.near), np.maximum(self.far, other.far))

    def shared(self, other: "Span") -> Plane:
        """The length in mm that lies in both solids."""
        chord: Plane = np.maximum(np.minimum(self.far, other.far) - np.maximum(self.near, other.near), 0)
        return chord


@dataclass(frozen=True, eq=False)
class Rays:
    """A film of ``side`` pixels at z = 0 and a source at ``source`` = (x, y, distance)."""

    side: int
    pitch: tuple[float, float]  # mm per pixel across and down
    corner: tuple[float, float]  # mm of the first pixel's centre
    source: tuple[float, float, float]

    @property
    def across(self) -> Plane:
        """Film x of each column, shape (1, side)."""
        return (self.corner[0] + self.pitch[0] * np.arange(self.side, dtype=np.float32))[None, :]

    @property
    def down(self) -> Plane:
        """Film y of each row, shape (side, 1)."""
        return (self.corner[1] + self.pitch[1] * np.arange(self.side, dtype=np.float32))[:, None]

    def coarser(self, step: int) -> "Rays":
        """One ray for each ``step`` by ``step`` pixels, through their middle."""
        shift = (step - 1) / 2
        corner = (self.corner[0] + shift * self.pitch[0], self.corner[1] + shift * self.pitch[1])
        return Rays(self.side // step, (self.pitch[0] * step, self.pitch[1] * step), corner, self.source)

    def slopes(self) -> tuple[Plane, Plane]:
        """How far a ray moves across (1, side) and down (side, 1) per mm of depth."""
        return (self.source[0] - self.across) / self.source[2], (self.source[1] - self.down) / self.source[2]

    def at_depth(self, depth: float) -> tuple[Plane, Plane]:
        """Where the rays cross the plane z = ``depth``: x (1, side) and y (side, 1)."""
        right, low = self.slopes()
        return self.across + depth * right, self.down + depth * low

    def project(self, points: Plane) -> tuple[Plane, Plane, Plane]:
        """Pixel column, row and magnification of points, shape (count, 3)."""
        enlarged = self.source[2] / (self.source[2] - points[:, 2])
        column = (self.source[0] + (points[:, 0] - self.source[0]) * enlarged - self.corner[0]) / self.pitch[0]
        row = (self.source[1] + (points[:, 1] - self.source[1]) * enlarged - self.corner[1]) / self.pitch[1]
        return column, row, enlarged


def _roots(square: Plane, half: Plane, rest: Plane, centre: Plane | float) -> Span:
    root = half * half - square * rest
    reach = np.where(root > 0, np.sqrt(np.abs(root)) / square, -MISS)
    middle = centre - half / square
    return Span(middle - reach, middle + reach)


def ellipsoid(rays: Rays, centre: Triple, radii: Triple, tilt: float = 0.0) -> Span:
    """The span of an ellipsoid; ``tilt`` turns it in the plane of the film, radians, clockwise on the picture."""
    rows, columns, part = _boxed(rays, centre, radii, tilt)
    near = np.full((rays.side, rays.side), MISS, np.float32)
    far = -near
    near[rows, columns], far[rows, columns] = part.near, part.far
    return Span(near, far)


def chord(rays: Rays, centre: Triple, radii: Triple, tilt: float = 0.0) -> Plane:
    """The mm that each ray runs in an ellipsoid, as ``ellipsoid(...).length()``."""
    rows, columns, part = _boxed(rays, centre, radii, tilt)
    plane = np.zeros((rays.side, rays.side), np.float32)
    plane[rows, columns] = part.length()
    return plane


def _boxed(rays: Rays, centre: Triple, radii: Triple, tilt: float) -> tuple[slice, slice, Span]:
    """The rows and columns that an ellipsoid can reach, and its span there."""
    middle_x, middle_y, depth = (float(value) for value in centre)
    wide, tall, deep = (float(radius) for radius in radii)
    x, y = rays.at_depth(depth)
    right, low = rays.slopes()
    x, y, cos, sin = x - middle_x, y - middle_y, float(np.cos(tilt)), float(np.sin(tilt))
    rows = _within(y[:, 0], float(np.hypot(wide * sin, tall * cos)) + 0.3 * deep)
    columns = _within(x[0], float(np.hypot(wide * cos, tall * sin)) + 0.3 * deep)
    x, right, y, low = x[:, columns], right[:, columns], y[rows], low[rows]
    u, du = (x * cos + y * sin) / wide, (right * cos + low * sin) / wide
    v, dv = (y * cos - x * sin) / tall, (low * cos - right * sin) / tall
    part = _roots(du * du + dv * dv + 1 / deep**2, u * du + v * dv, u * u + v * v - 1, depth)
    return rows, columns, part


def _within(away: Plane, reach: float) -> slice:
    places = np.flatnonzero(np.abs(away) < reach)
    return slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, 0)


def loft(rays: Rays, depth: float, profile: Profile) -> Span:
    """The span of a stack of ellipses at mean depth ``depth``.

    ``profile`` takes heights y (side, 1) and gives an array (3, side, 1): the ellipse's centre x, half width and half
    depth in mm; a half width of 0 or less is no solid.
    """
    x, y = rays.at_depth(depth)
    right, _ = rays.slopes()
    centre, wide, deep = profile(y).astype(np.float32)
    present = wide > 0.5
    wide, deep = np.maximum(wide, 0.5), np.maximum(deep, 0.5)
    u, du = (x - centre) / wide, right / wide
    span = _roots(du * du + 1 / deep**2, u * du, u * u - 1, depth)
    return Span(np.where(present, span.near, MISS), np.where(present, span.far, -MISS))


def cast(rays: Rays, points: Plane, volume: Plane) -> Plane:
    """Small volumes (count,) in mm^3 at points (count, 3), as path length in mm on the film, shape (side, side)."""
    column, row, enlarged = rays.project(points.astype(np.float32, copy=False))
    inside = np.flatnonzero((column >= 0) & (row >= 0) & (column < rays.side - 1) & (row < rays.side - 1))
    column, row = column[inside], row[inside]
    share = volume[inside] * enlarged[inside] ** 2 / (rays.pitch[0] * rays.pitch[1])
    left, top = column.astype(np.intp), row.astype(np.intp)
    right, low = column - left.astype(np.float32), row - top.astype(np.float32)
    place = top * rays.side + left
    places = np.concatenate((place, place + 1, place + rays.side, place + rays.side + 1))
    upper, lower = share * (1 - low), share * low
    weights = np.concatenate((upper * (1 - right), upper * right, lower * (1 - right), lower * right))
    summed = np.bincount(places, weights, minlength=rays.side**2)
    return summed.reshape(rays.side, rays.side).astype(np.float32)


def soften(plane: Plane, times: int = 1) -> Plane:
    """A 3 x 3 binomial blur within the border, ``times`` over (each adds 0.7 pixel of sigma in quadrature)."""
    for _ in range(times):
        rows = plane.copy()
        rows[1:-1] = (plane[:-2] + 2 * plane[1:-1] + plane[2:]) / 4
        plane = rows.copy()
        plane[:, 1:-1] = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 4
    return plane


def finer(plane: Plane, side: int) -> Plane:
    """A plane of coarser rays, smoothly, for ``side`` pixels."""
    return np.asarray(Image.fromarray(plane).resize((side, side), Image.Resampling.BILINEAR), np.float32)

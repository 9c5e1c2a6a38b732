"""Arrays with millimetres on them: where the tissue is drawn before it becomes a film."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import comb

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from xraygpt_core.phantoms.anatomy import Floats

MARGIN = 1.13  # the canvas is larger than the film, so that a turned film has no empty corners
Point = tuple[float, float]


class Canvas:
    """A square of ``n`` pixels around the thorax. ``x`` has shape (1, n), ``y`` (n, 1), both in mm."""

    def __init__(self, side: int, field_mm: float, centre: Point) -> None:
        self.mm = field_mm / side
        self.n = 2 * int(side * MARGIN / 2)
        self.left = centre[0] - self.n * self.mm / 2
        self.top = centre[1] - self.n * self.mm / 2
        steps = (np.arange(self.n, dtype=np.float32) + np.float32(0.5)) * np.float32(self.mm)
        self.x = (steps + np.float32(self.left))[None, :]
        self.y = (steps + np.float32(self.top))[:, None]

    def coarse(self) -> "Canvas":
        """The same square with half the pixels a side: for soft borders, at a quarter of the cost."""
        half = Canvas.__new__(Canvas)
        half.__dict__.update(self.__dict__, n=self.n // 2, mm=2 * self.mm)
        half.x, half.y = (0.5 * (axis.ravel()[0::2] + axis.ravel()[1::2]) for axis in (self.x, self.y))
        half.x, half.y = half.x[None, :], half.y[:, None]
        return half

    def enlarge(self, coarse: Floats) -> Floats:
        """An array of the coarse canvas on this one, shape (n, n)."""
        return np.asarray(Image.fromarray(coarse).resize((self.n, self.n), Image.Resampling.BILINEAR), dtype=np.float32)

    def pixel(self, point: Point) -> Point:
        """Pixel coordinates of a place in mm."""
        return (point[0] - self.left) / self.mm, (point[1] - self.top) / self.mm

    def pixels(self, points: Sequence[Point]) -> list[float]:
        """Pixel coordinates of a line: x, y, x, y …"""
        placed = (np.asarray(points, dtype=np.float64) - (self.left, self.top)) / self.mm
        flat: list[float] = placed.ravel().tolist()
        return flat

    def layer(self, paint: Callable[["Pen"], None]) -> Floats:
        """What ``paint`` draws, as floats in 0–1, shape (n, n)."""
        image = Image.new("L", (self.n, self.n))
        paint(Pen(self, ImageDraw.Draw(image)))
        return np.asarray(image, dtype=np.float32) * np.float32(1 / 255)

    def clouds(self, rng: np.random.Generator, cells: int) -> Floats:
        """Smooth noise of mean 0 and deviation about 0.7, ``cells`` bumps across, shape (n, n)."""
        coarse = Image.fromarray(rng.standard_normal((cells, cells), dtype=np.float32))
        return np.asarray(coarse.resize((self.n, self.n), Image.Resampling.BICUBIC), dtype=np.float32)


class Pen:
    """Draws in mm on one 8-bit layer; ``ink`` is 0–1 and replaces what was there."""

    def __init__(self, canvas: Canvas, draw: ImageDraw.ImageDraw) -> None:
        self._canvas = canvas
        self._draw = draw

    def line(self, points: Sequence[Point], width_mm: float, ink: float) -> None:
        """A polyline with round-ish joints."""
        width = max(1, round(width_mm / self._canvas.mm))
        self._draw.line(self._canvas.pixels(points), fill=int(255 * ink), width=width)

    def polygon(self, points: Sequence[Point], ink: float) -> None:
        """A filled outline."""
        self._draw.polygon(self._canvas.pixels(points), fill=int(255 * ink))

    def ellipse(self, centre: Point, radii: Point, ink: float, ring_mm: float | None = None) -> None:
        """A filled ellipse, or only its rim."""
        x, y = self._canvas.pixel(centre)
        rx, ry = radii[0] / self._canvas.mm, radii[1] / self._canvas.mm
        box = (x - rx, y - ry, x + rx, y + ry)
        if ring_mm is None:
            self._draw.ellipse(box, fill=int(255 * ink))
        else:
            self._draw.ellipse(box, outline=int(255 * ink), width=max(1, round(ring_mm / self._canvas.mm)))

    def box(self, centre: Point, size: Point, radius_mm: float, ink: float) -> None:
        """A filled rectangle with round corners."""
        x, y = self._canvas.pixel(centre)
        half_x, half_y = size[0] / 2 / self._canvas.mm, size[1] / 2 / self._canvas.mm
        corners = (x - half_x, y - half_y, x + half_x, y + half_y)
        self._draw.rounded_rectangle(corners, radius=radius_mm / self._canvas.mm, fill=int(255 * ink))


def inside(distance: Floats, softness_mm: float) -> Floats:
    """1 where the signed distance (mm, positive inside) is large, 0 outside, a smooth step between.

    The step reaches from ``-softness_mm`` to ``softness_mm``.
    """
    step = distance * np.float32(0.5 / softness_mm)
    step += np.float32(0.5)
    np.clip(step, 0.0, 1.0, out=step)
    smooth = step * step
    step *= np.float32(-2.0)
    step += np.float32(3.0)
    smooth *= step
    return smooth


def curve(points: Sequence[Point], steps: int = 14) -> list[Point]:
    """A smooth line through the control points (a Bézier curve of their degree)."""
    line = _bernstein(len(points) - 1, steps) @ np.asarray(points, dtype=np.float64)
    return [(x, y) for x, y in line.tolist()]


@lru_cache(maxsize=32)
def _bernstein(degree: int, steps: int) -> npt.NDArray[np.float64]:
    """Weights of the control points along a Bézier curve, shape (steps, degree + 1)."""
    t = np.linspace(0.0, 1.0, steps)
    return np.stack([comb(degree, k) * t**k * (1 - t) ** (degree - k) for k in range(degree + 1)], axis=1)

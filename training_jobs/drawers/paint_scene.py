"""A real film that is being painted on: its attenuation, and where one is on it. What is added adds as tissue does.

A film's grey is taken as 1 - exp(-attenuation): what is added to a bright place changes it less than a dark one, and
nothing is ever cut off. One ``unit`` is the film's own contrast between lung and soft tissue.
"""

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from training_jobs.drawers.paint_lungs import ANGLES, CHEST_MM, Grey, Lungs, Point, blurred
from xraygpt_core.phantoms.findings import Side

_WHITE = 258.0  # grey of endless attenuation
_UNIT = (0.2, 1.1)


class Scene:
    """The film and its coordinates. Grid fields have the shape of the lungs' grid, the film's that of the film.

    Attributes:
        value: the film's attenuation, changed in place by what paints.
        zoom: pixels of the film in one of the grid.
        mm: pixels of the grid in one millimetre, of an adult.
        x, y: columns (1, w) and rows (h, 1) of the grid.
    """

    def __init__(self, grey: NDArray[np.uint8], lungs: Lungs) -> None:
        self.lungs = lungs
        self.value: Grey = -np.log1p(grey.astype(np.float32) * np.float32(-1 / _WHITE))
        self.zoom = max(grey.shape) / max(lungs.shape)
        self.mm = 2 * lungs.half / CHEST_MM
        self.x = np.arange(lungs.shape[1], dtype=np.float32)[None, :]
        self.y = np.arange(lungs.shape[0], dtype=np.float32)[:, None]
        small, both = self.small(), tuple(self.places.values())
        self.lung = float(np.median(small[np.maximum(both[0].inside, both[1].inside) > 0.9]))
        around = np.maximum(both[0].depth, both[1].depth) / lungs.half
        rows = (self.y > min(place.top for place in both)) & (self.y < max(place.corner for place in both))
        beside = small[(around < -0.03) & (around > -0.12) & rows & (small > self.lung)]
        self.unit = float(np.clip((np.median(beside) if beside.size else 1.0) - self.lung, *_UNIT))
        self.soft = self.lung + self.unit  # attenuation of the soft tissue beside the lungs

    @cached_property
    def places(self) -> dict[Side, "Place"]:
        """Where one is within each lung."""
        return {"left": Place(self, "left"), "right": Place(self, "right")}

    def small(self) -> Grey:
        """The attenuation now, on the grid."""
        size = (self.lungs.shape[1], self.lungs.shape[0])
        return np.asarray(Image.fromarray(self.value).resize(size, Image.Resampling.BOX), np.float32)

    def local(self, share: float = 0.06) -> Grey:
        """The attenuation now on the grid, without what is smaller than ``share`` of half the chest."""
        return blurred(self.small(), share * self.lungs.half)

    def beside(self) -> Grey:
        """What the lungs would look like were they of what surrounds them: the rest of the film spread into them."""
        outside = 1 - np.maximum(self.places["left"].inside, self.places["right"].inside)
        reach = 0.22 * self.lungs.half
        return blurred(self.small() * outside, reach) / (blurred(outside, reach) + np.float32(1e-3))

    def large(self, field: Grey) -> Grey:
        """A grid field on the film."""
        size = (self.value.shape[1], self.value.shape[0])
        image = Image.fromarray(np.ascontiguousarray(field, np.float32))
        return np.asarray(image.resize(size, Image.Resampling.BILINEAR))

    def add(self, field: Grey) -> None:
        """Attenuation on the grid, put on the film; there is never less than air."""
        self.value = np.maximum(self.value + self.large(field), np.float32(0.0))

    def grey(self) -> NDArray[np.uint8]:
        """The film as it looks now."""
        return np.rint(np.clip(_WHITE * -np.expm1(-self.value), 0, 255)).astype(np.uint8)

    def look(self) -> Grey:
        """How the film looks now at a glance: grey 0–255 on the grid."""
        return np.asarray(_WHITE * -np.expm1(-self.small()), np.float32)

    def pen(self) -> "Pen":
        """To draw sharp lines on an empty sheet of the film's size."""
        return Pen(self)

    def clouds(self, rng: np.random.Generator, slope: float) -> Grey:
        """A random grid field of mean 0 and deviation 1 whose amplitude falls with frequency to this power."""
        return _shaped(rng, self.lungs.shape, lambda frequency: frequency**-slope)

    def own_texture(self, rng: np.random.Generator) -> Grey:
        """A random grid field with the spectrum of this film's own lung markings, mean 0 and deviation 1."""
        small = self.small()
        detail = small - blurred(small, 0.05 * self.lungs.half)
        spectrum = np.abs(np.fft.rfft2(detail * np.hanning(small.shape[0])[:, None]))
        return _shaped(rng, self.lungs.shape, lambda _: spectrum)


def _shaped(rng: np.random.Generator, shape: tuple[int, int], amplitude) -> Grey:  # type: ignore[no-untyped-def]
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None, :])
    frequency[0, 0] = 1.0
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(shape)) * amplitude(frequency), s=shape)
    return np.asarray((field - field.mean()) / (field.std() + 1e-9), np.float32)


class Place:
    """Coordinates within one lung, as grid fields.

    Attributes:
        away: distance from the midline, positive towards this lung; one row.
        sign: -1 for the patient's right (left in the image), +1 for the left.
        angle: direction from the lung's middle, in radians; 0 to the right of the image, a quarter turn down.
        reach: distance of the outline in that direction.
        depth: distance from the outline inwards, in pixels of the grid; negative outside.
        inside: 1 in the lung, 0 outside, soft over two pixels.
        lateral: 0 at the lung's inner border, 1 at the chest wall.
        down: 0 at the apex, 1 at the diaphragm.
    """

    def __init__(self, scene: Scene, side: Side) -> None:
        self.side, self.sign = side, 1 if side == "left" else -1
        lungs = scene.lungs
        x, y = lungs.middles[side]
        self.angle = np.arctan2(scene.y - y, scene.x - x).astype(np.float32)
        knots = np.arange(ANGLES) * (2 * np.pi / ANGLES)
        self.reach = self.around(lungs.radii[side], knots)
        self.depth = self.reach - np.hypot(scene.x - x, scene.y - y)
        self.inside: Grey = np.clip(self.depth / 2 + 0.5, 0, 1)
        outline = lungs.outline(side)
        self.outline = outline
        self.top, self.bottom = lungs.top(side), lungs.bottom(side)
        self.corner = float(outline[:, 1].max())  # row of the costophrenic angle
        self.high = self.bottom - self.top
        away = self.sign * (outline[:, 0] - lungs.midline)
        self.wall, self.inner = float(away.max()), max(0.0, float(away.min()))
        self.away = self.sign * (scene.x - lungs.midline)
        across = (self.away - self.inner) / (self.wall - self.inner)
        self.lateral: Grey = np.clip(across, 0, 1).astype(np.float32)
        self.down: Grey = ((scene.y - self.top) / self.high).astype(np.float32)

    def around(self, values: NDArray[Any], knots: NDArray[Any]) -> Grey:
        """A grid field that depends on the direction alone; ``knots`` in radians."""
        field: Grey = np.interp(self.angle, knots, values, period=2 * np.pi).astype(np.float32)
        return field

    def heart(self) -> float:
        """How far the heart reaches from the midline, in pixels of the grid: the lung's inner border, lower part."""
        rows = slice(int(self.top + 0.5 * self.high), int(self.top + 0.9 * self.high))
        lung = self.inside[rows] > 0.5
        away = np.where(lung, self.away, np.inf).min(axis=1)
        away = away[np.isfinite(away)]
        return float(np.quantile(away, 0.85)) if len(away) else 0.3 * self.wall


class Pen:
    """Draws lines on a sheet of the film's size, twice as fine; places and widths in pixels of the grid."""

    def __init__(self, scene: Scene) -> None:
        self._zoom = 2 * scene.zoom
        self._size = (scene.value.shape[1], scene.value.shape[0])
        self._image = Image.new("L", (2 * self._size[0], 2 * self._size[1]))
        self.draw = ImageDraw.Draw(self._image)

    def line(self, points: list[Point], wide: float, ink: float = 1.0) -> None:
        """A line through points, at least a pixel of the film wide."""
        where = [((x + 0.5) * self._zoom, (y + 0.5) * self._zoom) for x, y in points]
        self.draw.line(where, fill=int(255 * ink), width=max(2, round(wide * self._zoom)), joint="curve")

    def spot(self, centre: Point, radii: Point, ink: float = 1.0, rim: float | None = None) -> None:
        """A filled ellipse, or only its rim."""
        x, y = (centre[0] + 0.5) * self._zoom, (centre[1] + 0.5) * self._zoom
        rx, ry = radii[0] * self._zoom, radii[1] * self._zoom
        box = (x - rx, y - ry, x + rx, y + ry)
        if rim is None:
            self.draw.ellipse(box, fill=int(255 * ink))
        else:
            self.draw.ellipse(box, outline=int(255 * ink), width=max(2, round(rim * self._zoom)))

    def sheet(self) -> Grey:
        """What was drawn, 0 to 1, shape of the film."""
        image = self._image.resize(self._size, Image.Resampling.BOX)
        return np.asarray(image, np.float32) * np.float32(1 / 255)


def smooth_step(value: NDArray[Any]) -> Grey:
    """0 below 0, 1 above 1, smooth between."""
    inner = np.clip(value, 0, 1)
    return np.asarray(inner * inner * (3 - 2 * inner), np.float32)

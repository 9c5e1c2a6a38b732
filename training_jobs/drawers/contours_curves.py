"""Closed smooth curves through landmarks, filled and stroked on a finer sheet, and noise with a direction.

Coordinates of the chest: x = 0 at the midline, growing to the picture's right (the patient's left); y grows downwards;
the apex of the lung is at y = -1, and the ribs' inner side at x = -1 and 1. One unit is about 140 mm.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

SIDE = 256
UNIT_MM = 140.0
_FINER = 2
_SHARPEST, _SOFT, _WIDE = 0.9, 2.4, 6.0  # rims in pixels: left to the finer sheet, no finer sheet, a quarter sheet
_STEPS = 8  # points between two landmarks
_GRAINS = np.random.default_rng(15485863).standard_normal(
    (4 * SIDE, 4 * SIDE), dtype=np.float32
)  # noise is cut from it

Points = NDArray[np.float64]  # (n, 2): x, y
Layer = NDArray[np.float32]  # (SIDE, SIDE), 0 to 1
Stroke = tuple[Points, float, int]  # a line, its width in units of the chest, its strength up to 255


def curve(landmarks: Iterable[tuple[float, float]], closed: bool = True) -> Points:
    """A Catmull-Rom spline through the landmarks; a landmark given twice is a corner."""
    marks = list(landmarks)
    first, last = ([marks[-1]], marks[:2]) if closed else ([marks[0]], [marks[-1]])
    knots = np.array(first + marks + last)[:, None]
    before, start, end, after = knots[:-3], knots[1:-2], knots[2:-1], knots[3:]
    t = (np.arange(_STEPS) / _STEPS)[None, :, None]
    slope, bow, twist = end - before, 2 * before - 5 * start + 4 * end - after, 3 * (start - end) + after - before
    points = start + 0.5 * t * (slope + t * (bow + t * twist))
    whole: Points = points.reshape(-1, 2)
    return whole if closed else np.concatenate([whole, knots[-1]])


def wobbled(rng: np.random.Generator, outline: Points, size: float, harmonics: int = 7) -> Points:
    """A closed outline with random harmonics added around its centre; ``size`` is a share of its radius."""
    angle = np.linspace(0, 2 * np.pi, len(outline), endpoint=False)
    orders = np.arange(2, 2 + harmonics)
    strength = rng.normal(0, size, harmonics) / np.sqrt(orders)
    wave = strength @ np.cos(orders[:, None] * angle + rng.uniform(0, 2 * np.pi, harmonics)[:, None])
    centre = outline.mean(axis=0)
    moved: Points = centre + (outline - centre) * (1 + wave)[:, None]
    return moved


def disc(x: float, y: float, wide: float, high: float) -> Points:
    """An ellipse by its centre and half axes."""
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    return np.stack([x + wide * np.cos(angle), y + high * np.sin(angle)], axis=1)


@dataclass(frozen=True)
class Pose:
    """How the chest lies on the film: pixels a unit, the place of (0, -1), tilt in radians, a turn and a bend."""

    unit: float
    tall: float
    x: float
    y: float
    tilt: float
    turn: float
    bend: float

    def place(self, points: Points) -> Points:
        """Pixels of the film for points of the chest."""
        x, y = points[:, 0], points[:, 1] + 1
        across = self.unit * (x * (1 + self.turn * np.tanh(4 * x)) + self.bend * np.sin(1.7 * y))
        down = self.unit * self.tall * y
        cos, sin = np.cos(self.tilt), np.sin(self.tilt)
        return np.stack([self.x + cos * across - sin * down, self.y + sin * across + cos * down], axis=1)

    def fill(self, *outlines: Points, soft: float = 1.0) -> Layer:
        """The inside of closed outlines; ``soft`` is the half width of the rim in pixels."""
        finer = _FINER if soft < _SOFT else 1
        image = Image.new("L", (SIDE * finer, SIDE * finer))
        pencil = ImageDraw.Draw(image)
        for outline in self._place_all(outlines, finer):
            pencil.polygon(outline, fill=255)
        return _layer(image, soft)

    def stroke(self, strokes: Sequence[Stroke], soft: float = 0.5) -> Layer:
        """Lines, later ones over earlier ones."""
        image = Image.new("L", (SIDE * _FINER, SIDE * _FINER))
        pencil = ImageDraw.Draw(image)
        lines = self._place_all([line for line, _, _ in strokes], _FINER)
        for line, (_, width, strength) in zip(lines, strokes, strict=True):
            pencil.line(line, fill=strength, width=max(1, round(width * self.unit * _FINER)))
        return _layer(image, soft)

    def _place_all(self, lines: Sequence[Points], finer: int) -> list[list[float]]:
        """Pixels of the sheet for many lines at once, each as x, y, x, y."""
        ends = np.cumsum([2 * len(line) for line in lines]).tolist()
        flat = (self.place(np.concatenate(lines)) * finer).ravel().tolist()
        return [flat[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def blurred(layer: Layer, radius: float) -> Layer:
    """A blur of about that radius in pixels; a wide one is done on a smaller copy."""
    image = Image.fromarray((np.clip(layer, 0, 1) * 255).astype(np.uint8))
    return _layer(image, radius)


def noise(rng: np.random.Generator, across: int, down: int, degrees: float = 0.0) -> Layer:
    """Smooth noise of about unit spread with so many grains across and down, turned by ``degrees``."""
    left, top = rng.integers(0, len(_GRAINS) - across), rng.integers(0, len(_GRAINS) - down)
    grains = _GRAINS[top : top + down, left : left + across]
    if down == across == SIDE:
        return grains
    image = Image.fromarray(np.ascontiguousarray(grains))
    if not degrees:
        return np.asarray(
            image.resize((SIDE, SIDE), Image.Resampling.BICUBIC if across < 50 else Image.Resampling.BILINEAR),
            dtype=np.float32,
        )
    cos, sin = np.cos(np.radians(degrees)) / 1.42, np.sin(np.radians(degrees)) / 1.42
    wide, high = across / SIDE, down / SIDE
    turned = (wide * cos, -wide * sin, across * (1 - cos + sin) / 2, high * sin, high * cos, down * (1 - cos - sin) / 2)
    return np.asarray(image.transform((SIDE, SIDE), Image.Transform.AFFINE, turned, Image.Resampling.BILINEAR))


def _layer(image: Image.Image, soft: float) -> Layer:
    """A sheet at the film's size, its rims softened; wide ones on a smaller copy."""
    size = SIDE // 4 if soft >= _WIDE else SIDE // 2 if soft >= _SOFT else SIDE
    small = image.reduce(image.width // size) if image.width > size else image
    if soft >= _SHARPEST:
        small = small.filter(ImageFilter.BoxBlur(soft * size / SIDE))
    full = small.resize((SIDE, SIDE), Image.Resampling.BILINEAR) if size < SIDE else small
    return np.asarray(full, dtype=np.float32) * np.float32(1 / 255)

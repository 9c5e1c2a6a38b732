"""Strokes for drawing what is no chest: grids, tubes of bone, blots, clouds. Lengths are shares of its side.

Pictures are float32 (SIDE, SIDE), about 0 to 1, bone white.
"""

from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIDE = 256
Grey = NDArray[np.float32]
Rng = np.random.Generator
Point = tuple[float, float]


def grid() -> tuple[Grey, Grey]:
    """x from left to right and y from top to bottom, 0 to 1, as a row and a column that broadcast."""
    axis = (np.arange(SIDE, dtype=np.float32) + np.float32(0.5)) / np.float32(SIDE)
    return axis[None, :], axis[:, None]


def blank(level: float = 0.0) -> Grey:
    """One level everywhere."""
    return np.full((SIDE, SIDE), level, np.float32)


def blurred(value: Grey, share: float) -> Grey:
    """Gaussian blur with that share of the side as its sigma."""
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None, :])
    kept = np.exp(-2 * (np.pi * share * SIDE * frequency) ** 2)
    return np.asarray(np.fft.irfft2(np.fft.rfft2(value) * kept, s=(SIDE, SIDE)), np.float32)


def blot(x: float, y: float, wide: float, high: float, *, turn: float = 0.0, power: float = 2.0) -> Grey:
    """How far inside an ellipse (with a higher power, a rounded box) each place is: 1 at its middle, 0 at its rim."""
    u, v = grid()
    along = (u - x) * np.float32(np.cos(turn)) + (v - y) * np.float32(np.sin(turn))
    across = (v - y) * np.float32(np.cos(turn)) - (u - x) * np.float32(np.sin(turn))
    return np.asarray(1 - (np.abs(along / wide) ** power + np.abs(across / high) ** power), np.float32)


def solid(inside: Grey, softness: float = 0.04) -> Grey:
    """0 outside, 1 inside, with a soft rim."""
    filled: Grey = np.clip(inside / softness + 0.5, 0, 1).astype(np.float32)
    return filled


def thickness(inside: Any) -> Grey:
    """What a ray meets in a round body: the chord, 1 through the middle."""
    return np.asarray(np.sqrt(np.clip(inside, 0, None)), np.float32)


def tube(start: Point, end: Point, radius: float, *, flare: float = 0.0, hollow: float = 0.0) -> Grey:
    """A limb or a bone from one point to another, as rays meet it; ``flare`` widens its ends, ``hollow`` is marrow."""
    u, v = grid()
    dx, dy = end[0] - start[0], end[1] - start[1]
    along = ((u - start[0]) * dx + (v - start[1]) * dy) / max(dx * dx + dy * dy, 1e-6)
    place = np.clip(along, 0, 1)
    away = np.hypot(u - start[0] - place * dx, v - start[1] - place * dy)
    wide = radius * (1 + flare * np.abs(2 * place - 1) ** 6)
    bone = thickness(1 - (away / wide) ** 2)
    return np.asarray(bone - hollow * thickness(1 - (away / (0.72 * wide)) ** 2), np.float32)


def joined(*parts: Any) -> Grey:
    """The brightest of several pictures at each place."""
    picture: Grey = reduce(np.maximum, parts)
    return picture


def clouds(rng: Rng, slope: float) -> Grey:
    """A random field whose amplitude falls with frequency to the power of ``slope``, with mean 0 and deviation 1."""
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None, :])
    frequency[0, 0] = 1
    white = np.fft.rfft2(rng.standard_normal((SIDE, SIDE)))
    field = np.fft.irfft2(white / frequency**slope, s=(SIDE, SIDE))
    return np.asarray((field - field.mean()) / (field.std() + 1e-9), np.float32)


def limb(bones: Grey, flesh: Grey, rng: Rng) -> Grey:
    """Bones in soft tissue on a dark film."""
    soft = rng.uniform(0.15, 0.4)
    dense = rng.uniform(0.35, 0.6)
    value = soft * np.clip(flesh, 0, 1) ** 0.6 + dense * np.clip(bones, 0, 1.2)
    value += 0.03 * clouds(rng, 1.2) * (flesh > 0) + rng.uniform(0, 0.06)
    return blurred(value.astype(np.float32), rng.uniform(0.001, 0.006))


def finished(value: Grey, rng: Rng) -> NDArray[np.uint8]:
    """Grain, sometimes mirrored, turned or in the other sense, as 8-bit grey."""
    value = value + rng.normal(0, rng.uniform(0.002, 0.03), value.shape).astype(np.float32)
    low, high = float(value.min()), float(value.max())
    value = (value - low) / max(high - low, 1e-6)
    if rng.random() < 0.5:
        value = value[:, ::-1]
    if rng.random() < 0.25:
        value = np.rot90(value, int(rng.integers(1, 4)))
    if rng.random() < 0.25:
        value = 1 - value
    return np.asarray(np.rint(255 * np.clip(value, 0, 1) ** rng.uniform(0.6, 1.6)), np.uint8)

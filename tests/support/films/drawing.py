"""Drawn chest films, and what the standard makes of their stored values: a second opinion, shared with nobody."""

from dataclasses import dataclass

import numpy as np


def draw(rng, rows, columns):
    """(rows, columns) in [0.03, 0.97], bone bright: trunk, two unlike lungs, spine, ribs, heart, a marker, noise."""
    y, x = np.linspace(0, 1, rows)[:, None], np.linspace(0, 1, columns)[None, :]
    tilt, middle = rng.uniform(-0.04, 0.04), rng.uniform(0.46, 0.54)
    x = x + tilt * (y - 0.5)
    shape = 0.5 / (1 + np.exp(28 * (np.abs(x - middle) - 0.43))) + 0 * y
    for side, width, reach in ((-0.2, 0.15, 0.36), (0.21, 0.13, 0.31)):
        distance = np.hypot((x - middle - side) / width, (y - 0.44) / reach)
        shape = shape - 0.34 / (1 + np.exp(9 * (distance - 1)))
    shape = shape + 0.28 * np.exp(-(((x - middle) / 0.055) ** 2))
    shape = shape + 0.25 * np.exp(-((np.hypot((x - middle - 0.07) / 0.14, (y - 0.66) / 0.13)) ** 4))
    shape = shape + 0.07 * np.cos(2 * np.pi * (y * 9 + 3 * (x - middle) ** 2)) * (np.abs(x - middle) < 0.4)
    shape = shape + 0.2 / (1 + np.exp(-40 * (y - 0.86)))
    top, left = int(0.05 * rows), int(0.87 * columns)
    shape[top : top + rows // 16, left : left + columns // 18] = 0.9
    return np.clip(shape + rng.normal(0, 0.004, (rows, columns)) + 0.08, 0.03, 0.97)


@dataclass
class Rescale:
    """PS3.3 C.11.1.1.2."""

    slope: float = 1.0
    intercept: float = 0.0

    def __call__(self, values):
        return values * self.slope + self.intercept


@dataclass
class Lut:
    """PS3.3 C.11.1.1.1 and C.11.2.1.1: what is below the first input or above the last has the end's entry."""

    entries: np.ndarray
    first: int = 0
    bits: int = 12

    def __call__(self, values):
        place = np.floor(np.asarray(values, float) - self.first + 1e-9).astype(int)
        return self.entries.astype(float)[np.clip(place, 0, len(self.entries) - 1)]


@dataclass
class Window:
    """PS3.3 C.11.2.1.2.1 and C.11.2.1.3, onto [0, 1]."""

    center: float
    width: float
    function: str = "LINEAR"

    def __call__(self, values):
        x, c, w = np.asarray(values, float), self.center, self.width
        if self.function == "SIGMOID":
            return 1 / (1 + np.exp(-4 * (x - c) / w))
        if self.function == "LINEAR_EXACT":
            return np.select([x <= c - w / 2, x > c + w / 2], [0.0, 1.0], (x - c) / w + 0.5)
        low, high = c - 0.5 - (w - 1) / 2, c - 0.5 + (w - 1) / 2
        return np.select([x <= low, x > high], [0.0, 1.0], (x - (c - 0.5)) / (w - 1) + 0.5)


def of_range(values, film=None):
    """docs/dicom.md, without a window: the range that occurs, but for the rarest thousandth at either end."""
    low, high = np.quantile(values if film is None else values[film], [0.001, 0.999])
    return np.clip((values - low) / (high - low), 0, 1)


def grey(share):
    return np.rint(255 * np.clip(share, 0, 1)).astype(np.uint8)


def luma(colours):
    """ITU-R BT.601."""
    return np.rint(colours.astype(float) @ [0.299, 0.587, 0.114]).astype(np.uint8)

"""Smooth fields on a square grid: noise in octaves, soft steps, tables of one coordinate, local means."""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Grid = NDArray[np.float32]

FIRST, LAST = -0.8, 2.0  # the heights a table covers, in lengths of a lung below its apex
HEIGHTS = np.linspace(FIRST, LAST, 1024)


def enlarge(small: Grid, side: int) -> Grid:
    """A small grid drawn out to (side, side) with bicubic interpolation."""
    if small.shape[0] > 48:
        return np.asarray(Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC))
    weights = _weights(small.shape[0], side)  # for few cells two products are several times faster
    return np.asarray(weights @ small @ weights.T, np.float32)


@lru_cache(maxsize=512)
def _weights(cells: int, side: int) -> Grid:
    """How much each of the cells of a line counts in each pixel of it, shape (side, cells)."""
    unit = Image.fromarray(np.eye(cells, dtype=np.float32))
    return np.asarray(unit.resize((cells, side), Image.Resampling.BICUBIC))


def cloud(rng: np.random.Generator, side: int, cells: int, octaves: int = 1, fall: float = 0.5) -> Grid:
    """Noise of shape (side, side), mean near 0, deviation near 1; each octave twice as fine and ``fall`` as strong."""
    total = np.zeros((cells, cells), np.float32)
    power = 0.0
    for octave in range(octaves):
        size = cells * 2**octave
        if octave:
            total = enlarge(total, size)
        total = total + fall**octave * rng.standard_normal((size, size), dtype=np.float32)
        power += fall ** (2 * octave)
    return enlarge(total * (1 / (0.75 * math.sqrt(power))), side)


def local_mean(grid: Grid, radius: float) -> Grid:
    """The mean around each pixel, about ``radius`` pixels wide; a radius under 2 has no effect."""
    side = grid.shape[0]
    size = max(3, round(side / max(radius, 1.0)))
    small = Image.fromarray(grid).resize((size, size), Image.Resampling.BOX)
    return enlarge(np.asarray(small), side)


def step(grid: Grid, width: float) -> Grid:
    """From 0 to 1 where ``grid`` crosses 0, smoothly over ``width``."""
    share = grid * (1.0 / width)
    share += 0.5
    return _ease(share)


def ridge(grid: Grid, width: float) -> Grid:
    """1 where ``grid`` is 0, falling to 0 at ``width`` on both sides."""
    share = np.abs(grid)
    share *= -1.0 / width
    share += 1.0
    return _ease(share)


def _ease(share: Grid) -> Grid:
    """Cut to 0 and 1 with flat ends; the argument is used up."""
    np.clip(share, 0.0, 1.0, out=share)
    eased = share * -2.0
    eased += 3.0
    eased *= share
    eased *= share
    return eased


def knots(at: list[float], value: list[float], smooth: int = 45) -> NDArray[np.float64]:
    """A table over ``HEIGHTS`` through the knots, its corners rounded over ``smooth`` entries."""
    line = np.interp(HEIGHTS, at, value)
    padded = np.pad(line, smooth // 2, mode="edge")
    window = np.hanning(smooth + 2)[1:-1]
    return np.convolve(padded, window / window.sum(), mode="valid")


def look_up(table: NDArray[np.float64], index: NDArray[np.intp]) -> Grid:
    """The entries of a table over ``HEIGHTS`` at ``height_index``'s indices."""
    return table.astype(np.float32)[index]


def height_index(v: Grid) -> NDArray[np.intp]:
    """Where each height lies in ``HEIGHTS``; heights beyond it count as its ends."""
    scaled = (v - FIRST) * ((HEIGHTS.size - 1) / (LAST - FIRST))
    return np.asarray(np.clip(scaled, 0, HEIGHTS.size - 1), np.intp)

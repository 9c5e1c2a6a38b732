"""Where the lungs of a frontal chest film are: a template of two dark lungs is placed, then its outline is fitted.

The outline of a lung is a radius for each direction from the lung's middle. The radii follow the strongest change from
dark to bright (dynamic programming, as in Amini et al. 1990 for snakes), held near the template.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from xraygpt_core.errors import TrainingError
from xraygpt_core.phantoms.findings import SIDES, Side

GRID = 128  # pixels of the longer side of the copy that is looked at
ANGLES = 72  # directions; 0 points to the right of the image, a quarter turn points down
CHEST_MM = 268.0  # inner width of an adult's chest
Grey = NDArray[np.float32]
Point = tuple[float, float]

# Outlines: x in half inner widths of the chest from the midline, y in heights of the lungs from the apex down.
_OUTLINES: dict[Side, tuple[Point, ...]] = {
    "right": (
        (-0.36, 0.0), (-0.58, 0.05), (-0.78, 0.22), (-0.92, 0.5), (-0.99, 0.8), (-1.0, 1.06), (-0.9, 1.0),
        (-0.66, 0.9), (-0.4, 0.9), (-0.26, 0.95), (-0.26, 0.7), (-0.2, 0.42), (-0.18, 0.2), (-0.22, 0.06),
    ),
    "left": (
        (0.36, 0.0), (0.58, 0.05), (0.78, 0.22), (0.92, 0.5), (0.99, 0.8), (1.0, 1.08), (0.9, 1.04),
        (0.76, 0.97), (0.64, 0.96), (0.56, 0.82), (0.42, 0.64), (0.26, 0.46), (0.2, 0.2), (0.24, 0.06),
    ),
}  # fmt: skip
_MIDDLES: dict[Side, Point] = {"right": (-0.6, 0.55), "left": (0.66, 0.55)}
_COARSE = 48  # pixels of the longer side where the template is placed
_WIDTHS = np.linspace(0.29, 0.5, 8)  # half the inner width over the longer side of the film
_HEIGHTS = np.linspace(0.4, 0.8, 9)
_RADII = np.geomspace(0.62, 1.5, 50)  # of the template's
_STIFF = 0.08  # what a radius far from the template's costs
_FILL = 0.3  # what darkness inside gains
_BRIGHT = 0.62  # what is no lung any more, between its dark and its surroundings
_LEAST_LIKENESS, _LEAST_EDGE = 0.43, 0.05


class LungsNotFound(TrainingError):
    """The two lungs cannot be told on this film."""


@dataclass(frozen=True, eq=False)
class Lungs:
    """The outlines on a grid whose longer side is ``GRID``.

    Attributes:
        shape: rows and columns of the grid.
        midline: its column.
        half: half the inner width of the chest, in pixels of the grid.
        middles: by the patient's side, x and y.
        radii: by side, (ANGLES,).
        likeness: how well the template fits, up to 1.
        edge: mean step from dark to bright along the outlines, in the film's grey range.
    """

    shape: tuple[int, int]
    midline: float
    half: float
    middles: dict[Side, Point]
    radii: dict[Side, NDArray[np.float64]]
    likeness: float
    edge: float

    def outline(self, side: Side) -> NDArray[np.float64]:
        """x and y on the grid, shape (ANGLES, 2)."""
        return np.asarray(self.middles[side]) + self.radii[side][:, None] * _directions()

    def top(self, side: Side) -> float:
        """Row of the apex."""
        return float(self.outline(side)[:, 1].min())

    def bottom(self, side: Side) -> float:
        """Row of the diaphragm's middle: the median of the lower border."""
        low = self.outline(side)[ANGLES // 8 : 3 * ANGLES // 8, 1]
        return float(np.median(low))


def find_lungs(grey: NDArray[np.uint8]) -> Lungs:
    """The lungs of a frontal film, shape (height, width), bone white.

    Raises:
        LungsNotFound: the film does not look like two lungs in a chest.
    """
    film = _evened(_reduced(grey, GRID))
    likeness, (centre, top, half, high) = _place(film)
    smooth = blurred(film, 0.05 * half)
    highs = {s: _height(smooth, centre + (0.58 if s == "left" else -0.58) * half, top, half, high) for s in SIDES}
    lower = min(highs.values()) + 0.2 * half  # the two domes never differ by much
    highs = {s: min(found, lower) for s, found in highs.items()}
    middles = {s: (centre + half * x, top + highs[s] * y) for s, (x, y) in _MIDDLES.items()}
    fits = {s: _fit(smooth, middles[s], _template_radii(s, half, highs[s])) for s in SIDES}
    edge = float(np.mean([fits[s][1] for s in SIDES]))
    radii = {s: fits[s][0] for s in SIDES}
    shape = (film.shape[0], film.shape[1])
    lungs = Lungs(shape, centre, half, middles, radii, likeness, edge)
    areas = [float((lungs.radii[s] ** 2).mean()) for s in SIDES]
    if likeness < _LEAST_LIKENESS or edge < _LEAST_EDGE or max(areas) > 2.2 * min(areas):
        raise LungsNotFound(f"the lungs cannot be told (likeness {likeness:.2f}, edge {edge:.3f})")
    return lungs


def _reduced(grey: NDArray[np.uint8], longest: int) -> Grey:
    height, width = grey.shape
    scale = longest / max(height, width)
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    small = Image.fromarray(grey).resize(size, Image.Resampling.BOX)
    return np.asarray(small, np.float32) / np.float32(255)


def _evened(film: Grey) -> Grey:
    """Half window, half histogram equalisation, 0 to 1: the exposure no longer matters much."""
    low, high = np.quantile(film, (0.01, 0.99))
    windowed = np.clip((film - low) / max(float(high - low), 1e-6), 0, 1)
    counts, edges = np.histogram(windowed, bins=128, range=(0.0, 1.0))
    ranks = np.interp(windowed, edges[1:], np.cumsum(counts) / windowed.size)
    return np.asarray((windowed + ranks) / 2, np.float32)


def blurred(value: Grey, sigma: float) -> Grey:
    """A Gaussian blur by three box means, edges repeated; ``sigma`` in pixels."""
    reach = max(1, round((np.sqrt(4 * sigma**2 + 1) - 1) / 2))
    for axis in (0, 1) * 3:
        padded = np.pad(value, [(reach + 1, reach) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
        summed = np.cumsum(padded, axis=axis, dtype=np.float64)
        window = 2 * reach + 1
        after, before = (np.take(summed, range(s, s + value.shape[axis]), axis) for s in (window, 0))
        value = ((after - before) / window).astype(np.float32)
    return value


def _place(film: Grey) -> tuple[float, tuple[float, float, float, float]]:
    """The likeness of the best template; its midline, top, half width and height on the film's grid."""
    step = GRID / _COARSE
    size = tuple(max(8, round(side / step)) for side in film.shape)
    coarse = np.asarray(Image.fromarray(film).resize((size[1], size[0]), Image.Resampling.BOX))
    pad = _COARSE // 4
    padded = np.pad(coarse, pad, mode="edge")
    best = (-1.0, (0.0, 0.0, 0.0, 0.0))
    for half in _WIDTHS * _COARSE:
        for high in _HEIGHTS * _COARSE:
            if not 1.0 < high / half < 2.3:
                continue
            score, (row, column) = _likeness(padded, _template(float(half), float(high)))
            if score > best[0]:
                middle = column - pad + _template(float(half), float(high)).shape[1] / 2
                top = row - pad + 0.15 * high
                best = (score, (middle * step, top * step, half * step, high * step))
    return best


def _height(film: Grey, column: float, top: float, half: float, high: float) -> float:
    """Height of one lung: down to the largest step into what is as bright as the belly. A breast is darker."""
    left, right = (int(np.clip(column + shift * half, 0, film.shape[1] - 1)) for shift in (-0.22, 0.22))
    profile = film[:, left : right + 1].mean(axis=1)
    reach = max(2, round(0.14 * half))
    rows = np.arange(int(top + 0.4 * high), int(min(top + 2.3 * half, film.shape[0] - reach - 1)))
    if len(rows) < reach:
        return high
    before, after = profile[rows - reach], profile[rows + reach]
    dark, bright = float(before[: reach * 2].min()), float(np.quantile(after, 0.8))
    level = np.clip((after - dark) / max(bright - dark, 0.05), 0, 1)
    found = (float(rows[int(np.argmax((after - before) * level**3))]) - top) / 0.93
    return float(np.clip(found, 0.8 * high, 1.7 * high))


def _likeness(film: Grey, template: Grey) -> tuple[float, tuple[int, int]]:
    """Largest normalised cross-correlation of the template, and where its corner lies then."""
    rows, columns = template.shape
    room = (film.shape[0] - rows, film.shape[1] - columns)
    if min(room) < 0:
        return -1.0, (0, 0)
    slack = film.shape[1] // 8
    first = max(0, room[1] // 2 - slack)
    windows = np.lib.stride_tricks.sliding_window_view(film, (rows, columns))[:, first : room[1] // 2 + slack + 1]
    flat = windows.reshape(windows.shape[0] * windows.shape[1], -1)
    mean, square = flat.mean(1), np.einsum("ij,ij->i", flat, flat) / flat.shape[1]
    score = flat @ (template.ravel() / template.size) / np.sqrt(np.maximum(square - mean**2, 1e-4))
    at = int(np.argmax(score))
    return float(score[at]), (at // windows.shape[1], first + at % windows.shape[1])


@lru_cache(maxsize=128)
def _template(half: float, high: float) -> Grey:
    """Lungs dark, the rest bright, mean 0 and deviation 1; the box reaches a little over the chest."""
    sides = (round(1.25 * high), 2 * round(1.1 * half))
    image = Image.new("L", (sides[1] * 4, sides[0] * 4), 255)
    for points in _OUTLINES.values():
        shape = [(4 * (sides[1] / 2 + half * x), 4 * high * (0.15 + y)) for x, y in points]
        ImageDraw.Draw(image).polygon(shape, fill=0)
    value = np.asarray(image.resize((sides[1], sides[0]), Image.Resampling.BOX), np.float32)
    return np.asarray((value - value.mean()) / value.std(), np.float32)


@lru_cache(maxsize=1)
def _directions() -> NDArray[np.float64]:
    angle = np.arange(ANGLES) * (2 * np.pi / ANGLES)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _template_radii(side: Side, half: float, high: float) -> NDArray[np.float64]:
    """Distance of the template's outline from the lung's middle, in each direction."""
    corners = (np.asarray(_OUTLINES[side]) - _MIDDLES[side]) * (half, high)
    steps = np.linspace(0, 1, 12, endpoint=False)[:, None]
    following = np.roll(corners, -1, axis=0)
    line = np.concatenate([start + (end - start) * steps for start, end in zip(corners, following, strict=True)])
    angle = np.arctan2(line[:, 1], line[:, 0]) % (2 * np.pi)
    order = np.argsort(angle)
    wanted = np.arange(ANGLES) * (2 * np.pi / ANGLES)
    radii: NDArray[np.float64] = np.interp(wanted, angle[order], np.hypot(*line.T)[order], period=2 * np.pi)
    return radii


def _fit(film: Grey, middle: Point, expected: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Radii along the strongest closed edge near the expected ones, and its mean strength.

    An outline gains by the darkness inside it as well (Chan and Vese 2001): a faint edge within the lung does not hold
    it back.
    """
    ahead = max(1.5, 0.06 * float(expected.mean()))
    radii = expected[:, None] * _RADII
    inside, outside, here = (_along(film, middle, radii + shift) for shift in (-ahead, ahead, 0.0))
    edges = np.clip(outside - inside, -0.1, 0.3)
    dark = float(np.quantile(here[:, :12], 0.3))
    contrast = np.maximum(_surroundings(outside) - dark, 0.1)[:, None]
    darkness = np.clip(_BRIGHT - (here - dark) / contrast, -1, 0.5)
    filled = np.cumsum(darkness * np.gradient(radii, axis=1), axis=1) / expected[:, None]
    gain = edges + _FILL * filled - _STIFF * np.log(_RADII) ** 2
    path = _closed_path(gain)
    ratio = _RADII[path]
    padded = np.concatenate([ratio[-2:], ratio, ratio[:2]])
    smooth = np.convolve(padded, np.array([1, 3, 4, 3, 1]) / 12, "valid")
    return expected * smooth, float(edges[np.arange(ANGLES), path].mean())


def _surroundings(outside: Grey) -> Grey:
    """How bright it is beyond the lung in each direction, evened over neighbouring directions."""
    bright = np.quantile(outside[:, len(_RADII) // 3 :], 0.85, axis=1)
    reach = ANGLES // 12
    padded = np.concatenate([bright[-reach:], bright, bright[:reach]])
    return np.convolve(padded, np.full(2 * reach + 1, 1 / (2 * reach + 1)), "valid").astype(np.float32)


def _along(film: Grey, middle: Point, radii: NDArray[np.float64]) -> Grey:
    """The film's values at these distances from the middle, in each direction; shape of ``radii``."""
    directions = _directions()
    x = np.clip(middle[0] + radii * directions[:, :1], 0, film.shape[1] - 1.001)
    y = np.clip(middle[1] + radii * directions[:, 1:], 0, film.shape[0] - 1.001)
    column, row = x.astype(int), y.astype(int)
    fx, fy = x - column, y - row
    upper = film[row, column] * (1 - fx) + film[row, column + 1] * fx
    lower = film[row + 1, column] * (1 - fx) + film[row + 1, column + 1] * fx
    return np.asarray(upper * (1 - fy) + lower * fy, np.float32)


def _closed_path(gain: Grey) -> NDArray[np.int64]:
    """One radius a direction, neighbours at most two steps apart, with the largest sum; once around, joined."""
    turns = np.concatenate([gain, gain, gain])
    count = gain.shape[1]
    total = turns[0].astype(np.float64)
    came = np.zeros(turns.shape, np.int64)
    moves = np.arange(-2, 3)
    price = 0.012 * np.abs(moves)[:, None]
    reach = np.clip(np.arange(count) + moves[:, None], 0, count - 1)
    for index in range(1, len(turns)):
        options = total[reach] - price
        chosen = options.argmax(0)
        came[index] = reach[chosen, np.arange(count)]
        total = options.max(0) + turns[index]
    path = np.empty(len(turns), np.int64)
    path[-1] = int(total.argmax())
    for index in range(len(turns) - 1, 0, -1):
        path[index - 1] = came[index, path[index]]
    return path[len(gain) : 2 * len(gain)]

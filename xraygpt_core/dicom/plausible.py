"""Is there a picture at all? A second line behind every rule of decoding, which asks the pixels and no header.

A film that was decoded wrongly, or a plate that was never exposed, looks like nothing that an X-ray tube can make: its
neighbouring pixels do not resemble each other, its grey levels jump, its rows are shifted against each other. Each
measure below is one number that holds for films of every size and contrast. `benchmarks/RESULTS.md` says how the
limits were set, and what they do with films and kinds of damage that had no part in it.

Noise without a picture is refused; every other doubt is only flagged. The histogram's gaps (a comb) are counted
and decide nothing: films that were encoded again have them by the thousand.
"""

import numpy as np
import numpy.typing as npt

from xraygpt_core.dicom.arrays import Values
from xraygpt_core.errors import Rejected
from xraygpt_core.states import ReasonCode

Measures = dict[str, float]
_Floats = npt.NDArray[np.float32]

_GRID, _TILE = 16, 16  # tiles across and down; pixels across and down a tile, or as many as there are
_LINES = 96  # rows and columns that are looked at over their whole length
_JUMP, _CALM = 40, 10  # grey levels between neighbours: of a contour; of what surrounds it

_MARKS = 0.04  # of all pixels: lead markers and letters on a plate whose pixels are otherwise all the same
_NO_STRUCTURE = 0.3  # real films have 0.49 and more
_FAR, _FEW = 9, 0.12  # median distances from the median: six standard deviations of noise; of all pixels
_COVER, _SOLID = 0.05, 0.8  # of all pixels; of their neighbours
_ROUNDING = 1 / 12  # the variance that rounding to whole values makes of a slope
_ALL_NOISE = 0.7  # of the tiles; markers, letters and the edges of a collimator are in the others
# Of the range of values: a plate's own noise has 0.12 if it is all that there is; mere chance has 0.29.
_SENSOR = 0.2
AT_LEAST = {"structure": 0.42, "levels": 40}
AT_MOST = {
    "clipped": 0.85,
    "grain": 0.12,
    "grainy": 0.13,
    "wrapped": 0.28,
    "contours": 0.0045,
    "lopsided": 1.2,
    "slanted": 0.03,
    "seams": 5,
    "copies": 0.7,
    "idle": 0.2,
}


def refuse_noise(values: Values) -> None:
    """Refuse mere noise, and an unexposed plate, with or without gradients, dead lines, collimation and markers.

    Args:
        values: (rows, columns) stored values or grey levels; at least 16 x 16.

    Raises:
        Rejected: BLANK for an unexposed plate; UNDECODABLE for noise over the whole range of values, as no plate has.
    """
    sample = _sample(values, _GRID * _TILE)
    if _beside_the_commonest(sample) <= _MARKS:
        raise Rejected(ReasonCode.BLANK, "all but a few pixels have the same value")
    sample = _without_marks(sample)
    if structure(sample) >= _NO_STRUCTURE or noise(sample) <= _ALL_NOISE:
        return
    if _breadth(sample) > _SENSOR:
        raise Rejected(ReasonCode.UNDECODABLE, "the pixels are noise over the whole range of their values")
    raise Rejected(ReasonCode.BLANK, "the pixels are noise without a picture in it, as of an unexposed plate")


def doubts(grey: npt.NDArray[np.uint8]) -> tuple[str, ...]:
    """Names of the measures by which this is no film; none for a plausible one."""
    found = measures(grey)
    few = [name for name, least in AT_LEAST.items() if found[name] <= least]
    return (*few, *(name for name, most in AT_MOST.items() if found[name] > most))


def measures(grey: npt.NDArray[np.uint8]) -> Measures:
    """All measures of an 8-bit picture (rows, columns), of at least 16 x 16 pixels.

    Of tiles spread over the picture, in the picture's own pixels, and of whole rows and columns; the time does not grow
    with the picture's area.
    """
    sample, tiles = _sample(grey, _GRID * _TILE), _tiles(grey)
    lines = [_lines(grey), _lines(grey.T)]
    return {
        "structure": structure(sample),
        **_histogram(sample),
        **_neighbours(tiles),
        "contours": _contours(tiles),
        "slanted": _slant(grey),
        "seams": float(_seams(lines[0])),
        "copies": max(_copies(grey), _copies(grey.T)),
        "idle": max(_idle(each) for each in lines),
    }


def structure(sample: Values) -> float:
    """What differs between places a lung's breadth apart, against what differs within a sixteenth of the side.

    The tiles' means are differentiated twice down and twice across, at every second tile. So everything that is one
    profile of the rows plus one of the columns is gone: the heel effect, a fall-off of light, banding, dead lines, the
    straight edges of a collimator. What white noise leaves is 0.09. The median cares for no marker.
    """
    tiles = _blocks(sample.astype(np.float64))
    means, spread = tiles.mean((2, 3)), tiles.var((2, 3))
    twisted = np.abs(_twice(_twice(means, (1, -2, 1)).T, (1, -2, 1)).T)
    expected = _twice(_twice(spread, (1, 4, 1)).T, (1, 4, 1)).T
    live = expected > 0
    return float(np.median(2 * twisted[live] / np.sqrt(expected[live]))) if live.any() else 0.0


def noise(sample: Values) -> float:
    """The share of tiles, of those not of one grey, with nothing but noise: pixels nearby differ as any two of a tile.

    What is one profile of the rows plus one of the columns is taken away first, as for :func:`structure`. A film that
    is sheared or in pieces has few such tiles, since it is smooth in one direction or in places.
    """
    tiles = _blocks(sample.astype(np.float64))
    rest = tiles - tiles.mean(2, keepdims=True) - tiles.mean(3, keepdims=True) + tiles.mean((2, 3), keepdims=True)
    steps = np.min(
        [
            np.square(along[:, :, apart:] - along[:, :, :-apart]).mean((2, 3))
            for along in (rest, rest.swapaxes(2, 3))
            for apart in (2, 3)  # components or bytes that alternate are no noise; a film that was enlarged is smooth
        ],
        axis=0,
    )
    left, total = rest.var((2, 3)), tiles.var((2, 3))
    live = total > 0
    no_slope = (left > _ROUNDING) | (left > total / 2)
    found = live & no_slope & (steps >= 0.7 * 2 * left)
    return float(found[live].mean()) if live.any() else 0.0


def _twice(grid: npt.NDArray[np.float64], weights: tuple[int, int, int]) -> npt.NDArray[np.float64]:
    return weights[0] * grid[:-4] + weights[1] * grid[2:-2] + weights[2] * grid[4:]


def _histogram(sample: npt.NDArray[np.uint8]) -> Measures:
    """How many grey levels occur at all, and what share of the pixels is black or white, within two levels."""
    shares = np.bincount(sample.ravel(), minlength=256) / sample.size
    return {"levels": float((shares > 1e-4).sum()), "clipped": float(shares[:3].sum() + shares[-3:].sum())}


def _without_marks(sample: Values) -> Values:
    """Markers, letters and dead pixels take the middle value: they are few, and far outside what a plate itself has.
    So does what a round or slanted collimator leaves as black or as white as can be."""
    covered = _covered(sample)
    middle = np.median(sample[~covered])
    distance = np.abs(sample - middle)
    far = distance > _FAR * max(float(np.median(distance[~covered])), 0.5)
    few = far[~covered].mean() < _FEW  # most of a film may lie far from its frame
    return np.where(covered | far if few else covered, middle, sample)


def _covered(sample: Values) -> npt.NDArray[np.bool_]:
    """Whole areas of the lowest or the highest value."""
    covered = np.zeros(sample.shape, dtype=np.bool_)
    for end in (sample.min(), sample.max()):
        here = sample == end
        solid = (here[:, 1:] & here[:, :-1]).mean() > _SOLID * here.mean()  # pixels of noise do not lie together
        if solid and _COVER < here.mean() < _SOLID:
            covered |= here
    return covered


def _breadth(sample: Values) -> float:
    """The usual standard deviation within a tile, as a share of the range of values; of few values it says nothing."""
    tiles = _blocks(sample.astype(np.float64))
    return float(np.median(tiles.std((2, 3))) / max(16.0, tiles.max() - tiles.min()))


def _beside_the_commonest(sample: Values) -> float:
    _, counts = np.unique(sample, return_counts=True)
    return 1 - int(counts.max()) / sample.size


def _neighbours(tiles: _Floats) -> Measures:
    """How alike neighbouring pixels are.

    ``grain``: the share of the picture's variance that is between neighbours (1 for white noise); ``grainy``: the share
    of tiles of which that is a quarter; ``wrapped``: how much shorter the way between neighbours is if black follows
    white; ``lopsided``: how much rougher the tiles are down than across or the reverse, as a logarithm.
    """
    across, down = np.diff(tiles, axis=3), np.diff(tiles, axis=2)
    all_variance = float(tiles.var()) + 1e-9
    rough = [np.square(each).mean((2, 3)) / (2 * all_variance) for each in (across, down)]
    steps = [np.abs(each) for each in (across, down)]
    way, round_way = (sum(float(f(each).sum()) for each in steps) for f in (np.asarray, _around))
    both = (rough[0] > 0) & (rough[1] > 0)
    ratio = np.log(rough[1][both] / rough[0][both])
    return {
        "grain": max(float(each.mean()) for each in rough),
        "grainy": float(((rough[0] + rough[1]) / 2 > 0.25).mean()),
        "wrapped": 1 - round_way / way if way else 0.0,
        "lopsided": abs(float(np.median(ratio))) if both.any() else 0.0,
    }


def _around(steps: _Floats) -> _Floats:
    return np.minimum(steps, 256 - steps)


def _contours(tiles: _Floats) -> float:
    """The share of neighbours that jump between the same two greys while all is calm on both sides of them.

    So a value that wrapped around shows. At a collimator or a letter one of the two varies with what lies beside it.
    """
    jumps, pairs = np.zeros((32, 32)), 0  # of the darker and the brighter neighbour, eight levels a bin
    for along in (tiles, tiles.swapaxes(2, 3)):
        steps = np.abs(np.diff(along, axis=3))
        found = (steps[..., 1:-1] > _JUMP) & (steps[..., :-2] < _CALM) & (steps[..., 2:] < _CALM)
        ends = [along[..., at : along.shape[3] - 3 + at][found].astype(np.intp) >> 3 for at in (1, 2)]
        np.add.at(jumps, (np.minimum(*ends), np.maximum(*ends)), 1)
        pairs += found.size
    alike = jumps[:-1, :-1] + jumps[1:, :-1] + jumps[:-1, 1:] + jumps[1:, 1:]
    return float(alike.max() / pairs)


def _slant(grey: npt.NDArray[np.uint8]) -> float:
    """How much better rows match those further down if moved sideways: a wrong number of columns shears the picture."""
    rows, columns = grey.shape
    apart = max(1, rows // 32)
    bundle = max(1, columns // 256)
    first = np.linspace(0, rows - 1 - apart, _LINES).astype(np.intp)
    upper, lower = (
        grey[first + below, : columns // bundle * bundle].reshape(_LINES, -1, bundle).mean(2, dtype=np.float32)
        for below in (0, apart)
    )
    upper, lower = (each - each.mean(1, keepdims=True) for each in (upper, lower))
    power = np.sqrt(np.square(upper).sum(1) * np.square(lower).sum(1)) + 1e-6
    spectrum = np.conj(np.fft.rfft(upper)) * np.fft.rfft(lower)
    match = (np.fft.irfft(spectrum, n=upper.shape[1]) / power[:, None]).mean(0)
    return float(match.max() - match[0])


def _lines(grey: npt.NDArray[np.uint8]) -> _Floats:
    """Every row, at some columns: (rows, 96)."""
    columns = np.linspace(0, grey.shape[1] - 1, _LINES).astype(np.intp)
    return grey[:, columns].astype(np.float32)


def _seams(lines: _Floats) -> int:
    """Rows that do not continue the one above, although the rows before and behind them follow each other closely."""
    spread = lines.std(1)
    centred = (lines - lines.mean(1, keepdims=True)) / (spread[:, None] + 1e-6)
    alike = (centred[1:] * centred[:-1]).mean(1)
    broken = (alike[1:-1] < 0.7) & (alike[:-2] > 0.9) & (alike[2:] > 0.9)
    return int((broken & (spread[1:-2] > 8) & (spread[2:-1] > 8)).sum())


def _copies(grey: npt.NDArray[np.uint8]) -> float:
    """Correlation of the upper half with the lower, or of the thirds: fields or planes that were laid side by side.

    What is a profile of the rows plus one of the columns of a part does not count: bodies are alike in that.
    """
    small = _sample(grey, _LINES).astype(np.float64)
    halves, thirds = np.array_split(small, 2), np.array_split(small, 3)
    return max(_alike(*halves), min(_alike(*thirds[:2]), _alike(*thirds[1:])))


def _alike(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    one, other = (each - each.mean(0) - each.mean(1, keepdims=True) + each.mean() for each in (one, other))
    return float((one * other).sum() / (np.sqrt(np.square(one).sum() * np.square(other).sum()) + 1e-6))


def _idle(lines: _Floats) -> float:
    """The share of rows of one grey, up to one end: what a decoder leaves when its data end too early.

    A film may lie in a wider frame; so what is idle at the other end too does not count.
    """
    flat = lines.max(1) == lines.min(1)
    return abs(_run(flat) - _run(flat[::-1])) / len(lines)


def _run(flat: npt.NDArray[np.bool_]) -> int:
    return len(flat) if flat.all() else int(np.argmin(flat))


def _sample(grey: Values, side: int) -> Values:
    """Pixels at equal distances, ``side`` by ``side`` or fewer of a smaller picture; single pixels keep their noise."""
    rows, columns = ((np.arange(min(side, n)) + 0.5) * n / min(side, n) for n in grey.shape)
    sample: Values = grey[rows.astype(np.intp)][:, columns.astype(np.intp)]
    return sample


def _tiles(grey: npt.NDArray[np.uint8]) -> _Floats:
    """(16, 16, tile, tile): whole neighbourhoods, spread over the picture."""
    tile = min(_TILE, min(grey.shape) // _GRID)
    rows, columns = (
        (np.linspace(0, n - tile, _GRID).astype(np.intp)[:, None] + np.arange(tile)).ravel() for n in grey.shape
    )
    return _blocks(grey[rows][:, columns].astype(np.float32))


def _blocks(sample: Values) -> Values:
    """A picture cut into 16 x 16 tiles; what is left over at its lower and right edge is dropped."""
    rows, columns = (n // _GRID for n in sample.shape)
    cut = sample[: rows * _GRID, : columns * _GRID]
    return cut.reshape(_GRID, rows, _GRID, columns).swapaxes(1, 2)

"""Which of two readings of the same bytes is a picture: its neighbours are alike, those of scrambled bytes are not.

All measures look at pairs of rows spread over the image, at most about a quarter of a million pixels: a film of
any size costs a few milliseconds.
"""

import numpy as np
import numpy.typing as npt

from xraygpt_core.dicom.arrays import Values

_Wide = npt.NDArray[np.int32]
Sample = tuple[_Wide, _Wide]  # (pairs, columns) each

CLEARLY = 0.5  # times as rough: the margin by which another reading than the header's must win
_SAMPLE = 2**18  # pixels
_LEAST = 2**12  # pixels; of fewer nothing is concluded
_SURE, _ALIKE = 8.0, 0.3  # standard errors; of the excess
_FEW = 64  # pairs of neighbours that a decision needs at least
_SHARE = 0.0002  # of all pairs looked at
_CONTRARY = 0.25  # pairs that speak for the header, for one against it; on real pictures it is 0.08 or above 12


def sample(values: Values) -> Sample:
    """Pairs of neighbouring rows of a (rows, columns) array: the upper ones and the lower ones."""
    rows, columns = values.shape
    step = max(2, -(-2 * rows * columns // _SAMPLE))
    pairs = len(range(0, rows - 1, step))
    return values[: rows - 1 : step].astype(np.int32), values[1::step][:pairs].astype(np.int32)


def variation(values: Values) -> float:
    """Mean difference of neighbours: the smaller for the same bytes, the more of a picture they are."""
    upper, lower = sample(values)
    across = np.abs(np.diff(upper, axis=1)).mean(dtype=np.float64)
    down = np.abs(lower - upper).mean(dtype=np.float64)
    return float(across + down) / 2


def roughness(values: Values) -> float:
    """:func:`variation` over the difference of pixels drawn at random: 1 for noise, near 0 for a smooth picture."""
    if values.size < _LEAST:
        return 1.0
    flat = sample(values)[0].ravel()
    order = np.random.default_rng(0).permutation(flat.size)
    spread = np.abs(flat - flat[order]).mean(dtype=np.float64)
    return float(variation(values) / spread) if spread else 1.0


def row_roughness(values: Values) -> float:
    """Mean difference of a row and the next over that of rows far apart: rows of the wrong length do not fit."""
    if values.size < _LEAST:
        return 1.0
    upper, lower = sample(values)
    down = np.abs(lower - upper).mean(dtype=np.float64)
    spread = np.abs(upper - np.roll(upper, upper.shape[1] // 3, axis=1)).mean(dtype=np.float64)
    return float(down / spread) if spread else 1.0


def is_better(other: Values, header: Values, *, without_ends: bool = False) -> bool:
    """True if another reading of the same stored bits must be right.

    Where the two readings disagree about the difference of neighbours, they do so by a power of two: a bit that one
    of them takes for a sign, drops or keeps. The neighbours that are alike in one reading only decide. An edge from
    black to white may look alike in the wrong reading, which is why few may speak for the header.

    Args:
        without_ends: neighbours of which one is as black or as white as can be are not counted.
    """
    for_other = for_header = seen = 0
    for (one, two), (first, second) in zip(_neighbours(sample(other)), _neighbours(sample(header)), strict=True):
        jump = np.abs((two - one) - (second - first))
        differ = jump > 0
        if without_ends:
            least, most = header.min(), header.max()
            differ &= (first != least) & (first != most) & (second != least) & (second != most)
        for_other += int(np.count_nonzero(differ & (4 * np.abs(two - one) < jump)))
        for_header += int(np.count_nonzero(differ & (4 * np.abs(second - first) < jump)))
        seen += one.size
    return for_other > max(_FEW, _SHARE * seen) and for_header < _CONTRARY * for_other


def are_pairs_exchanged(values: Values) -> bool:
    """True if the first and the second of each two samples must have changed places.

    In order, the step within a pair and that to the next pair are alike, and smaller than a step over three samples.
    Exchanged, the step to the next pair is the one over three, and the step within is like that from a first to the
    next second. Noise, doubled pixels, grids and the blocks of a JPEG are neither.
    """
    if values.size < _LEAST:
        return False
    pairs = values.reshape(-1)[: values.size // 2 * 2].reshape(-1, 2).astype(np.int16)
    step = max(1, 2 * len(pairs) // _SAMPLE)
    here, following = pairs[:-1:step], pairs[1::step]
    within = np.abs(here[:, 1] - here[:, 0]).mean(dtype=np.float64)
    between, back = np.abs(following[:, 0] - here[:, 1]), np.abs(following[:, 1] - here[:, 0])
    excess = (between - back).astype(np.float64)
    surely = excess.mean() > _SURE * excess.std() / np.sqrt(len(excess))
    return bool(surely and abs(within - back.mean(dtype=np.float64)) < _ALIKE * excess.mean())


def _neighbours(pairs: Sample) -> tuple[Sample, Sample]:
    """Side by side, and one above the other."""
    return (pairs[0][:, :-1], pairs[0][:, 1:]), pairs

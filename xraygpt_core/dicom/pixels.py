"""The grey-scale pipeline of PS3.4 annex N.2: Modality LUT, VOI LUT or window, presentation sense, to 8 bits.

Stored values have at most 16 bits, so every step is computed once per value that occurs, not once per pixel: a table
of at most 65,536 entries, through which the image is looked up at the end.
"""

from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

from xraygpt_core.dicom.arrays import Values
from xraygpt_core.dicom.deep import Deep, deep_values
from xraygpt_core.dicom.header import integer
from xraygpt_core.dicom.tables import value_of
from xraygpt_core.dicom.transforms import RARE, Mapped, modality, numbers_of, presentation, rescale, voi
from xraygpt_core.errors import Rejected
from xraygpt_core.states import ReasonCode

Grey = npt.NDArray[np.uint8]  # (rows, columns), 0 black, 255 white
_Table = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Shown:
    """A film as it shall be seen."""

    grey: Grey  # bone white
    contradicted: bool = False  # a table of the header is not what the header says, or could not be used
    deep: Deep | None = None  # None where it was not asked for, or would hold no more


def grey_of_dicom(values: Values, dataset: Any, stored_bits: int, *, deep: bool = False) -> Shown:
    """Grey values as the header says they shall be seen, bone white.

    Args:
        values: (rows, columns) stored values, or (rows, columns, 3) colour, which has no VOI transform.
        dataset: the header.
        stored_bits: BitsStored.
        deep: whether the film's own values are asked for, too.

    Raises:
        Rejected: BLANK if all pixels (apart from padding) are the same.
    """
    if values.ndim == 3:
        return Shown(grey_of_colour(values, stored_bits))
    low, counts = _histogram(values)
    stored = np.arange(low, low + len(counts), dtype=np.float64)
    padding = _padding(dataset, stored)
    if not counts[~padding].any():  # then it is no padding
        padding = np.zeros_like(padding)
    counts = np.where(padding, 0, counts)
    _refuse_blank(counts)
    meant = modality(dataset, stored, counts)
    chosen = voi(dataset, meant.values, counts)
    if chosen is None:
        grey_already = stored_bits <= 8 and not meant.tabled
        ends = _full_range(dataset, stored_bits)
        chosen = Mapped(_between(meant.values, *ends) if grey_already else stretch(meant.values, counts))
    shown = presentation(dataset, chosen.values, counts)
    contradicted = meant.contradicted or chosen.contradicted or shown.contradicted
    found = deep_values(meant, shown.values, counts) if deep else None
    return _looked_up(np.where(padding, 0.0, shown.values), found, values, low, contradicted=contradicted)


def grey_of_wide(values: Values, *, deep: bool = False) -> Shown:
    """Grey values of a 16-bit picture, which says nothing about its range.

    Args:
        deep: whether its own values are asked for, too.

    Raises:
        Rejected: BLANK.
    """
    low, counts = _histogram(values)
    _refuse_blank(counts)
    meant = Mapped(np.arange(low, low + len(counts), dtype=np.float64))
    seen = stretch(meant.values, counts)
    return _looked_up(seen, deep_values(meant, seen, counts) if deep else None, values, low)


def grey_of_colour(values: Values, stored_bits: int) -> Grey:
    """Luma (ITU-R BT.601) of (rows, columns, 3) red, green and blue of 8 or more bits.

    Raises:
        Rejected: BLANK.
    """
    weighted = values[..., 0] * np.uint32(299) + values[..., 1] * np.uint32(587) + values[..., 2] * np.uint32(114)
    if stored_bits > 8:
        weighted = np.minimum(weighted * (255.0 / (2**stored_bits - 1)), 255_000).astype(np.uint32)
    grey: Grey = ((weighted + 500) // 1000).astype(np.uint8)
    refuse_constant(grey)
    return grey


def refuse_constant(grey: Values) -> None:
    """Raises: Rejected(BLANK) if every value is the same."""
    if grey.min() == grey.max():
        raise Rejected(ReasonCode.BLANK, "every pixel has the same value")


def stretch(meant: _Table, counts: npt.NDArray[Any]) -> _Table:
    """Spread what occurs over [0, 1], but for the rarest thousandth at either end."""
    order = np.argsort(meant, kind="stable")
    sorted_counts = counts[order]
    total = int(counts.sum())
    dark = np.searchsorted(np.cumsum(sorted_counts), RARE * total, side="right")
    bright = len(counts) - 1 - np.searchsorted(np.cumsum(sorted_counts[::-1]), RARE * total, side="right")
    low, high = meant[order[dark]], meant[order[bright]]
    if low >= high:  # nearly constant: what little there is, is shown
        occurring = meant[counts > 0]
        low, high = occurring.min(), occurring.max()
    return _between(meant, low, high)


def _between(meant: _Table, low: float, high: float) -> _Table:
    if high <= low:
        return np.zeros_like(meant)
    return np.clip((meant - low) / (high - low), 0.0, 1.0)


def _histogram(values: Values) -> tuple[int, npt.NDArray[Any]]:
    low, high = int(values.min()), int(values.max())
    return low, np.bincount(_offsets(values, low).ravel(), minlength=high - low + 1)


def _looked_up(seen: _Table, deep: Deep | None, values: Values, low: int, *, contradicted: bool = False) -> Shown:
    places = _offsets(values, low)
    grey: Grey = np.rint(255.0 * np.clip(seen, 0.0, 1.0)).astype(np.uint8)[places]
    return Shown(grey, contradicted, deep and replace(deep, codes=deep.codes[places]))


def _offsets(values: Values, low: int) -> npt.NDArray[Any]:
    """Position of each value in a table that starts at ``low``; no copy where none is needed."""
    if low == 0:
        return values
    return (values.astype(np.int32) - low).astype(np.uint16)


def _padding(dataset: Any, stored: _Table) -> npt.NDArray[np.bool_]:
    """Which stored values are not image: Pixel Padding Value and its Range Limit (PS3.3 C.7.5.1.1.2)."""
    first = _stored_value(dataset, "PixelPaddingValue", stored)
    if first is None:
        return np.zeros(len(stored), dtype=bool)
    last = _stored_value(dataset, "PixelPaddingRangeLimit", stored)
    last = first if last is None else last
    return (stored >= min(first, last)) & (stored <= max(first, last))


def _stored_value(dataset: Any, keyword: str, stored: _Table) -> int | None:
    """A value written as US or SS; some writers take the wrong one of the two, and so the sign that occurs counts."""
    value = value_of(dataset, keyword)
    if isinstance(value, bytes) and len(value) >= 2:
        value = int.from_bytes(value[:2], "big" if dataset.original_encoding[1] is False else "little")
    found = numbers_of(value)
    if not found or not isfinite(found[0]):
        return None
    bits = int(found[0]) & 0xFFFF
    signed = bits - 0x10000 if bits > 0x7FFF else bits
    choices = (signed, bits) if integer(dataset, "PixelRepresentation") == 1 else (bits, signed)
    return next((one for one in choices if stored[0] <= one <= stored[-1]), choices[0])


def _refuse_blank(counts: npt.NDArray[Any]) -> None:
    if np.count_nonzero(counts) < 2:
        raise Rejected(ReasonCode.BLANK, "every pixel has the same value")


def _full_range(dataset: Any, stored_bits: int) -> tuple[float, float]:
    """What 8-bit values without a window mean: they are grey levels already."""
    signed = integer(dataset, "PixelRepresentation") == 1
    ends = np.array(
        [-(2.0 ** (stored_bits - 1)), 2.0 ** (stored_bits - 1) - 1] if signed else [0.0, 2.0**stored_bits - 1]
    )
    meant = rescale(dataset, ends)
    return float(meant.min()), float(meant.max())


def histogram_gaps(grey: Grey) -> float:
    """The share of grey levels between the darkest and the brightest that never occur: 0.5 for a comb of every second.

    It is watched and never a reason to reject. If it grows over a bucket's films, a sender changed its encoding.
    """
    found = np.flatnonzero(np.bincount(grey.ravel(), minlength=256))
    return 1 - len(found) / int(found[-1] - found[0] + 1)

"""The grey-scale pipeline of PS3.4 annex N.2: Modality LUT, VOI LUT or window, presentation sense, to 8 bits.

Stored values have at most 16 bits, so every step is computed once per value that occurs, not once per pixel: a table
of at most 65,536 entries, through which the image is looked up at the end.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from xraygpt_core.dicom.arrays import Values
from xraygpt_core.dicom.header import PARSE_ERRORS, first_item, integer, number, values, word
from xraygpt_core.errors import Rejected
from xraygpt_core.states import ReasonCode

Grey = npt.NDArray[np.uint8]  # (rows, columns), 0 black, 255 white
_Table = npt.NDArray[np.float64]

_TAIL = 0.001  # of all pixels, at either end: a hot pixel or a lead marker must not darken the film


def grey_of_dicom(values: Values, dataset: Any, stored_bits: int) -> Grey:
    """Grey values as the header says they shall be seen, bone white.

    Args:
        values: (rows, columns) stored values, or (rows, columns, 3) 8-bit colour, which has no VOI transform.
        dataset: the header.
        stored_bits: BitsStored.

    Raises:
        Rejected: BLANK if all pixels (apart from padding) are the same, UNDECODABLE for an unusable Modality LUT.
    """
    if values.ndim == 3:
        return grey_of_colour(values)
    low, counts = _histogram(values)
    stored = np.arange(low, low + len(counts), dtype=np.float64)
    padding = _padding(dataset, stored)
    counts = np.where(padding, 0, counts)
    _refuse_blank(counts)
    meant, has_table = _modality(dataset, stored)
    seen = _voi(dataset, meant)
    if seen is None or _is_constant(seen, counts):  # a window beside all the values shows nothing; better none
        grey_already = stored_bits <= 8 and not has_table
        seen = _between(meant, *_full_range(dataset, stored_bits)) if grey_already else stretch(meant, counts)
    if _is_inverted(dataset):
        seen = 1.0 - seen
    return _through(np.where(padding, 0.0, seen), values, low)


def grey_of_wide(values: Values) -> Grey:
    """Grey values of a 16-bit picture, which says nothing about its range.

    Raises:
        Rejected: BLANK.
    """
    low, counts = _histogram(values)
    _refuse_blank(counts)
    seen = stretch(np.arange(low, low + len(counts), dtype=np.float64), counts)
    return _through(seen, values, low)


def grey_of_colour(values: Values) -> Grey:
    """Luma (ITU-R BT.601) of (rows, columns, 3) red, green and blue.

    Raises:
        Rejected: BLANK.
    """
    wide = values >> 8 if values.dtype.itemsize == 2 else values
    weighted = wide[..., 0] * np.uint32(299) + wide[..., 1] * np.uint32(587) + wide[..., 2] * np.uint32(114)
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
    dark = np.searchsorted(np.cumsum(sorted_counts), _TAIL * total, side="right")
    bright = len(counts) - 1 - np.searchsorted(np.cumsum(sorted_counts[::-1]), _TAIL * total, side="right")
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


def _through(seen: _Table, values: Values, low: int) -> Grey:
    table = np.rint(255.0 * np.clip(seen, 0.0, 1.0)).astype(np.uint8)
    grey: Grey = table[_offsets(values, low)]
    return grey


def _offsets(values: Values, low: int) -> npt.NDArray[Any]:
    """Position of each value in a table that starts at ``low``; no copy where none is needed."""
    if low == 0:
        return values
    return (values.astype(np.int32) - low).astype(np.uint16)


def _padding(dataset: Any, stored: _Table) -> npt.NDArray[np.bool_]:
    """Which stored values are not image: Pixel Padding Value and its Range Limit (PS3.3 C.7.5.1.1.2)."""
    first = _stored_value(dataset, "PixelPaddingValue")
    if first is None:
        return np.zeros(len(stored), dtype=bool)
    last = _stored_value(dataset, "PixelPaddingRangeLimit")
    last = first if last is None else last
    return (stored >= min(first, last)) & (stored <= max(first, last))


def _stored_value(dataset: Any, keyword: str) -> int | None:
    """A value written as US or SS; some writers take the wrong one of the two."""
    value = integer(dataset, keyword)
    if value is None:
        return None
    signed = integer(dataset, "PixelRepresentation") == 1
    if signed and value > 0x7FFF:
        return value - 0x10000
    return value + 0x10000 if not signed and value < 0 else value


def _refuse_blank(counts: npt.NDArray[Any]) -> None:
    if np.count_nonzero(counts) < 2:
        raise Rejected(ReasonCode.BLANK, "every pixel has the same value")


def _modality(dataset: Any, stored: _Table) -> tuple[_Table, bool]:
    """Modality LUT Sequence, or else Rescale Slope and Intercept (PS3.3 C.11.1). True: a table was used."""
    item = first_item(dataset, "ModalityLUTSequence")
    if item is not None:
        entries, first, _ = _lut(item)
        return _look_up(entries, first, stored), True
    slope, intercept = number(dataset, "RescaleSlope"), number(dataset, "RescaleIntercept")
    return stored * (slope or 1.0) + (intercept or 0.0), False  # slope 0 would make any image blank: a writer's slip


def _voi(dataset: Any, meant: _Table) -> _Table | None:
    """The first VOI LUT, or else the first window (PS3.3 C.11.2), onto [0, 1]; None if there is neither."""
    item = first_item(dataset, "VOILUTSequence")
    if item is not None:
        entries, first, bits = _lut(item)
        return _look_up(entries, first, meant) / (2.0**bits - 1.0)
    center, width = number(dataset, "WindowCenter"), number(dataset, "WindowWidth")
    if center is None or width is None:
        return None
    return window(meant, center, width, (word(dataset, "VOILUTFunction") or "LINEAR").upper())


def window(meant: _Table, center: float, width: float, function: str) -> _Table | None:
    """Map values onto [0, 1] as LINEAR (PS3.3 C.11.2.1.2.1), SIGMOID (C.11.2.1.3.1) or LINEAR_EXACT (C.11.2.1.3.2).

    Returns:
        None if the width is none that the function allows.
    """
    if function == "SIGMOID" and width > 0:
        logistic: _Table = 1.0 / (1.0 + np.exp(np.clip(-4.0 * (meant - center) / width, -700.0, 700.0)))
        return logistic
    if function == "LINEAR_EXACT" and width > 0:
        return np.clip((meant - center) / width + 0.5, 0.0, 1.0)
    if width < 1:
        return None
    if width == 1:
        return (meant > center - 0.5).astype(np.float64)
    return np.clip((meant - (center - 0.5)) / (width - 1.0) + 0.5, 0.0, 1.0)


def _lut(item: Any) -> tuple[_Table, float, int]:
    """Entries, the input of the first entry, and bits per entry of a LUT item (PS3.3 C.11.1.1.1).

    Raises:
        Rejected: UNDECODABLE if descriptor and data do not fit together.
    """
    try:
        count, first, bits = (int(value) for value in values(item, "LUTDescriptor"))
        data = item.get("LUTData")
        if isinstance(data, bytes):
            wide = len(data) >= 2 * (count or 65536)
            order = ">" if item.original_encoding[1] is False else "<"
            entries = np.frombuffer(data[: len(data) // 2 * 2] if wide else data, dtype=f"{order}u2" if wide else "u1")
        else:
            entries = np.asarray(data, dtype=np.int64) & 0xFFFF
        entries = entries[: count or 65536].astype(np.float64)
    except PARSE_ERRORS:
        raise Rejected(ReasonCode.UNDECODABLE, "a look-up table of the header cannot be read") from None
    if not len(entries) or entries.max() <= entries.min():
        raise Rejected(ReasonCode.UNDECODABLE, "a look-up table of the header is empty or flat")
    # Descriptors that promise 16 bits over 12-bit entries are common; taken at their word they give a black film.
    return entries, float(first), min(max(bits, 1), int(entries.max()).bit_length())


def _look_up(entries: _Table, first: float, inputs: _Table) -> _Table:
    return entries[np.clip(np.floor(inputs - first), 0, len(entries) - 1).astype(np.int64)]


def _full_range(dataset: Any, stored_bits: int) -> tuple[float, float]:
    """What 8-bit values without a window mean: they are grey levels already."""
    signed = integer(dataset, "PixelRepresentation") == 1
    ends = np.array(
        [-(2.0 ** (stored_bits - 1)), 2.0 ** (stored_bits - 1) - 1] if signed else [0.0, 2.0**stored_bits - 1]
    )
    meant, _ = _modality(dataset, ends)
    return float(meant.min()), float(meant.max())


def _is_constant(seen: _Table, counts: npt.NDArray[Any]) -> bool:
    occurring = np.rint(255.0 * seen[counts > 0])
    return bool(occurring.min() == occurring.max())


def _is_inverted(dataset: Any) -> bool:
    """Low values are bright: MONOCHROME1 (PS3.3 C.7.6.3.1.2) or Presentation LUT Shape INVERSE (C.11.6).

    Where both say so they mean one and the same inversion (PS3.3 C.8.11.3.1.2). MONOCHROME1 with IDENTITY contradicts
    itself; the field knows such files as wrong in the shape, so the photometric interpretation wins.
    """
    shape = (word(dataset, "PresentationLUTShape") or "").upper()
    return (word(dataset, "PhotometricInterpretation") or "").upper() == "MONOCHROME1" or shape == "INVERSE"

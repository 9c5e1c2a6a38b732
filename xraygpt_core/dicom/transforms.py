"""Modality, VOI and presentation transforms (PS3.4 annex N.2) of the values that occur in one image.

Where the header offers several tables and windows they are alternative views of the same film (PS3.3 C.11.2.1.1): one
that cannot be read, or shows a single grey, is passed over for the next.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from xraygpt_core.dicom.header import PARSE_ERRORS, integer, values, word
from xraygpt_core.dicom.tables import (
    Counts,
    Inputs,
    LookupTable,
    first_input,
    listed,
    look_up,
    missing,
    read_table,
    value_of,
)

RARE = 0.001  # of all pixels: a hot pixel or a lead marker must not decide what is shown
_MOST = 32  # tables or windows that are tried
_LACKING = 0.01  # of all pixels may hit an entry that the file promises and does not hold


@dataclass(frozen=True)
class Mapped:
    """What one step makes of the values that occur."""

    values: Inputs
    tabled: bool = False  # a look-up table made them
    contradicted: bool = False  # the header promised another transform, or another table, than its data are


def modality(dataset: Any, stored: Inputs, counts: Counts) -> Mapped:
    """Modality LUT, else Rescale Slope and Intercept (PS3.3 C.11.1), else the stored values.

    A Modality LUT is no alternative: without it the values are not what the window means. So one that is there and
    cannot be used is a contradiction.
    """
    items = _items(dataset, "ModalityLUTSequence")
    for item in items:
        found = _tabled(item, stored, counts, signed=integer(dataset, "PixelRepresentation") == 1)
        if found is not None and np.ptp(found[0].values[counts > 0]):
            return found[0]
    return Mapped(rescale(dataset, stored), contradicted=bool(items))


def rescale(dataset: Any, stored: Inputs) -> Inputs:
    """Rescale Slope and Intercept. A slope of 0 would make any image blank: a writer's slip for 1."""
    slope, intercept = (next(iter(numbers(dataset, f"Rescale{name}")), None) for name in ("Slope", "Intercept"))
    return stored * (slope if slope and isfinite(slope) else 1.0) + (
        intercept if intercept and isfinite(intercept) else 0.0
    )


def voi(dataset: Any, meant: Inputs, counts: Counts) -> Mapped | None:
    """The first VOI LUT, else the first window (PS3.3 C.11.2), that shows something, onto [0, 1]; None if none does."""
    occurring = meant[counts > 0]
    for item in _items(dataset, "VOILUTSequence"):
        found = _tabled(item, meant, counts, signed=bool(occurring.min() < 0))
        if found is not None:
            mapped, table = found
            scaled = np.clip(mapped.values / (2.0**table.output_bits - 1.0), 0.0, 1.0)
            if shows(scaled, counts):
                return Mapped(scaled, tabled=True, contradicted=mapped.contradicted)
    function = (word(dataset, "VOILUTFunction") or "LINEAR").upper().replace(" ", "_")
    for center, width in windows(dataset):
        seen = window(meant, center, width, function)
        if seen is not None and shows(seen, counts):
            return Mapped(seen)
    return None


def windows(dataset: Any) -> Iterator[tuple[float, float]]:
    """Window Center and Width in pairs; of two lists the shorter one's last value stands for those it lacks."""
    centers, widths = (numbers(dataset, keyword)[:_MOST] for keyword in ("WindowCenter", "WindowWidth"))
    if centers and widths:
        for place in range(max(len(centers), len(widths))):
            pair = centers[min(place, len(centers) - 1)], widths[min(place, len(widths) - 1)]
            if all(isfinite(one) for one in pair):
                yield pair


def window(meant: Inputs, center: float, width: float, function: str) -> Inputs | None:
    """Map values onto [0, 1] as LINEAR (PS3.3 C.11.2.1.2.1), SIGMOID (C.11.2.1.3.1) or LINEAR_EXACT (C.11.2.1.3.2).

    Returns:
        None if the width is none that the function allows.
    """
    if function == "SIGMOID" and width > 0:
        logistic: Inputs = 1.0 / (1.0 + np.exp(np.clip(-4.0 * (meant - center) / width, -700.0, 700.0)))
        return logistic
    if function == "LINEAR_EXACT" and width > 0:
        return np.clip((meant - center) / width + 0.5, 0.0, 1.0)
    if width < 1:
        return None
    if width == 1:
        return (meant > center - 0.5).astype(np.float64)
    return np.clip((meant - (center - 0.5)) / (width - 1.0) + 0.5, 0.0, 1.0)


def presentation(dataset: Any, seen: Inputs, counts: Counts) -> Mapped:
    """The last step, onto P-Values in [0, 1], 0 black: Presentation LUT Sequence or Shape, and MONOCHROME1.

    MONOCHROME1 (PS3.3 C.7.6.3.1.2) and shape INVERSE (C.11.6) mean one and the same inversion (C.8.11.3.1.2).
    MONOCHROME1 with IDENTITY, or with a table that rises, contradicts itself; the field knows such files as wrong in
    the shape, so the photometric interpretation wins.
    """
    inverse = (word(dataset, "PhotometricInterpretation") or "").upper() == "MONOCHROME1"
    for item in _items(dataset, "PresentationLUTSequence"):
        found = _presented(item, seen, counts, inverse=inverse)
        if found is not None:
            return found
    inverse = inverse or (word(dataset, "PresentationLUTShape") or "").upper() == "INVERSE"
    return Mapped(1.0 - seen if inverse else seen)


def numbers(dataset: Any, keyword: str) -> list[float]:
    """All values of one element as numbers, NaN for one that is none; a malformed one does not spoil the others."""
    return numbers_of(value_of(dataset, keyword))


def numbers_of(value: Any) -> list[float]:
    """The same of a value that was read already; the bytes of one that could not be read are text."""
    if isinstance(value, bytes):
        value = value.decode("latin1").split("\\")
    return [_number(one) for one in listed(value)]


def shows(seen: Inputs, counts: Counts) -> bool:
    """False if all but the rarest pixels would have one single grey."""
    shares = np.bincount(np.rint(255.0 * np.clip(seen, 0.0, 1.0)).astype(np.int64), weights=counts)
    return bool(shares.max() < (1.0 - RARE) * shares.sum())


def _number(value: Any) -> float:
    try:
        return float(value.replace(",", ".") if isinstance(value, str) else value)
    except PARSE_ERRORS:
        return float("nan")


def _items(dataset: Any, keyword: str) -> list[Any]:
    return [item for item in values(dataset, keyword)[:_MOST] if hasattr(item, "get")]


def _tabled(item: Any, inputs: Inputs, counts: Counts, *, signed: bool) -> tuple[Mapped, LookupTable] | None:
    """The values through one item's table; None if it cannot be read."""
    table = read_table(item)
    if table is None:
        return None
    first = first_input(table, inputs, counts, signed=signed)
    mapped = look_up(table, first, inputs)
    lacking = missing(table, first, inputs, counts) > _LACKING
    return Mapped(mapped, tabled=True, contradicted=table.contradicted or lacking), table


def _presented(item: Any, seen: Inputs, counts: Counts, *, inverse: bool) -> Mapped | None:
    """P-Values of one Presentation LUT, whose inputs span its whole length (PS3.3 C.11.4)."""
    table = read_table(item)
    if table is None:
        return None
    falls = table.entries[0] > table.entries[-1]
    inputs = np.rint((1.0 - seen if inverse and not falls else seen) * (table.descriptor.count - 1))
    shown = np.clip(look_up(table, 0, inputs) / (2.0**table.output_bits - 1.0), 0.0, 1.0)
    if not shows(shown, counts):
        return None
    return Mapped(shown, tabled=True, contradicted=table.contradicted)

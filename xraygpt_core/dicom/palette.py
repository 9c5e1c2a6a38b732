"""Colours of an indexed image: PALETTE COLOR (PS3.3 C.7.6.3.1.5), plain or segmented (C.7.9.2)."""

from typing import Any

import numpy as np
import numpy.typing as npt

from xraygpt_core.dicom.header import PARSE_ERRORS, integer
from xraygpt_core.dicom.tables import (
    Descriptor,
    Entries,
    LookupTable,
    first_input,
    look_up,
    read_descriptor,
    table_of,
    value_of,
)
from xraygpt_core.errors import Rejected
from xraygpt_core.states import ReasonCode

_COLOURS = ("Red", "Green", "Blue")
_DISCRETE, _LINEAR, _INDIRECT = 0, 1, 2


def colours_of(dataset: Any, indices: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint8], bool]:
    """Look the indices up.

    Args:
        dataset: the header with the three palettes.
        indices: (rows, columns).

    Returns:
        (rows, columns, 3) red, green and blue of 8 bits; and True if the palettes are narrower than the header states.

    Raises:
        Rejected: UNDECODABLE if a palette is missing or broken.
    """
    try:
        tables = [_palette(dataset, colour) for colour in _COLOURS]
    except PARSE_ERRORS:
        raise Rejected(ReasonCode.UNDECODABLE, "the palette cannot be read") from None
    stated, used = (max(one.descriptor.bits for one in tables), max(int(one.entries.max()) for one in tables))
    # 16-bit descriptors over 8-bit colours are common; taken at their word they give a black picture.
    fits_bytes = used <= 0xFF
    low = int(indices.min())
    occurring = np.arange(low, int(indices.max()) + 1, dtype=np.float64)
    counts = np.bincount((indices.astype(np.int64) - low).ravel(), minlength=len(occurring))
    signed = integer(dataset, "PixelRepresentation") == 1
    seen = np.empty((len(occurring), 3), dtype=np.uint8)
    for place, table in enumerate(tables):
        entries = look_up(table, first_input(table, occurring, counts, signed=signed), occurring).astype(np.uint16)
        seen[:, place] = entries if fits_bytes else entries >> 8
    contradicted = any(table.contradicted for table in tables) or (fits_bytes and stated > 8 and used > 0)
    return seen[indices.astype(np.int64) - low], contradicted


def _palette(dataset: Any, colour: str) -> LookupTable:
    """One colour's table.

    Raises:
        ValueError: it is missing or broken.
    """
    big = dataset.original_encoding[1] is False
    data = value_of(dataset, f"{colour}PaletteColorLookupTableData")
    descriptor = read_descriptor(value_of(dataset, f"{colour}PaletteColorLookupTableDescriptor"), data, big=big)
    if descriptor is None:
        raise ValueError("no descriptor")
    if data is None:
        return _segmented(value_of(dataset, f"Segmented{colour}PaletteColorLookupTableData"), descriptor, big=big)
    table = table_of(data, descriptor, big=big, smooth=False)
    if table is None:
        raise ValueError("no entries")
    return table


def _segmented(data: Any, descriptor: Descriptor, *, big: bool) -> LookupTable:
    packed = Descriptor(65536, 0, descriptor.bits)  # the count is of entries, and segments are fewer
    coded = None if data is None else table_of(data, packed, big=big, smooth=False)
    if coded is None:
        raise ValueError("no segments")
    numbers = [int(one) for one in coded.entries]
    found: list[int] = []
    _expand(numbers, 0, None, found, descriptor)
    if not found:
        raise ValueError("no entries")
    wide: Entries = np.array(found[: descriptor.count], dtype=np.uint16)
    return LookupTable(wide, descriptor, contradicted=False)


def _expand(numbers: list[int], at: int, most: int | None, found: list[int], descriptor: Descriptor) -> None:
    """Append the entries of the segments from ``at`` on, ``most`` of them or as many as there are.

    Raises:
        ValueError: an operation that does not exist, or an indirect segment within another.
    """
    size = 1 if descriptor.bits <= 8 else 2
    done = 0
    while at + 2 <= len(numbers) and (most is None or done < most) and len(found) < descriptor.count:
        operation, length = numbers[at], numbers[at + 1]
        if operation == _DISCRETE:
            found += numbers[at + 2 : at + 2 + length]
            at += 2 + length
        elif operation == _LINEAR and found and at + 2 < len(numbers):
            found += [int(one) for one in np.rint(np.linspace(found[-1], numbers[at + 2], length + 1)[1:])]
            at += 3
        elif operation == _INDIRECT and most is None:
            parts = numbers[at + 2 : at + 2 + 4 // size]
            offset = sum(part << (8 * size * place) for place, part in enumerate(parts))
            _expand(numbers, offset // size, length, found, descriptor)
            at += 2 + 4 // size
        elif not any(numbers[at:]):  # padding to an even length
            return
        else:
            raise ValueError("no such segment")
        done += 1

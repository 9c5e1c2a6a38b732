"""Colours of an indexed image: PS3.3 C.7.6.3.1.5 and C.7.6.3.1.6."""

from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.pixels import apply_color_lut

from xraygpt_core.dicom.arrays import Values
from xraygpt_core.dicom.header import PARSE_ERRORS, values
from xraygpt_core.errors import Rejected
from xraygpt_core.states import ReasonCode

_COLOURS = ("Red", "Green", "Blue")


def look_up(indices: Values, dataset: Any) -> tuple[Values, bool]:
    """Colours of palette indices.

    Args:
        indices: unsigned (rows, columns).
        dataset: the header.

    Returns:
        Red, green and blue (rows, columns, 3) of 8 bits; True if the descriptor gives another width than they have.

    Raises:
        Rejected: UNDECODABLE.
    """
    try:
        if f"Segmented{_COLOURS[0]}PaletteColorLookupTableData" in dataset:
            colours = apply_color_lut(indices, dataset)
            return (colours if colours.dtype == np.uint8 else (colours >> 8).astype(np.uint8)), False
        first = int(values(dataset, "RedPaletteColorLookupTableDescriptor")[1])
        tables = [_entries(dataset, colour) for colour in _COLOURS]
        bits = {int(values(dataset, f"{colour}PaletteColorLookupTableDescriptor")[2]) for colour in _COLOURS}
    except PARSE_ERRORS:
        raise Rejected(ReasonCode.UNDECODABLE, "the palette cannot be read") from None
    # Entries of 16 bits use them all (PS3.3 C.7.6.3.1.5); if none goes beyond 255, they are 8-bit entries.
    wide = max(int(table.max()) for table in tables) > 0xFF
    narrow = [(table >> 8 if wide else table).astype(np.uint8) for table in tables]
    places = [np.clip(indices.astype(np.int32) - first, 0, len(table) - 1) for table in narrow]
    colours = np.stack([table[place] for table, place in zip(narrow, places, strict=True)], axis=-1)
    return colours, bits != {16 if wide else 8}


def _entries(dataset: Any, colour: str) -> npt.NDArray[Any]:
    """Entries of one colour; their number and the length of the data give their width."""
    count = int(values(dataset, f"{colour}PaletteColorLookupTableDescriptor")[0]) & 0xFFFF or 65536
    data = dataset.get(f"{colour}PaletteColorLookupTableData")
    if not isinstance(data, bytes):
        return np.asarray(data, dtype=np.int64) & 0xFFFF
    order = "<" if dataset.original_encoding[1] else ">"
    wide = len(data) >= 2 * count
    found = np.frombuffer(data[: (2 if wide else 1) * count], dtype=f"{order}u2" if wide else "u1")
    if not len(found):
        raise ValueError("an empty palette")
    return found

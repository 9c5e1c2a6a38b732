"""Look-up tables of the header: LUT Descriptor and LUT Data (PS3.3 C.11.1.1.1, C.11.2.1.1), as they are in the field.

The descriptor says how wide an entry is, but writers pack, pad, swap and shorten the data; where its length or its
values leave only another reading, that one is taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xraygpt_core.dicom.header import PARSE_ERRORS

Inputs = npt.NDArray[np.float64]
Counts = npt.NDArray[Any]
Entries = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

_MOST_ENTRIES = 65536  # written as 0
_RAGGED = 8.0  # times as many ups and downs: a curve read in the wrong width or byte order has hundreds of times


@dataclass(frozen=True)
class Descriptor:
    """The three values of a LUT Descriptor (0028,3002) or of a palette's (0028,1101 to 1103)."""

    count: int  # 1 to 65536
    first: int  # the bits of the first input mapped, 0 to 65535: its sign is not in the file
    bits: int  # of an entry; 0 if the file says nothing possible

    @property
    def lengths(self) -> tuple[int, ...]:
        """Bytes of so many entries of 8 bits, also with one of padding, and of 16."""
        return self.count, self.count + self.count % 2, 2 * self.count


@dataclass(frozen=True)
class LookupTable:
    """A look-up table that maps something onto something."""

    entries: Entries  # (n,), n <= descriptor.count; the last one stands for those that are missing
    descriptor: Descriptor
    contradicted: bool  # the entries are not as wide, or not in the byte order, that the file says

    @property
    def output_bits(self) -> int:
        """How many bits its outputs span.

        Descriptors that promise 16 bits over 12-bit entries are common; taken at their word they give a black film.
        So where three quarters of the promised range are not used, the next usual depth above the entries counts; but
        data that lack entries prove nothing below 16.
        """
        bits, used = self.descriptor.bits, int(self.entries.max()).bit_length()
        lacking = len(self.entries) < self.descriptor.count and bits < 16
        if used > bits or (used < bits - 1 and not lacking):
            return max(8, used + used % 2)
        return bits


def read_table(item: Any) -> LookupTable | None:
    """The table of an item of a Modality, VOI or Presentation LUT Sequence; None if it is absent, broken or flat."""
    try:
        big = item.original_encoding[1] is False
        data = value_of(item, "LUTData")
        descriptor = read_descriptor(value_of(item, "LUTDescriptor"), data, big=big)
        table = None if descriptor is None else table_of(data, descriptor, big=big)
    except PARSE_ERRORS:
        return None
    return None if table is None or table.entries.min() == table.entries.max() else table


def value_of(dataset: Any, keyword: str) -> Any:
    """A value, or its bytes where their type is open (US or SS, without Pixel Representation)."""
    try:
        value = dataset.get(keyword)
    except PARSE_ERRORS:
        value = None
    if value is None and keyword in dataset:  # pydicom takes an open type for an absent value
        return getattr(dataset.get_item(keyword), "value", None)
    return value


def read_descriptor(value: Any, data: Any, *, big: bool) -> Descriptor | None:
    """Number of entries, first input and bits, in any VR: US, SS, or the bytes of OW and UN.

    Bytes in the other order than the file's are known by the length of the data, which fits only so.
    """
    if not isinstance(value, bytes):
        return _described([int(one) & 0xFFFF for one in listed(value)])
    orders = (">u2", "<u2") if big else ("<u2", ">u2")
    found, swapped = (_described([int(one) for one in np.frombuffer(value[:6], order)]) for order in orders)
    length = len(data) if isinstance(data, bytes) else -1
    if found and swapped and swapped.bits and length in swapped.lengths and length not in found.lengths:
        return swapped
    return found


def _described(numbers: list[int]) -> Descriptor | None:
    if len(numbers) < 3:
        return None
    return Descriptor(numbers[0] or _MOST_ENTRIES, numbers[1], numbers[2] if 1 <= numbers[2] <= 16 else 0)


def table_of(data: Any, descriptor: Descriptor, *, big: bool, smooth: bool = True) -> LookupTable | None:
    """The entries of LUT Data, or None if there are none.

    Args:
        data: as read: the bytes of OW, OB or UN, or the numbers of US and SS.
        descriptor: what the file says about them.
        big: the file is big endian: then 8-bit entries that share a word are swapped (PS3.5 section 7.3).
        smooth: the table is a curve, so that a jagged reading is the wrong one; a palette need not be.
    """
    raw, swap = _bytes_of(data, big=big)
    length, raw = len(raw), raw[: 2 * _MOST_ENTRIES]
    words, octets = np.frombuffer(raw[: len(raw) // 2 * 2], ">u2" if swap else "<u2"), _octets(raw, swap=swap)
    if not len(octets):
        return None
    words, reordered = _in_order(words, descriptor.bits) if smooth else (words, False)
    wide = _is_wide(words, octets, length, descriptor, smooth=smooth)
    entries = (words if wide else octets)[: descriptor.count]
    if not len(entries):
        return None
    padded = wide and int(entries.max()) <= 0xFF  # 8 bits, each with a word of its own: C.7.6.3.1.5, note 1
    contradicted = descriptor.bits > 0 and wide != (descriptor.bits > 8) and not padded
    return LookupTable(entries, descriptor, contradicted or (wide and reordered))


def _is_wide(words: Entries, octets: Entries, length: int, descriptor: Descriptor, *, smooth: bool) -> bool:
    """True for entries of 16 bits: what the descriptor says, unless only the other width fits."""
    count, as_octets = descriptor.count, length in descriptor.lengths[:2] and length > 1
    if not descriptor.bits:
        return not as_octets
    if descriptor.bits > 8:
        too_wide = as_octets and int(words.max()).bit_length() > descriptor.bits
        return not (as_octets and (not smooth or too_wide or not _is_ragged(octets, words)))
    if length <= count + 1:
        return False
    padded = length == 2 * count and int(words.max()) <= 0xFF
    return padded or (length == 2 * count and not smooth) or (smooth and _is_ragged(octets[:count], words))


def first_input(table: LookupTable, inputs: Inputs, counts: Counts, *, signed: bool) -> int:
    """The input of the first entry, with the sign under which the table covers more of what occurs.

    The VR (US or SS) should decide, by Pixel Representation; for a VOI LUT by the range of the modality transform's
    output (PS3.3 C.11.2.1.1). Writers take either for either, so ``signed`` only settles a draw.
    """
    first = table.descriptor.first
    if first < 0x8000:
        return first
    choices = (first - 0x10000, first) if signed else (first, first - 0x10000)

    def covered(start: int) -> int:
        return int(counts[(inputs >= start) & (inputs < start + table.descriptor.count)].sum())

    return max(choices, key=covered)


def look_up(table: LookupTable, first: int, inputs: Inputs) -> Inputs:
    """The entry of each input. What lies outside the table has its first or last entry (PS3.3 C.11.1.1.1)."""
    places = np.floor(inputs - first + 1e-6)  # a slope of 0.01 makes 56.99999… of 57
    return table.entries[np.clip(places, 0, len(table.entries) - 1).astype(np.int64)].astype(np.float64)


def missing(table: LookupTable, first: int, inputs: Inputs, counts: Counts) -> float:
    """Share of the pixels whose entry the descriptor promises and the data lack."""
    lacking = (inputs >= first + len(table.entries)) & (inputs < first + table.descriptor.count)
    return float(counts[lacking].sum() / max(1, counts.sum()))


def listed(value: Any) -> Sequence[Any]:
    """One value or many, as many."""
    if value is None:
        return []
    return value if hasattr(value, "__len__") and not isinstance(value, str) else [value]


def _bytes_of(data: Any, *, big: bool) -> tuple[bytes, bool]:
    """LUT Data as bytes, and whether its words are big endian. Numbers were put in order when they were read."""
    if isinstance(data, bytes):
        return data, big
    numbers = np.asarray(listed(data), dtype=np.int64) & 0xFFFF
    return numbers.astype("<u2").tobytes(), False


def _octets(raw: bytes, *, swap: bool) -> npt.NDArray[np.uint8]:
    """8-bit entries in order: the first of two is the less significant byte of its word."""
    if not swap or len(raw) % 2:
        return np.frombuffer(raw, dtype=np.uint8)
    return np.frombuffer(np.frombuffer(raw, dtype=">u2").astype("<u2").tobytes(), dtype=np.uint8)


def _in_order(words: npt.NDArray[np.uint16], bits: int) -> tuple[npt.NDArray[np.uint16], bool]:
    """The words as they are, or swapped (True) where only that makes a curve, or fits the bits."""
    if bits <= 8 or len(words) < 4:
        return words, False
    swapped = words.byteswap()
    fits, fits_swapped = (int(one.max()).bit_length() <= bits for one in (words, swapped))
    if (fits_swapped and not fits and not _is_ragged(swapped, words)) or (fits_swapped and _is_ragged(words, swapped)):
        return swapped, True
    return words, False


def _is_ragged(entries: Entries, other: Entries) -> bool:
    """True if these entries go up and down many times as much as the others."""
    return _variation(entries) > _RAGGED * _variation(other)


def _variation(entries: Entries) -> float:
    """Total variation, in units of the range: 1 for a curve that only rises."""
    wide = entries.astype(np.float64)
    span = float(np.ptp(wide)) if len(wide) else 0.0
    return float(np.abs(np.diff(wide)).sum()) / span if span else 0.0

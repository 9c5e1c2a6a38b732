"""Read one data element (DICOM PS3.5 section 7)."""

import struct
from dataclasses import dataclass

from pydicom.datadict import dictionary_VR

from xraygpt_core.dicom.header_budget import spend

PIXEL_DATA = 0x7FE00010
UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD

LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
SHORT_VRS = frozenset(
    {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL", b"SS"}
    | {b"ST", b"TM", b"UI", b"UL", b"US"}
)
VRS = LONG_VRS | SHORT_VRS

_DEEPEST = 64  # sequences within sequences


class TooDeepError(Exception):
    """Sequences within sequences within sequences: nothing that a machine for X-rays writes."""


@dataclass(frozen=True)
class Encoding:
    """How elements are written: PS3.5 section 7 and annex A."""

    implicit: bool
    little: bool

    @property
    def order(self) -> str:
        """Byte order as struct and numpy write it."""
        return "<" if self.little else ">"


IMPLICIT, EXPLICIT, BIG = Encoding(True, True), Encoding(False, True), Encoding(False, False)


@dataclass(frozen=True)
class Element:
    """One element; ``end`` may lie beyond the bytes there are."""

    tag: int
    vr: bytes  # b"": implicit, and not looked up
    start: int  # of the value
    end: int  # of the value, and of what closes it
    undefined: bool  # its length
    mended: bool = False  # the length that is written is not the one by which the next element fits

    @property
    def value_end(self) -> int:
        """Where the value ends: a delimiter of eight bytes closes one of undefined length."""
        return self.end - 8 if self.undefined else self.end


def tag_at(data: bytes, position: int, order: str) -> int:
    """The tag written here, -1 where the bytes end."""
    if position < 0 or position + 8 > len(data):
        return -1
    group, number = struct.unpack_from(f"{order}HH", data, position)
    return int(group) << 16 | int(number)


def read_element(data: bytes, position: int, encoding: Encoding) -> Element | None:
    """The element here, read by the standard; None where the bytes end or its sequence is never closed."""
    spend()
    tag, order = tag_at(data, position, encoding.order), encoding.order
    if tag < 0:
        return None
    vr = b"" if encoding.implicit or tag >> 16 == 0xFFFE else data[position + 4 : position + 6]
    if not vr:
        start, length = position + 8, struct.unpack_from(f"{order}I", data, position + 4)[0]
    elif vr not in LONG_VRS and tag != PIXEL_DATA:  # these are OB or OW under any label
        start, length = position + 8, struct.unpack_from(f"{order}H", data, position + 6)[0]
    elif position + 12 <= len(data):
        start, length = position + 12, struct.unpack_from(f"{order}I", data, position + 8)[0]
    else:
        return None
    if length != UNDEFINED:
        return Element(tag, vr, start, start + length, undefined=False)
    # Of undefined length and unknown VR: a sequence in implicit VR (PS3.5 6.2.2, note 2).
    inner = IMPLICIT if vr == b"UN" else encoding
    end = items_end(data, start, inner, depth=0)
    return Element(tag, vr, start, end, undefined=True) if end is not None else None


def value_at(data: bytes, position: int, encoding: Encoding, tag: int) -> tuple[bytes, int, int] | None:
    """VR, start and length of the value of the element here, by its VR as written; None where the bytes end."""
    vr = b"" if encoding.implicit or tag >> 16 == 0xFFFE else data[position + 4 : position + 6]
    at = position + (8 if vr in LONG_VRS else 4)
    wide = not vr or vr in LONG_VRS
    if at + 4 > len(data):
        return None
    return vr, at + 4, struct.unpack_from(f"{encoding.order}{'I' if wide else '2xH'}", data, at)[0]


def items_end(data: bytes, position: int, encoding: Encoding, *, depth: int) -> int | None:
    """Behind the delimiter of a sequence of undefined length; None if there is none."""
    while (tag := tag_at(data, position, encoding.order)) == ITEM:
        spend()
        length = struct.unpack_from(f"{encoding.order}I", data, position + 4)[0]
        if length != UNDEFINED:
            position += 8 + length
        elif (end := _item_end(data, position + 8, encoding, depth=depth + 1)) is not None:
            position = end
        else:
            return None
    return position + 8 if tag == SEQUENCE_END else None


def _item_end(data: bytes, position: int, encoding: Encoding, *, depth: int) -> int | None:
    """Behind the delimiter of an item of undefined length."""
    if depth > _DEEPEST:
        raise TooDeepError
    while (tag := tag_at(data, position, encoding.order)) != ITEM_END:
        if tag < 0 or tag >> 16 == 0xFFFE:
            return None
        found = _in_item(data, position, encoding, tag, depth)
        if found is None:
            return None
        position = found
    return position + 8


def _in_item(data: bytes, position: int, encoding: Encoding, tag: int, depth: int) -> int | None:
    """Where the next element of an item begins."""
    spend()
    found = value_at(data, position, encoding, tag)
    if found is None:
        return None
    vr, start, length = found
    if length != UNDEFINED:
        return start + length
    return items_end(data, start, IMPLICIT if vr == b"UN" else encoding, depth=depth)


def looks_like_element(data: bytes, position: int, encoding: Encoding, after: int) -> bool:
    """True if an element with a greater tag than ``after`` may begin here, or if the dataset ends here."""
    tag = tag_at(data, position, encoding.order)
    if tag < 0 or not any(data[position : position + 8]):
        return position <= len(data) and not any(data[position : position + 64])
    if tag <= after or tag >> 16 == 0xFFFE or (after == PIXEL_DATA and not _may_be_last(tag)):
        return False
    if encoding.implicit:
        length = struct.unpack_from(f"{encoding.order}I", data, position + 4)[0]
        return bool(length == UNDEFINED or position + 8 + length <= len(data))
    return bytes(data[position + 4 : position + 6]) in VRS


def _may_be_last(tag: int) -> bool:
    """False for elements that no private group may have (PS3.5 7.8.1): what follows Pixel Data is mostly private."""
    number = tag & 0xFFFF
    return not tag >> 16 & 1 or number == 0 or 0x10 <= number <= 0xFF or number >= 0x1000


def vr_of(tag: int) -> bytes:
    """The VR of the dictionary (PS3.6), UN for a private or unknown tag."""
    try:
        return str(dictionary_VR(tag))[:2].encode()
    except KeyError:
        return b"UN"

"""Walk the data elements of a dataset (DICOM PS3.5 section 7), also where one of them does not keep to the standard.

A VR of two blanks, a private sequence or an icon that counts too few bytes: a reader that believes every length it meets
loses all that follows, or takes the icon's pixels for the image's. Elements stand in the order of their tags, and the
last of them, Pixel Data, ends where the file ends; a reading that fits both is the right one.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.datadict import dictionary_VR

PIXEL_DATA = 0x7FE00010
UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD

LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
SHORT_VRS = frozenset(
    {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL", b"SS"}
    | {b"ST", b"TM", b"UI", b"UL", b"US"}
)
VRS = LONG_VRS | SHORT_VRS
_ANY_VR = re.compile(b"(?=" + b"|".join(sorted(VRS)) + b")")

_MOST_REPAIRS = 64  # elements of one file that do not keep to the standard
_MOST_TRIES = 2_000  # places where the dataset may go on behind one of them
_DEEPEST = 64  # sequences within sequences
_IMPLICIT_REACH = 2**18  # bytes searched for the next element where no VR marks it


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
    """The element here, read as the standard says; None where the bytes end or its sequence is never closed."""
    tag, order = tag_at(data, position, encoding.order), encoding.order
    if tag < 0:
        return None
    vr = b"" if encoding.implicit or tag >> 16 == 0xFFFE else data[position + 4 : position + 6]
    if not vr:
        start, length = position + 8, struct.unpack_from(f"{order}I", data, position + 4)[0]
    elif vr not in LONG_VRS:
        start, length = position + 8, struct.unpack_from(f"{order}H", data, position + 6)[0]
    elif position + 12 <= len(data):
        start, length = position + 12, struct.unpack_from(f"{order}I", data, position + 8)[0]
    else:
        return None
    if length != UNDEFINED:
        return Element(tag, vr, start, start + length, undefined=False)
    # Of undefined length and unknown VR: a sequence in implicit VR (PS3.5 6.2.2, note 2).
    inner = IMPLICIT if vr == b"UN" else encoding
    end = _items_end(data, start, inner, depth=0)
    return Element(tag, vr, start, end, undefined=True) if end is not None else None


def _items_end(data: bytes, position: int, encoding: Encoding, *, depth: int) -> int | None:
    """Behind the delimiter of a sequence of undefined length; None if there is none."""
    while (tag := tag_at(data, position, encoding.order)) == ITEM:
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
        return None
    while (tag := tag_at(data, position, encoding.order)) != ITEM_END:
        if tag < 0 or tag >> 16 == 0xFFFE:
            return None
        found = _in_item(data, position, encoding, depth)
        if found is None:
            return None
        position = found
    return position + 8


def _in_item(data: bytes, position: int, encoding: Encoding, depth: int) -> int | None:
    """Where the next element of an item begins."""
    vr = b"" if encoding.implicit else data[position + 4 : position + 6]
    at = position + (8 if vr in LONG_VRS else 4)
    wide = not vr or vr in LONG_VRS
    if at + 4 > len(data):
        return None
    length = struct.unpack_from(f"{encoding.order}{'I' if wide else '2xH'}", data, at)[0]
    if not wide or length != UNDEFINED:
        return int(at + 4 + length)
    return _items_end(data, at + 4, IMPLICIT if vr == b"UN" else encoding, depth=depth)


def looks_like_element(data: bytes, position: int, encoding: Encoding, after: int) -> bool:
    """True if an element with a greater tag than ``after`` may begin here, or if the dataset ends here."""
    tag = tag_at(data, position, encoding.order)
    if tag < 0 or not any(data[position : position + 8]):
        return position <= len(data) and not any(data[position : position + 64])
    if tag <= after or tag >> 16 == 0xFFFE:
        return False
    if encoding.implicit:
        length = struct.unpack_from(f"{encoding.order}I", data, position + 4)[0]
        return length == UNDEFINED or position + 8 + length <= len(data)
    return data[position + 4 : position + 6] in VRS


def _may_follow(data: bytes, position: int, encoding: Encoding, after: int) -> bool:
    """:func:`looks_like_element`, or an element of the dictionary whose VR is none."""
    if looks_like_element(data, position, encoding, after):
        return True
    tag = tag_at(data, position, encoding.order)
    return tag > after and tag >> 16 != 0xFFFE and vr_of(tag) != b"UN"


def vr_of(tag: int) -> bytes:
    """The VR of the dictionary (PS3.6), UN for a private or unknown tag."""
    try:
        return dictionary_VR(tag)[:2].encode()
    except KeyError:
        return b"UN"


def walk(data: bytes, offset: int, encoding: Encoding) -> list[Element]:
    """The elements of a dataset up to Pixel Data (7FE0,0010), which is the last one where it is there.

    Returns:
        Elements in the order of the file, each tag once. The value of the last one may reach beyond the bytes.
    """
    whole = _chain(data, offset, encoding, -1)
    if whole is not None:
        return whole
    return _patient_walk(data, offset, encoding)


def _chain(data: bytes, position: int, encoding: Encoding, after: int) -> list[Element] | None:
    """Elements that keep to the standard, up to Pixel Data at the end of the file; None if there is no such chain."""
    found: list[Element] = []
    while looks_like_element(data, position, encoding, after):
        element = read_element(data, position, encoding)
        if element is None or element.end > len(data):
            return None
        found.append(element)
        position, after = element.end, element.tag
        if element.tag == PIXEL_DATA:
            return found if looks_like_element(data, position, encoding, after) else None
    return None


def _patient_walk(data: bytes, offset: int, encoding: Encoding) -> list[Element]:
    """Element by element; where the next one does not fit, the reading of this one is doubted."""
    found: list[Element] = []
    position, after, repairs = offset, -1, 0
    while (element := _best_reading(data, position, encoding)) is not None:
        image_s = element.tag == PIXEL_DATA and looks_like_element(data, element.end, encoding, PIXEL_DATA)
        fits = element.tag != PIXEL_DATA and _may_follow(data, element.end, encoding, element.tag)
        if not fits and not image_s:
            repairs += 1
            rest = _resume(data, element, encoding, after) if repairs <= _MOST_REPAIRS else None
            if rest is not None:
                return found + ([element] if after < element.tag < rest[0].tag else []) + rest
        found.append(element)
        if element.tag == PIXEL_DATA or not (fits or looks_like_element(data, element.end, encoding, -1)):
            return found
        # Elements out of order are elements all the same: some writers do not sort.
        position, after = element.end, max(after, element.tag)
    return found


def _best_reading(data: bytes, position: int, encoding: Encoding) -> Element | None:
    """The element here, its VR taken from the dictionary where what is written is none (PS3.5 7.1.2)."""
    tag, vr = tag_at(data, position, encoding.order), data[position + 4 : position + 6]
    if tag < 0 or tag >> 16 == 0xFFFE:
        return None
    standard = read_element(data, position, encoding)
    if not encoding.implicit and vr not in VRS:
        for reading in _other_readings(data, position, encoding, tag):
            if reading.end <= len(data) and _may_follow(data, reading.end, encoding, tag):
                return reading
    if standard is not None or (not encoding.implicit and vr not in LONG_VRS):
        return standard
    start = position + (8 if encoding.implicit else 12)  # of undefined length, and never closed
    return Element(tag, vr if not encoding.implicit else b"", start, len(data) + 8, undefined=True)


def _other_readings(data: bytes, position: int, encoding: Encoding, tag: int) -> list[Element]:
    """The three ways to write a length, and a sequence of undefined length, the VR being none that we know."""
    order = encoding.order
    readings = [
        _sized(data, position + 8, position + 6, f"{order}H", tag),
        _sized(data, position + 8, position + 4, f"{order}I", tag),
    ]
    if position + 12 > len(data):
        return readings
    if data[position + 8 : position + 12] != b"\xff\xff\xff\xff":
        return [*readings, _sized(data, position + 12, position + 8, f"{order}I", tag)]
    end = _items_end(data, position + 12, encoding, depth=0)
    if end is None and tag == PIXEL_DATA:
        end = len(data) + 8
    return readings if end is None else [Element(tag, vr_of(tag), position + 12, end, undefined=True), *readings]


def _sized(data: bytes, start: int, at: int, form: str, tag: int) -> Element:
    length = struct.unpack_from(form, data, at)[0]
    return Element(tag, vr_of(tag), start, start + length, undefined=False)


def _resume(data: bytes, element: Element, encoding: Encoding, after: int) -> list[Element] | None:
    """The chain to the image's pixels from the first place behind the beginning of this element that leads there."""
    tries = 0
    after = after if element.tag == PIXEL_DATA else max(after, element.tag)
    for position in _places(data, element.start, encoding):
        if looks_like_element(data, position, encoding, after):
            tries += 1
            rest = _chain(data, position, encoding, after)
            if rest is not None or tries > _MOST_TRIES:
                return rest
    return None


def _places(data: bytes, start: int, encoding: Encoding) -> Iterator[int]:
    """Where an element may begin, up to the last place that looks like Pixel Data."""
    last = data.rfind(struct.pack(f"{encoding.order}HH", 0x7FE0, 0x0010), start)
    if last < 0:
        return
    if encoding.implicit:
        yield from range(start, min(last, start + _IMPLICIT_REACH))
    else:
        for match in _ANY_VR.finditer(data, start, last):
            yield match.start() - 4
    yield last


def guess_encoding(data: bytes, offset: int, *, certain: bool = False) -> Encoding | None:
    """What the first element looks like; some files name another encoding in their meta information.

    Args:
        certain: None, too, where no second element follows the first.
    """
    head = data[offset : offset + 8]
    if len(head) < 8:
        return None
    little = struct.unpack("<H", head[:2])[0] < struct.unpack(">H", head[:2])[0] or head[:2] == b"\0\0"
    written = EXPLICIT if little else BIG
    fits = [one for one in (written, IMPLICIT) if _begins(data, offset, one)]
    if certain and not fits:
        return None
    if head[4:6] in VRS or (fits and fits[0] == written):
        return written
    return IMPLICIT if little else None  # implicit VR big endian never was a DICOM transfer syntax


def _begins(data: bytes, offset: int, encoding: Encoding) -> bool:
    """True if two elements of this encoding follow each other."""
    first = _best_reading(data, offset, encoding)
    return first is not None and first.end < len(data) and looks_like_element(data, first.end, encoding, first.tag)

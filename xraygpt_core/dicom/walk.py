"""Walk the data elements of a dataset (DICOM PS3.5 section 7), also where one of them does not keep to the standard.

A VR of two blanks, a private sequence or an icon that counts too few bytes: a reader that believes every length it
meets loses all that follows, or takes the icon's pixels for the image's. Elements stand in the order of their tags, and
the last of them, Pixel Data, ends where the file ends; a reading that fits both is the right one.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import replace

from xraygpt_core.dicom.elements import (
    BIG,
    EXPLICIT,
    IMPLICIT,
    LONG_VRS,
    PIXEL_DATA,
    VRS,
    Element,
    Encoding,
    TooDeepError,
    items_end,
    looks_like_element,
    read_element,
    tag_at,
    vr_of,
)  # fmt: skip
from xraygpt_core.dicom.header_budget import spend

_MAYBE_VR = re.compile(rb"[A-U](?=[A-Z])")  # found ten times as fast as any of the VRs
_CHEAP = 16  # of these cost as much as an element
_PLACE_COST = 5  # elements that a place costs at which one may begin
_MOST_REPAIRS = 16  # elements of one file that do not keep to the standard
_SLIP = 4  # bytes that a length may lack
_MOST_STEPS = 200_000  # elements read to find the place where the dataset goes on behind one of them
_IMPLICIT_REACH = 2**18  # bytes searched for the next element where no VR marks it


def walk(data: bytes, offset: int, encoding: Encoding) -> list[Element]:
    """The elements of a dataset up to Pixel Data (7FE0,0010), which is the last one where it is there.

    Returns:
        Elements in the order of the file, each tag once. The value of the last one may reach beyond the bytes.
    """
    try:
        whole, _ = _chain(data, offset, encoding, -1)
        return whole if whole is not None else _patient_walk(data, offset, encoding)
    except TooDeepError:
        return []


def _chain(
    data: bytes, position: int, encoding: Encoding, after: int, most: int = _MOST_STEPS
) -> tuple[list[Element] | None, int]:
    """Elements that keep to the standard, up to Pixel Data at the end of the file; None if there is no such chain.

    Returns:
        The chain, and how many elements were read.
    """
    found: list[Element] = []
    while len(found) < most and looks_like_element(data, position, encoding, after):
        element = read_element(data, position, encoding)
        if element is None or element.end > len(data):
            break
        found.append(element)
        position, after = element.end, element.tag
        if element.tag == PIXEL_DATA:
            return (found if looks_like_element(data, position, encoding, after) else None), len(found)
    return None, len(found)


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
                chain, at = rest
                return found + ([_mended(element, at)] if after < element.tag < chain[0].tag else []) + chain
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
            unclosed = reading.undefined and tag == PIXEL_DATA
            if unclosed or (reading.end <= len(data) and _may_follow(data, reading.end, encoding, tag)):
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
    end = items_end(data, position + 12, encoding, depth=0)
    if end is None and tag == PIXEL_DATA:
        end = len(data) + 8
    return readings if end is None else [Element(tag, vr_of(tag), position + 12, end, undefined=True), *readings]


def _sized(data: bytes, start: int, at: int, form: str, tag: int) -> Element:
    length = struct.unpack_from(form, data, at)[0]
    return Element(tag, vr_of(tag), start, start + length, undefined=False)


def _mended(element: Element, following: int) -> Element:
    """The element up to the next one, where its length ends a little before or anywhere behind."""
    if element.undefined or following > element.end + _SLIP:
        return replace(element, mended=True)
    return replace(element, end=following, mended=True)


def _resume(data: bytes, element: Element, encoding: Encoding, after: int) -> tuple[list[Element], int] | None:
    """The chain to the image's pixels from the first place behind the beginning of this element that leads there."""
    steps = _MOST_STEPS
    after = after if element.tag == PIXEL_DATA else max(after, element.tag)
    for position in _places(data, element.start, encoding):
        spend(_PLACE_COST)
        if looks_like_element(data, position, encoding, after):
            rest, read = _chain(data, position, encoding, after, steps)
            steps -= read + 1
            if rest is not None:
                return rest, position
            if steps <= 0:
                return None
    return None


def _places(data: bytes, start: int, encoding: Encoding) -> Iterator[int]:
    """Where an element may begin, up to the last place that looks like Pixel Data."""
    last = data.rfind(struct.pack(f"{encoding.order}HH", 0x7FE0, 0x0010), start)
    if last < 0:
        return
    if encoding.implicit:
        yield from range(start, min(last, start + _IMPLICIT_REACH))
    else:
        for number, match in enumerate(_MAYBE_VR.finditer(data, start, last)):
            if number % _CHEAP == 0:
                spend()
            if data[match.start() : match.start() + 2] in VRS:
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
    if not fits and little and _begins_without_vr(data, offset):
        return written
    return IMPLICIT if little else None  # implicit VR big endian never was a DICOM transfer syntax


def _begins(data: bytes, offset: int, encoding: Encoding) -> bool:
    """True if two elements of this encoding follow each other."""
    try:
        first = _best_reading(data, offset, encoding)
    except TooDeepError:
        return False
    if first is None or not any(data[first.end : first.end + 8]):
        return False
    if encoding.implicit and vr_of(tag_at(data, first.end, encoding.order)) == b"UN":
        return False
    return looks_like_element(data, first.end, encoding, first.tag)


def _begins_without_vr(data: bytes, offset: int) -> bool:
    """True if explicit elements follow each other although what is written for their VR is none."""
    tag = tag_at(data, offset, EXPLICIT.order)
    return tag >= 0 and any(
        one.end < len(data) and _may_follow(data, one.end, EXPLICIT, tag)
        for one in _other_readings(data, offset, EXPLICIT, tag)
    )


def _may_follow(data: bytes, position: int, encoding: Encoding, after: int) -> bool:
    """:func:`looks_like_element`, or an element of the dictionary, or a private one, whose VR is none."""
    if looks_like_element(data, position, encoding, after):
        return True
    tag = tag_at(data, position, encoding.order)
    if tag <= after or tag >> 16 == 0xFFFE:
        return False
    if tag == PIXEL_DATA:
        return True
    if vr_of(tag) == b"UN" and not tag >> 16 & 1:
        return False
    readings = _other_readings(data, position, encoding, tag)
    return any(one.end < len(data) and _is_next(data, one.end, encoding, tag) for one in readings)


def _is_next(data: bytes, position: int, encoding: Encoding, after: int) -> bool:
    """:func:`looks_like_element`, or an element of the dictionary or of the same private group, whose VR is none."""
    if looks_like_element(data, position, encoding, after):
        return True
    tag = tag_at(data, position, encoding.order)
    begins = tag >> 16 & 1 and 0x10 <= tag & 0xFFFF <= 0xFF  # a private group: its creator (PS3.5 7.8.1)
    return tag > after and (bool(begins) or vr_of(tag) != b"UN" or (tag >> 16 == after >> 16 and tag >> 16 & 1 == 1))

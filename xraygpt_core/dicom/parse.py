"""Find the dataset in the bytes of a file: with or without preamble and File Meta (DICOM PS3.10 section 7), inflated
under a limit, with a cut file distinguished from a broken one."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydicom.charset import convert_encodings
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from xraygpt_core.dicom.elements import (
    BIG,
    EXPLICIT,
    IMPLICIT,
    ITEM_END,
    PIXEL_DATA,
    SEQUENCE_END,
    UNDEFINED,
    VRS,
    Element,
    Encoding,
    looks_like_element,
    read_element,
    tag_at,
    value_at,
)  # fmt: skip
from xraygpt_core.dicom.header import PARSE_ERRORS, text
from xraygpt_core.dicom.header_budget import parse_clock, spend
from xraygpt_core.dicom.types import Limits
from xraygpt_core.dicom.walk import guess_encoding, walk
from xraygpt_core.errors import Rejected
from xraygpt_core.states import ReasonCode

IMPLICIT_LITTLE, EXPLICIT_LITTLE = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
DEFLATED, EXPLICIT_BIG = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"
_STANDARD = "1.2.840.10008."
_ENCODINGS = {IMPLICIT_LITTLE: IMPLICIT, EXPLICIT_BIG: BIG}  # all others: explicit little endian

_GROUP_2 = b"\2\0\0\0UL\4\0"  # (0002,0000), with which every file meta information begins
# Films deflate to a half or a quarter; one with broad black borders to a fiftieth. Small files may do as they like.
_MOST_RATIO, _ANY_RATIO = 200, 16 * 2**20
_HEADER_ROOM = 16 * 2**20  # what a dataset may hold beside its pixels


@dataclass(frozen=True)
class PixelElement:
    """Pixel Data (7FE0,0010) as it stands in the file."""

    value: bytes
    vr: bytes
    cut: bool  # its length promises more bytes than the file has
    behind: bytes = b""  # what follows, if it is no element: the length may promise too few


@dataclass(frozen=True)
class Parsed:
    """A dataset and what its bytes say about themselves."""

    dataset: Any  # pydicom.dataset.Dataset, without Pixel Data
    pixels: PixelElement | None
    transfer_syntax: str | None  # as the file meta information names it
    encoding: Encoding  # as the elements are written
    contradicted: bool  # the elements are written otherwise than the transfer syntax says
    cut: bool  # it has no pixels, because the file ends before them


def is_dicom(data: bytes) -> bool:
    """True for a DICOM file (PS3.10), also without its preamble, and for a bare dataset whose first group names a DICOM
    SOP class.

    A bare dataset has no magic word, so it must read as elements up to SOPClassUID (0008,0016): random bytes do not.
    """
    return data[128:132] == b"DICM" or data.startswith(_GROUP_2) or _bare_encoding(data) is not None


def parse(data: bytes, limits: Limits) -> Parsed:
    """Read the dataset of a file :func:`is_dicom` recognised; pixels stay encoded.

    Raises:
        Rejected: TRUNCATED, UNDECODABLE, or TOO_LARGE when a deflated dataset grows beyond the limit, or there are more
            elements than the budget allows (:mod:`xraygpt_core.dicom.header_budget`).
    """
    with parse_clock():
        return _parse(data, limits)


def _parse(data: bytes, limits: Limits) -> Parsed:
    offset, label = _file_meta(data)
    data, offset, inflated = _inflated(data, offset, label, limits)
    encoding = guess_encoding(data, offset)
    if encoding is None:
        reason = ReasonCode.TRUNCATED if len(data) - offset < 8 else ReasonCode.UNDECODABLE
        raise Rejected(reason, "no dataset follows the file meta information")
    elements = walk(data, offset, encoding)
    pixels = None
    if elements and elements[-1].tag == PIXEL_DATA:
        last = elements.pop()
        more = b"" if looks_like_element(data, last.end, encoding, PIXEL_DATA) else data[last.end :]
        pixels = PixelElement(
            data[last.start : last.value_end], last.vr, cut=not last.undefined and last.end > len(data), behind=more
        )
    if pixels is None and _are_pixels_behind(data, elements[-1] if elements else None, offset, encoding):
        raise Rejected(ReasonCode.UNDECODABLE, "the header cannot be read up to its pixels")
    return Parsed(
        _dataset(data, elements, encoding), pixels, label, encoding,
        contradicted=_is_contradicted(label, encoding, inflated) or any(map(_describes_pixels, elements)),
        cut=pixels is None and _is_cut(data, offset, encoding),
    )  # fmt: skip


def _describes_pixels(element: Element) -> bool:
    """True for an element about the pixels (group 0028) whose length is wrong: its value may be, too."""
    return element.mended and element.tag >> 16 == 0x0028


def _are_pixels_behind(data: bytes, last: Element | None, offset: int, encoding: Encoding) -> bool:
    """True if Pixel Data stand where no element led.

    Within an element that reaches beyond the file they may be an icon's, in a file that is cut: the image's end it.
    """
    mark = struct.pack(f"{encoding.order}HH", PIXEL_DATA >> 16, PIXEL_DATA & 0xFFFF)
    if last is None or last.end <= len(data):
        return 0 <= data.find(mark, offset if last is None else last.end) <= len(data) - 12
    pixels = read_element(data, data.rfind(mark, last.start), encoding)
    return pixels is not None and looks_like_element(data, pixels.end, encoding, PIXEL_DATA)


def _is_contradicted(label: str | None, encoding: Encoding, inflated: bool) -> bool:
    if label is None or not label.startswith(_STANDARD):
        return False  # nothing is stated, or nothing that we know
    return encoding != _ENCODINGS.get(label, EXPLICIT) or inflated != (label == DEFLATED)


def _dataset(data: bytes, elements: list[Element], encoding: Encoding) -> Dataset:
    """A dataset of raw elements, which pydicom converts when they are asked for."""
    raw = {BaseTag(element.tag): _raw(data, element, encoding) for element in elements}
    dataset = Dataset(raw)
    charset: Any = "iso8859"
    try:
        if 0x00080005 in raw:
            charset = convert_encodings(dataset[0x00080005].value)
    except PARSE_ERRORS:
        charset = "iso8859"
    dataset.set_original_encoding(encoding.implicit, encoding.little, charset)
    return dataset


def _raw(data: bytes, element: Element, encoding: Encoding) -> RawDataElement:
    value = data[element.start : element.value_end]
    vr = element.vr.decode("ascii", "replace") if element.vr in VRS else None if encoding.implicit else "UN"
    implicit = encoding.implicit
    if element.undefined:
        vr, implicit = "SQ", implicit or element.vr == b"UN"
    return RawDataElement(BaseTag(element.tag), vr, len(value), value, element.start, implicit, encoding.little)


def _file_meta(data: bytes) -> tuple[int, str | None]:
    """Where the dataset begins, and the transfer syntax of (0002,0010); group 2 is always explicit little endian."""
    offset, syntax = (132 if data[128:132] == b"DICM" else 0), None
    for tag, start, length in _entered(data, offset, EXPLICIT):
        if tag >> 16 != 0x0002 or length == UNDEFINED:
            break
        offset = start + length
        if tag == 0x00020010:
            syntax = text(data[start:offset].decode("ascii", "replace"))
    return offset, syntax


def _inflated(data: bytes, offset: int, label: str | None, limits: Limits) -> tuple[bytes, int, bool]:
    """Bytes, where the dataset begins in them, and True if they were deflated, which the label may deny."""
    readable = _begins_with_elements(data, offset)
    if label == DEFLATED:
        return (data, offset, False) if readable else (_inflate(data[offset:], limits), 0, True)
    if not readable and offset:
        try:
            inflated = _inflate(data[offset:], limits)
        except Rejected:
            return data, offset, False
        if _begins_with_elements(inflated, 0):
            return inflated, 0, True
    return data, offset, False


def _begins_with_elements(data: bytes, offset: int) -> bool:
    """True if two elements follow each other here."""
    return guess_encoding(data, offset, certain=True) is not None


def _inflate(data: bytes, limits: Limits) -> bytes:
    """RFC 1951, stopped at what an image within the limits can need (three 16-bit samples a pixel), and at what no
    film is squeezed to: deflate can make one byte of a thousand.

    PS3.5 A.5 allows no header; those of zlib and gzip (RFC 1950, RFC 1952) are written all the same.
    """
    room = min(6 * limits.max_pixels + _HEADER_ROOM, max(_ANY_RATIO, _MOST_RATIO * len(data)))
    headed = data[:2] == b"\x1f\x8b" or (data[:1] == b"\x78" and int.from_bytes(data[:2]) % 31 == 0)
    for bits in (-zlib.MAX_WBITS, zlib.MAX_WBITS | 32) if headed else (-zlib.MAX_WBITS,):
        stream = zlib.decompressobj(bits)
        try:
            inflated = stream.decompress(data, room)
        except zlib.error:
            continue
        if stream.eof:
            return inflated
        if len(inflated) >= room:
            raise Rejected(ReasonCode.TOO_LARGE, f"the deflated dataset grows beyond {room} bytes")
        raise Rejected(ReasonCode.TRUNCATED, "the deflated dataset ends early")
    raise Rejected(ReasonCode.UNDECODABLE, "the deflated dataset is corrupt")


def _bare_encoding(data: bytes) -> Encoding | None:
    """The encoding of a dataset without preamble, if this is one."""
    begin, _ = _file_meta(data)
    encoding = guess_encoding(data, begin)
    if encoding is None:
        return None
    for tag, start, length in _entered(data, begin, encoding):
        if tag == 0x00080016:
            return encoding if data[start : start + length].startswith(b"1.2.840.10008.") else None
        if tag >> 16 != 0x0008 or tag > 0x00080016:
            return None
    return None


def _entered(data: bytes, position: int, encoding: Encoding) -> Iterator[tuple[int, int, int]]:
    """Tag, start and length of every value from here on; contents of undefined length are entered, others stepped over.

    Stops where the bytes end. The last element's value may reach beyond them.
    """
    while (tag := tag_at(data, position, encoding.order)) >= 0:
        spend()
        found = value_at(data, position, encoding, tag)
        if found is None:
            return
        _, start, length = found
        yield tag, start, length
        position = start + (0 if length == UNDEFINED else length)


def _is_cut(data: bytes, offset: int, encoding: Encoding) -> bool:
    """True if the last element promises more than there is, or a sequence is never closed."""
    depth, end = 0, offset
    for tag, start, length in _entered(data, offset, encoding):
        undefined = length == UNDEFINED
        end = start if undefined else start + length
        if undefined:
            depth += 1
        elif tag in (ITEM_END, SEQUENCE_END):
            depth -= 1
    return end > len(data) or depth > 0 or any(data[end:])

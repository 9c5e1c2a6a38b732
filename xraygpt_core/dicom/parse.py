"""Find the dataset in the bytes of a file: with or without preamble and File Meta (DICOM PS3.10 section 7), inflated
under a limit, and with a way to tell a cut file from a broken one."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from pydicom.filereader import read_dataset

from xraygpt_core.dicom.header import PARSE_ERRORS, text
from xraygpt_core.dicom.types import Limits
from xraygpt_core.errors import Rejected
from xraygpt_core.states import ReasonCode

IMPLICIT_LITTLE, EXPLICIT_LITTLE = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
DEFLATED, EXPLICIT_BIG = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"

PIXEL_DATA = 0x7FE00010

_LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_SHORT_VRS = frozenset(
    {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL", b"SS"}
    | {b"ST", b"TM", b"UI", b"UL", b"US"}
)
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)
_HEADER_ROOM = 16 * 2**20  # what a dataset may hold beside its pixels


@dataclass(frozen=True)
class Encoding:
    """How elements are written: PS3.5 section 7 and annex A."""

    implicit: bool
    little: bool


@dataclass(frozen=True)
class Parsed:
    """A dataset and what its bytes say about themselves."""

    dataset: Any  # pydicom.dataset.Dataset
    transfer_syntax: str
    cut: bool  # it has no pixels, because the file ends before them


@dataclass(frozen=True)
class _Element:
    tag: tuple[int, int]
    vr: bytes
    start: int  # of the value
    length: int


def is_dicom(data: bytes) -> bool:
    """True for a DICOM file (PS3.10), and for a bare dataset whose first group names a DICOM SOP class.

    A bare dataset has no magic word, so it must read as elements up to SOPClassUID (0008,0016): random bytes do not.
    """
    return data[128:132] == b"DICM" or _bare_encoding(data) is not None


def parse(data: bytes, limits: Limits) -> Parsed:
    """Read the dataset of a file :func:`is_dicom` recognised; pixels stay encoded.

    Raises:
        Rejected: TRUNCATED, UNDECODABLE, or TOO_LARGE when a deflated dataset grows beyond the limit.
    """
    offset, syntax = _file_meta(data)
    if syntax == DEFLATED:
        data, offset = _inflate(data[offset:], limits), 0
    encoding = _guess_encoding(data, offset)
    if encoding is None:
        reason = ReasonCode.TRUNCATED if len(data) - offset < 8 else ReasonCode.UNDECODABLE
        raise Rejected(reason, "no dataset follows the file meta information")
    stream = BytesIO(data)
    stream.seek(offset)
    try:
        dataset = read_dataset(stream, encoding.implicit, encoding.little, stop_when=_AfterPixels())
    except PARSE_ERRORS as error:
        cut = _is_cut(data, offset, encoding)
        reason = ReasonCode.TRUNCATED if cut else ReasonCode.UNDECODABLE
        raise Rejected(reason, f"the DICOM header cannot be read ({type(error).__name__})") from None
    cut = PIXEL_DATA not in dataset and _is_cut(data, offset, encoding)
    return Parsed(dataset, syntax or _syntax_of(encoding), cut)


class _AfterPixels:
    """Stops pydicom behind Pixel Data: what follows may be megabytes of padding, which it would read as elements."""

    def __init__(self) -> None:
        self._seen = False

    def __call__(self, tag: int, *_: object) -> bool:
        stop, self._seen = self._seen, self._seen or tag == PIXEL_DATA
        return stop


def _syntax_of(encoding: Encoding) -> str:
    if encoding.implicit:
        return IMPLICIT_LITTLE
    return EXPLICIT_LITTLE if encoding.little else EXPLICIT_BIG


def _file_meta(data: bytes) -> tuple[int, str | None]:
    """Where the dataset begins, and the transfer syntax of (0002,0010); group 2 is always explicit little endian."""
    offset, syntax = (132 if data[128:132] == b"DICM" else 0), None
    for element in _elements(data, offset, Encoding(implicit=False, little=True)):
        if element.tag[0] != 0x0002 or element.length == _UNDEFINED:
            break
        offset = element.start + element.length
        if element.tag == (0x0002, 0x0010):
            syntax = text(data[element.start : offset].decode("ascii", "replace"))
    return offset, syntax


def _inflate(data: bytes, limits: Limits) -> bytes:
    """RFC 1951, stopped at what an image within the limits can need (three 16-bit samples a pixel)."""
    room = 6 * limits.max_pixels + _HEADER_ROOM
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = stream.decompress(data, room)
    except zlib.error:
        raise Rejected(ReasonCode.UNDECODABLE, "the deflated dataset is corrupt") from None
    if stream.eof:
        return inflated
    if len(inflated) >= room:
        raise Rejected(ReasonCode.TOO_LARGE, f"the deflated dataset grows beyond {room} bytes")
    raise Rejected(ReasonCode.TRUNCATED, "the deflated dataset ends early")


def _guess_encoding(data: bytes, offset: int) -> Encoding | None:
    """What the first element looks like; some files name another encoding in their meta information."""
    head = data[offset : offset + 8]
    if len(head) < 8:
        return None
    explicit = head[4:6] in _LONG_VRS or head[4:6] in _SHORT_VRS
    little = struct.unpack("<H", head[:2])[0] < struct.unpack(">H", head[:2])[0] or head[:2] == b"\0\0"
    if not explicit and not little:
        return None  # implicit VR big endian never was a DICOM transfer syntax
    return Encoding(implicit=not explicit, little=little)


def _bare_encoding(data: bytes) -> Encoding | None:
    """The encoding of a dataset without preamble, if this is one."""
    start, _ = _file_meta(data)
    encoding = _guess_encoding(data, start)
    if encoding is None:
        return None
    for element in _elements(data, start, encoding):
        if element.tag == (0x0008, 0x0016):
            value = data[element.start : element.start + element.length]
            return encoding if value.startswith(b"1.2.840.10008.") else None
        if element.tag[0] != 0x0008 or element.tag[1] > 0x0016:
            return None
    return None


def _elements(data: bytes, position: int, encoding: Encoding) -> Iterator[_Element]:
    """Every element from here on, in file order; contents of undefined length are entered, others are stepped over.

    Stops where the bytes end. The last element's value may reach beyond them.
    """
    order = "<" if encoding.little else ">"
    while position + 8 <= len(data):
        group, number = struct.unpack_from(f"{order}HH", data, position)
        vr = b"" if encoding.implicit or group == 0xFFFE else data[position + 4 : position + 6]
        if not vr:
            start, length = position + 8, struct.unpack_from(f"{order}I", data, position + 4)[0]
        elif vr not in _LONG_VRS:
            start, length = position + 8, struct.unpack_from(f"{order}H", data, position + 6)[0]
        elif position + 12 <= len(data):
            start, length = position + 12, struct.unpack_from(f"{order}I", data, position + 8)[0]
        else:
            return
        yield _Element((group, number), vr, start, length)
        position = start if length == _UNDEFINED else start + length


def _is_cut(data: bytes, offset: int, encoding: Encoding) -> bool:
    """True if the last element promises more than there is, or a sequence is never closed."""
    depth, end = 0, offset
    for element in _elements(data, offset, encoding):
        undefined = element.length == _UNDEFINED
        end = element.start if undefined else element.start + element.length
        if undefined:
            depth += 1
        elif element.tag in (_ITEM_END, _SEQUENCE_END):
            depth -= 1
    return end > len(data) or depth > 0 or any(data[end:])

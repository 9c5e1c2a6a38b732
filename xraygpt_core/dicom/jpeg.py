"""The marker segments of a JPEG or JPEG-LS codestream (ISO/IEC 10918-1 annex B, ISO/IEC 14495-1 annex C)."""

import re
import struct
from dataclasses import dataclass

_SOI, _EOI, _SOS, _DRI, _APP0, _APP14 = 0xD8, 0xD9, 0xDA, 0xDD, 0xE0, 0xEE
_SOF = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}  # DHT, JPG and DAC are no frame headers
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a segment
_RESTART = re.compile(rb"\xff([\xd0-\xd7])")
_RGB_NAMES = (b"RGB", b"rgb")  # component identifiers


@dataclass(frozen=True)
class JpegHeader:
    """Frame header, the application segments' content, and where the entropy-coded data are."""

    process: int  # second byte of the SOF marker
    rows: int
    columns: int
    components: int
    precision: int
    photometric: str | None  # of three components: "RGB", "YBR_FULL", None if not stated
    has_adobe: bool
    end: int  # of the last scan, where EOI stands; -1 if it is missing
    complete: bool  # EOI is there, and every restart marker
    more: bool  # another codestream follows


def read_jpeg_header(data: bytes) -> JpegHeader | None:
    """The header of a codestream that begins with SOI; None if no frame header and scan follow.

    Raises:
        struct.error, IndexError: the header is cut.
    """
    position, interval, frame, jfif, adobe = 2, 0, -1, False, -1
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            return None
        marker = data[position + 1]
        if marker == 0xFF or marker in _BARE:
            position += 1 if marker == 0xFF else 2
            continue
        length = struct.unpack_from(">H", data, position + 2)[0]
        body = position + 4
        if marker == _EOI or length < 2:
            return None
        if marker in _SOF:
            frame = position
        elif marker == _DRI:
            interval = struct.unpack_from(">H", data, body)[0]
        elif marker == _APP0:
            jfif |= data[body : body + 4] == b"JFIF"
        elif marker == _APP14 and data[body : body + 5] == b"Adobe" and length >= 14:
            adobe = data[body + 11]
        position += 2 + length
        if marker == _SOS:
            return _header(data, frame, position, interval, jfif, adobe) if frame > 0 else None
    return None


def _header(data: bytes, frame: int, scan: int, interval: int, jfif: bool, adobe: int) -> JpegHeader:
    process = data[frame + 1]
    precision, rows, columns, components = struct.unpack_from(">BHHB", data, frame + 4)
    table = data[frame + 10 : frame + 10 + 3 * components]
    end = data.find(b"\xff\xd9", scan)  # EOI: entropy-coded data hold no marker of their own, segments between may
    restarts = process in (0xC0, 0xC1, 0xC3) and interval > 0 and data.find(b"\xff\xda", scan, max(end, 0)) < 0
    complete = end >= 0
    if complete and restarts:
        blocks = _units(process, rows, columns, table)
        found = _RESTART.findall(data, scan, end)
        expected = -(-blocks // interval) - 1
        complete = [mark[0] & 7 for mark in found] == [number % 8 for number in range(expected)]
    return JpegHeader(
        process, rows, columns, components, precision,
        photometric=_photometric(table[::3], jfif, adobe), has_adobe=adobe >= 0,
        end=end, complete=complete, more=end >= 0 and b"\xff\xd8\xff" in data[end : end + 8],
    )  # fmt: skip


def _units(process: int, rows: int, columns: int, table: bytes) -> int:
    """Minimum coded units of an interleaved scan (ISO/IEC 10918-1 A.2.3): blocks of 8 x 8, of lossless JPEG samples."""
    side = 1 if process == 0xC3 else 8
    several = len(table) > 3
    across = side * (max(size >> 4 for size in table[1::3]) if several else 1)
    down = side * (max(size & 15 for size in table[1::3]) if several else 1)
    return -(-columns // across) * -(-rows // down)


def _photometric(names: bytes, jfif: bool, adobe: int) -> str | None:
    """Adobe's segment, JFIF, or the names of the components state it; in this order, as libjpeg reads them."""
    if len(names) != 3:
        return None
    if jfif:
        return "YBR_FULL"
    if adobe >= 0:
        return "RGB" if adobe == 0 else "YBR_FULL"
    return "RGB" if names in _RGB_NAMES else None

"""The header of a compressed picture: its kind, size, samples, precision and colours, and whether it is whole.

JPEG (ISO/IEC 10918-1 annex B), JPEG-LS (ISO/IEC 14495-1 annex C), JPEG 2000 (ISO/IEC 15444-1 annex A), High-Throughput
JPEG 2000 (ISO/IEC 15444-15) and RLE (PS3.5 annex G). Only headers are read here; nothing is decoded.
"""

import struct
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from xraygpt_core.dicom.jpeg import JpegHeader, read_jpeg_header


class CodestreamKind(StrEnum):
    """The families of codestreams; each has a decoder of its own."""

    DCT = "DCT"  # JPEG with Huffman codes, 8 bits, sequential or progressive
    DCT_12 = "12-bit DCT"
    LOSSLESS = "lossless JPEG"
    JPEG_LS = "JPEG-LS"
    JPEG_2000 = "JPEG 2000"
    HTJ2K = "HTJ2K"
    RLE = "RLE"


_JPEG = "1.2.840.10008.1.2.4."
# Transfer Syntax UIDs (PS3.6 table A-1) that name a codestream of this kind, retired ones included.
LABELS: dict[CodestreamKind, frozenset[str]] = {
    CodestreamKind.DCT: frozenset(f"{_JPEG}{number}" for number in (50, 51, 53, 55)),
    CodestreamKind.DCT_12: frozenset(f"{_JPEG}{number}" for number in (51, 53, 55)),
    CodestreamKind.LOSSLESS: frozenset(f"{_JPEG}{number}" for number in (57, 70)),
    CodestreamKind.JPEG_LS: frozenset(f"{_JPEG}{number}" for number in (80, 81)),
    CodestreamKind.JPEG_2000: frozenset(f"{_JPEG}{number}" for number in (90, 91, 92, 93)),
    CodestreamKind.HTJ2K: frozenset(f"{_JPEG}{number}" for number in (201, 202, 203)),
    CodestreamKind.RLE: frozenset({"1.2.840.10008.1.2.5"}),
}

_SOC, _CAP, _COD, _SIZ, _SOT, _SOD, _EOC = 0xFF4F, 0xFF50, 0xFF52, 0xFF51, 0xFF90, 0xFF93, 0xFFD9
_JP2_BOX = b"\0\0\0\x0cjP  \r\n\x87\n"
_SOFS = {
    0xC0: CodestreamKind.DCT,
    0xC1: CodestreamKind.DCT,
    0xC2: CodestreamKind.DCT,
    0xC3: CodestreamKind.LOSSLESS,
    0xF7: CodestreamKind.JPEG_LS,
}


@dataclass(frozen=True)
class Codestream:
    """The header of a codestream. Zero: not stated."""

    kind: CodestreamKind
    rows: int
    columns: int
    components: int  # of RLE: byte planes
    precision: int  # bits of a component
    photometric: str | None  # of three components, if it is stated
    complete: bool  # neither cut off, nor with parts left out
    more: bool = False  # another codestream follows


def identify(data: bytes) -> Codestream | None:
    """The header of the codestream these bytes begin with; None if they begin with none."""
    try:
        if data.startswith(b"\xff\xd8"):
            header = read_jpeg_header(data)
            return _of_jpeg(header) if header is not None else None
        if data.startswith(_JP2_BOX):
            at = data.find(b"\xff\x4f\xff\x51")
            return _jpeg_2000(data[at:]) if at > 0 else None
        if data.startswith(b"\xff\x4f\xff\x51"):
            return _jpeg_2000(data)
        return _rle(data)
    except (struct.error, IndexError, ZeroDivisionError):
        return None


def _of_jpeg(header: JpegHeader) -> Codestream | None:
    kind = _SOFS.get(header.process)
    if kind is None or not header.rows or not header.columns:
        return None
    precision = header.precision
    if kind is CodestreamKind.DCT and precision != 8:
        kind, precision = CodestreamKind.DCT_12, min(precision, 12)  # there is no other; GDCM writes 16
    return Codestream(
        kind, header.rows, header.columns, header.components, precision,
        photometric=header.photometric, complete=header.complete, more=header.more,
    )  # fmt: skip


def _jpeg_2000(data: bytes) -> Codestream:
    """SIZ, and the tile-parts up to EOC (ISO/IEC 15444-1 A.4, A.5, A.6.1)."""
    fields = struct.unpack_from(">HH8IH", data, 4)
    right, bottom, left, top = fields[2:6]
    tile_width, tile_height, tile_left, tile_top, components = fields[6:11]
    precision = (data[42] & 0x7F) + 1
    position, high_throughput, transformed = 2, False, False
    while (marker := struct.unpack_from(">H", data, position)[0]) != _SOT:
        length = struct.unpack_from(">H", data, position + 2)[0]
        high_throughput |= marker == _CAP
        if marker == _COD:
            transformed = data[position + 8] == 1  # multiple component transformation (A.6.1, table A.17)
        position += 2 + length
    tiles = -(-(right - tile_left) // tile_width) * -(-(bottom - tile_top) // tile_height)
    complete, end = _tile_parts(data, position, tiles)
    return Codestream(
        CodestreamKind.HTJ2K if high_throughput else CodestreamKind.JPEG_2000,
        bottom - top, right - left, components, precision,
        photometric="RGB" if transformed else None, complete=complete,
        more=b"\xff\x4f\xff\x51" in data[end : end + 8],
    )  # fmt: skip


def _tile_parts(data: bytes, position: int, tiles: int) -> tuple[bool, int]:
    """True if every tile begins, and no tile-part (Psot, A.4.2) is longer than what there is of it; where they end."""
    seen: set[int] = set()
    while data[position : position + 2] == b"\xff\x90" and position + 12 <= len(data):
        tile, length = struct.unpack_from(">HI", data, position + 4)
        seen.add(tile)
        if length == 0:  # up to the end of the codestream
            return len(seen) >= tiles and data.rstrip(b"\0").endswith(b"\xff\xd9"), len(data)
        if length < 14:
            return False, position
        position += length
    return position <= len(data) and len(seen) >= tiles, position


def _rle(data: bytes) -> Codestream | None:
    """The RLE header: the number of segments, and where each begins (PS3.5 G.5)."""
    segments, *offsets = struct.unpack_from("<16I", data)
    if not 1 <= segments <= 15 or offsets[0] != 64 or any(offsets[segments:]):
        return None
    used = offsets[:segments]
    if any(second <= first for first, second in pairwise(used)):
        return None
    return Codestream(CodestreamKind.RLE, 0, 0, segments, 0, photometric=None, complete=used[-1] < len(data))


def rle_sizes(data: bytes) -> list[int]:
    """How many bytes the runs of each segment (PS3.5 G.3) give; of use where decoding failed."""
    segments, *offsets = struct.unpack_from("<16I", data)
    ends = [*offsets[1:segments], len(data)]
    return [_runs(data, begin, end) for begin, end in zip(offsets, ends, strict=False)]


def _runs(data: bytes, position: int, end: int) -> int:
    produced = 0
    while position + 1 < end:
        head = data[position]
        produced += head + 1 if head < 128 else 0 if head == 128 else 257 - head
        position += 2 + head if head < 128 else 1 if head == 128 else 2
    return produced - max(position - end, 0)

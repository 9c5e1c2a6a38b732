"""What of a PNG file (ISO/IEC 15948) is its picture: chunks without texts, and whether all rows are there."""

import struct
import zlib
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_SEEN = frozenset({b"tRNS", b"acTL", b"fcTL", b"fdAT"})  # chunks that a reader may skip, and that change what is seen
_ORIENTATION = (b"XML:com.adobe.xmp\0", b"Raw profile type exif\0")  # texts that may say how the picture is turned
_MOST_TEXT = 2**16  # bytes of such a text, or of EXIF
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a pixel, by colour type
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))  # Adam7
_PIECE = 2**20  # bytes inflated at a time


def chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and end of each whole chunk, its length and its checksum included."""
    position = len(SIGNATURE)
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            return
        yield kind, position, end
        position = end


def without_texts(data: bytes) -> bytes:
    """The file without its texts, profiles and private chunks, which may be longer than its pixels, or broken.

    Chunks about orientation, transparency and animation stay.
    """
    kept, end = [data[: len(SIGNATURE)]], len(SIGNATURE)
    for kind, begin, end in chunks(data):
        if kind[0] < ord("a") or kind in _SEEN or _may_turn(data, kind, begin, end):  # small letter: ancillary
            kept.append(data[begin:end])
    return b"".join([*kept, data[end:]])


def _may_turn(data: bytes, kind: bytes, begin: int, end: int) -> bool:
    oriented = kind == b"eXIf" or (kind in _TEXTS and data.startswith(_ORIENTATION, begin + 8))
    return (
        oriented
        and end - begin < _MOST_TEXT
        and zlib.crc32(data[begin + 4 : end - 4]) == int.from_bytes(data[end - 4 : end])
    )


def is_short(data: bytes) -> bool:
    """True if the compressed data end, or are cut off, before the last row.

    Raises:
        zlib.error: they are damaged.
        struct.error: there is no IHDR.
    """
    width, height, depth, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, len(SIGNATURE) + 8)
    bits = depth * _SAMPLES.get(colour, 1)
    passes = _PASSES if interlaced else ((0, 0, 1, 1),)
    promised = 0
    for left, top, across, down in passes:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        promised += rows * (1 + -(-columns * bits // 8)) if columns > 0 and rows > 0 else 0
    stream, found = zlib.decompressobj(), 0
    for kind, begin, end in chunks(data):
        piece = data[begin + 8 : end - 4] if kind == b"IDAT" else b""
        while piece and found < promised:
            found += len(stream.decompress(piece, _PIECE))
            piece = stream.unconsumed_tail
    return found < promised

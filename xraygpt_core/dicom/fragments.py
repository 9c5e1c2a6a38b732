"""The items of encapsulated Pixel Data (DICOM PS3.5 A.4): a table of offsets, then fragments.

A film is one frame, so all fragments are that frame. What the Basic Offset Table says, or the Extended Offset Table, or
Number of Frames, is never needed and often wrong.
"""

import struct
from dataclasses import dataclass

_ITEM, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE0DD
_TAGS = frozenset({_ITEM, _SEQUENCE_END})
_HEADS = {b"\xfe\xff\x00\xe0": "<", b"\xff\xfe\xe0\x00": ">"}  # always little endian, but for writers who swap all


@dataclass(frozen=True)
class Fragments:
    """The items in their order; the first is the offset table, unless a writer left it out."""

    items: tuple[bytes, ...]
    cut: bool  # the last one promises more bytes than there are


def read_fragments(value: bytes) -> Fragments | None:
    """The items that the value of Pixel Data consists of; None if it does not begin with one."""
    order = _HEADS.get(value[:4])
    if order is None:
        return None
    items, position, cut = [], 0, False
    while _tag(value, position, order) == _ITEM:
        length = struct.unpack_from(f"{order}I", value, position + 4)[0]
        items.append(value[position + 8 : position + 8 + length])
        position += 8 + length
        cut = position > len(value)
        if length % 2 and _tag(value, position, order) not in _TAGS and _tag(value, position + 1, order) in _TAGS:
            position += 1  # an odd length, though the byte that makes it even was written
    return Fragments(tuple(items), cut)


def _tag(value: bytes, position: int, order: str) -> int | None:
    if position + 8 > len(value):
        return None
    group, number = struct.unpack_from(f"{order}HH", value, position)
    return int(group) << 16 | int(number)

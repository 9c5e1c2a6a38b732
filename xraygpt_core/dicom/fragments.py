"""The items of encapsulated Pixel Data (DICOM PS3.5 A.4): a table of offsets, then fragments.

A film is one frame, so all fragments are that frame. What the Basic Offset Table says, or the Extended Offset Table, or
Number of Frames, is never needed and often wrong.
"""

import struct
from dataclasses import dataclass

from xraygpt_core.dicom.elements import ITEM, SEQUENCE_END, tag_at

_TAGS = frozenset({ITEM, SEQUENCE_END})
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
    while tag_at(value, position, order) == ITEM:
        length = struct.unpack_from(f"{order}I", value, position + 4)[0]
        items.append(value[position + 8 : position + 8 + length])
        position += 8 + length
        cut = position > len(value)
        if length % 2 and tag_at(value, position, order) not in _TAGS and tag_at(value, position + 1, order) in _TAGS:
            position += 1  # an odd length, though the byte that makes it even was written
    return Fragments(tuple(items), cut)

"""A writer of DICOM files that obeys: whatever label, length or order it is given, it writes (PS3.5, PS3.10)."""

import struct
import zlib
from dataclasses import dataclass

import numpy as np

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED, ENCAPSULATED_PLAIN = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.1.98"
_LONG = {"OB", "OV", "OW", "SQ", "UN", "UT"}
_PACK = {"US": "H", "SS": "h", "UL": "I"}


@dataclass
class Items:
    """The items of a sequence."""

    items: list
    undefined: bool = False


@dataclass
class Undercounted:
    """A value whose element says that it has fewer bytes."""

    value: np.ndarray
    by: int


@dataclass
class File:
    """A file to be written. Every field may lie."""

    header: dict  # tag: (VR, value)
    label: str  # of the transfer syntax
    pixels: np.ndarray | None = None  # native, or else:
    fragments: list | None = None
    offsets: bytes | None = b""  # the Basic Offset Table; None: there is no such item
    implicit: bool = False
    little: bool = True
    deflated: bool = False
    pixels_little: bool | None = None  # if not as the header
    vr: str = "OW"
    tail: bytes = b""  # behind native pixels
    cut: int = 0  # bytes of the pixels that are missing
    delimiter: bool = True
    preamble: bool = True
    blank_vr: str | None = None  # of one private element
    behind: bytes = b""
    zlib_header: bool = False
    group_length: int = 0  # more in the file meta than there is

    def encode(self):
        body = b"".join(self._element(tag, *self.header[tag]) for tag in sorted(self.header))
        if self.blank_vr is not None:
            body += struct.pack(self._order + "HH", 0x7FDF, 0x1001) + self.blank_vr.encode()
            body += struct.pack(self._order + "H", 4) + b"1234"
        body += self._pixel_element() + self.behind
        if self.deflated:
            packer = zlib.compressobj(wbits=15 if self.zlib_header else -15)
            body = packer.compress(body) + packer.flush()
            body += b"\0" * (len(body) % 2)
        meta = _meta(self.label, self.group_length)
        return b"\0" * 128 + b"DICM" + meta + body if self.preamble else meta + body

    @property
    def _order(self):
        return "<" if self.little else ">"

    def _element(self, tag, vr, value):
        if isinstance(value, Undercounted):
            encoded = _words(value.value, self.little, vr)
            return self._head(tag, vr, len(encoded) - value.by) + encoded
        encoded, undefined = self._value(vr, value)
        return self._head(tag, vr, 0xFFFFFFFF if undefined else len(encoded)) + encoded

    def _head(self, tag, vr, length):
        start = struct.pack(self._order + "HH", tag >> 16, tag & 0xFFFF)
        if self.implicit:
            return start + struct.pack(self._order + "I", length)
        if vr in _LONG:
            return start + vr.encode() + b"\0\0" + struct.pack(self._order + "I", length)
        return start + vr.encode() + struct.pack(self._order + "H", length)

    def _value(self, vr, value):
        if isinstance(value, Items):
            return self._sequence(value), value.undefined
        if isinstance(value, str):
            encoded = value.encode("latin1")
            return encoded + (b"\0" if vr == "UI" else b" ") * (len(encoded) % 2), False
        if isinstance(value, np.ndarray):
            return _words(value, self.little, vr), False
        if isinstance(value, float):
            return struct.pack(self._order + ("d" if vr == "FD" else "f"), value), False
        if isinstance(value, list):
            kinds = [_PACK.get(vr, "H" if one >= 0 else "h") for one in value]
            return struct.pack(self._order + "".join(kinds), *value), False
        return value + b"\0" * (len(value) % 2), False

    def _sequence(self, value):
        out = b""
        for item in value.items:
            body = b"".join(self._element(tag, *item[tag]) for tag in sorted(item))
            length = 0xFFFFFFFF if value.undefined else len(body)
            out += struct.pack(self._order + "HHI", 0xFFFE, 0xE000, length) + body
            if value.undefined:
                out += struct.pack(self._order + "HHI", 0xFFFE, 0xE00D, 0)
        return out + (struct.pack(self._order + "HHI", 0xFFFE, 0xE0DD, 0) if value.undefined else b"")

    def _pixel_element(self):
        if self.fragments is None:
            little = self.little if self.pixels_little is None else self.pixels_little
            encoded = _words(self.pixels, little, self.vr) + self.tail
            encoded = encoded[: len(encoded) - self.cut]
            return self._head(0x7FE00010, self.vr, len(encoded)) + encoded
        out = self._head(0x7FE00010, "OB", 0xFFFFFFFF)
        for one in ([] if self.offsets is None else [self.offsets]) + self.fragments:
            out += struct.pack(self._order + "HHI", 0xFFFE, 0xE000, len(one)) + one
        return out + (struct.pack(self._order + "HHI", 0xFFFE, 0xE0DD, 0) if self.delimiter else b"")


def _words(values, little, vr):
    """16-bit values in that order; bytes as they are, but swapped within each word of a big endian OW."""
    if values.dtype.itemsize == 2:
        return values.astype(("<" if little else ">") + values.dtype.str[1:]).tobytes()
    encoded = values.tobytes()
    encoded += b"\0" * (len(encoded) % 2)
    swapped = vr in ("OW", "UN") and not little
    return np.frombuffer(encoded, "<u2").astype(">u2").tobytes() if swapped else encoded


def _meta(label, more):
    uid = label.encode() + b"\0" * (len(label) % 2)
    body = b"\2\0\1\0OB\0\0\2\0\0\0\0\1" + b"\2\0\x10\0UI" + struct.pack("<H", len(uid)) + uid
    return b"\2\0\0\0UL\4\0" + struct.pack("<I", len(body) + more) + body

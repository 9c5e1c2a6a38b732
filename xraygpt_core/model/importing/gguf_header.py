"""A look through a GGUF file's header before the public reader, which believes every length, is let at it.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. A header is walked in time that grows with its
bytes alone: nothing is made of what it holds.
"""

import mmap
import struct
from pathlib import Path

from xraygpt_core.errors import BundleError

_MAGIC, _VERSIONS = b"GGUF", (2, 3)
_STRING, _ARRAY = 8, 9
_SCALAR_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
# A vocabulary of 256,000 tokens with scores, types and merges has a million elements, an object each to the reader.
_MAX_ELEMENTS = 2_000_000
_MAX_FIELDS, _MAX_TENSORS, _MAX_DIMENSIONS = 10_000, 20_000, 4
_MOST_WEIGHTS_A_BYTE = 8  # of the narrowest quantisation, and then some


def check_header(file: Path) -> None:
    """Every count and length lies within the file and within reason, and no array within another.

    Raises:
        BundleError: it does not, or the file is no GGUF file of version 2 or 3 in little endian.
    """
    try:
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
            _Header(data).check()
    except (OSError, ValueError, struct.error) as error:  # ValueError: an empty file, or one of our own sentences
        raise BundleError(f"{file.name} is no GGUF file of a llama, or damaged: {error}") from error


class _Header:
    """A place in a header that only moves on."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data, self._at, self._elements = data, 0, 0

    def check(self) -> None:
        if self._data[:4] != _MAGIC:
            raise ValueError("it does not begin with GGUF")
        self._at = 4
        (version,) = self._read("<I")
        if version not in _VERSIONS:
            raise ValueError("its version is not 2 or 3")
        tensors, fields = self._read("<QQ")
        if tensors > _MAX_TENSORS or fields > _MAX_FIELDS:
            raise ValueError("it announces too many tensors or fields")
        for _ in range(fields):
            self._string()
            self._value(*self._read("<I"))
        weights = sum(self._tensor() for _ in range(tensors))
        if weights > _MOST_WEIGHTS_A_BYTE * len(self._data):
            raise ValueError("it announces more weights than it can hold")

    def _value(self, kind: int) -> None:
        if kind == _STRING:
            self._string()
        elif kind != _ARRAY:
            self._skip(_bytes_of(kind))
        else:
            inner, count = self._read("<IQ")
            self._elements += count
            if self._elements > _MAX_ELEMENTS:
                raise ValueError("its arrays are too long")
            if inner != _STRING:
                self._skip(count * _bytes_of(inner))
                return
            for _ in range(count):
                self._string()

    def _tensor(self) -> int:
        self._string()
        (dimensions,) = self._read("<I")
        if not 1 <= dimensions <= _MAX_DIMENSIONS:
            raise ValueError("a tensor has no or too many dimensions")
        weights = 1
        for _ in range(dimensions):
            weights *= self._read("<Q")[0]
        _, offset = self._read("<IQ")
        if offset > len(self._data):
            raise ValueError("a tensor lies beyond its end")
        return weights

    def _string(self) -> None:
        self._skip(*self._read("<Q"))

    def _read(self, form: str) -> tuple[int, ...]:
        values = struct.unpack_from(form, self._data, self._at)
        self._skip(struct.calcsize(form))
        return values

    def _skip(self, size: int) -> None:
        self._at += size
        if self._at > len(self._data):
            raise ValueError("it ends before its header does")


def _bytes_of(kind: int) -> int:
    if kind not in _SCALAR_BYTES:
        raise ValueError("an array holds arrays, or a value is of no known type")
    return _SCALAR_BYTES[kind]

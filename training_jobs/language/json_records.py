"""The records of a JSON file of any size, one after another: an array, or JSON lines. Memory is that of one record."""

import codecs
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

_CHUNK = 2**20
_MOST = 2**24  # bytes of one record
_SPACE = " \t\r\n"
_BOM = codecs.BOM_UTF8
_NESTED = "the record is nested too deeply"
_LONG = f"the record is longer than {_MOST // 2**20} MiB"
_ENCODING = "the text is not UTF-8"


@dataclass(frozen=True)
class Record:
    """One record of a file, or what is wrong with it.

    Attributes:
        offset, length: where its bytes stand.
        line: where it begins, from 1.
        problem: what is wrong, in a few words that quote nothing of the file; None: ``value`` is the record.
    """

    offset: int
    length: int
    line: int
    value: Any = None
    problem: str | None = None


def records(path: Path) -> Iterator[Record]:
    """What stands in the file, in order. A broken line is one problem; after a broken array nothing can be read.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        start = len(_BOM) if file.read(len(_BOM)) == _BOM else 0
        file.seek(start)
        head = file.read(_CHUNK).lstrip()
        file.seek(start)
        yield from _Array(file, start).records() if head[:1] == b"[" else _lines(file, start)


def read_record(file: BinaryIO, offset: int, length: int) -> Any:
    """A record whose place is known from :func:`records`."""
    file.seek(offset)
    return json.loads(file.read(length))


def _lines(file: BinaryIO, offset: int) -> Iterator[Record]:
    number = 0
    while line := file.readline(_MOST):
        number += 1
        if len(line) == _MOST and not line.endswith(b"\n"):
            length = len(line)
            while (rest := file.readline(_CHUNK)) and not rest.endswith(b"\n"):
                length += len(rest)
            offset, length = offset + length + len(rest), length + len(rest)
            yield Record(offset - length, length, number, problem=_LONG)
            continue
        if line.strip():
            value, problem = _parsed(line)
            yield Record(offset, len(line), number, value, problem)
        offset += len(line)


def _parsed(line: bytes) -> tuple[Any, str | None]:
    try:
        return json.loads(line.decode()), None
    except UnicodeDecodeError:
        return None, _ENCODING
    except json.JSONDecodeError as error:
        return None, f"no JSON ({error.msg} at column {error.colno})"
    except RecursionError:
        return None, _NESTED
    except ValueError:
        return None, "a number of the record has too many digits"


class _Array:
    """An array, decoded through a window that holds at least one whole element."""

    def __init__(self, file: BinaryIO, offset: int) -> None:
        self._file = file
        # What is no UTF-8 becomes lone surrogates, which the reader of a record refuses; the rest can be read on.
        self._text = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._window, self._at = "", 0
        self._offset, self._line = offset, 1  # of self._at
        self._ended = False

    def records(self) -> Iterator[Record]:
        self._skip("[")
        while True:
            self._skip()
            if self._next() in ("]", ""):
                break
            record = self._element()
            yield record
            if record.problem is not None:
                return
            self._skip()
            if self._next() in ("]", ""):
                break
            if self._next() != ",":
                yield self._broken("no comma after a record; nothing behind it was read")
                return
            self._advance(self._at + 1)
        yield from self._end()

    def _end(self) -> Iterator[Record]:
        if self._next() == "":
            yield self._broken("the array does not end: the file is cut off")
            return
        self._advance(self._at + 1)
        self._skip()
        if self._next():
            yield self._broken("something stands behind the end of the array")

    def _element(self) -> Record:
        offset, line = self._offset, self._line
        while True:
            try:
                value, end = json.JSONDecoder().raw_decode(self._window, self._at)
            except json.JSONDecodeError as error:
                if self._ended:
                    return self._broken(f"no JSON ({error.msg}); nothing behind it was read")
            except RecursionError:
                return self._broken(f"{_NESTED}; nothing behind it was read")
            except ValueError:
                return self._broken("a number has too many digits; nothing behind it was read")
            else:
                if end < len(self._window) or self._ended:  # a number at the window's end may go on
                    self._advance(end)
                    return Record(offset, self._offset - offset, line, value)
            if len(self._window) - self._at > _MOST:
                return self._broken(f"no JSON, or {_LONG}; nothing behind it was read")
            self._read(max(_CHUNK, len(self._window) - self._at))

    def _broken(self, problem: str) -> Record:
        return Record(self._offset, 0, self._line, problem=problem)

    def _next(self) -> str:
        """The character here, or nothing at the end of the file."""
        while self._at == len(self._window) and not self._ended:
            self._read(_CHUNK)
        return self._window[self._at : self._at + 1]

    def _skip(self, one: str = "") -> None:
        """Go on past white space, and past this character once."""
        while (here := self._next()) and (here in _SPACE or here == one):
            end = self._at
            while end < len(self._window) and self._window[end] in _SPACE:
                end += 1
            if end == self._at:
                end, one = end + 1, ""
            self._advance(end)

    def _advance(self, end: int) -> None:
        passed = self._window[self._at : end]
        self._offset += len(passed.encode(errors="surrogateescape"))
        self._line += passed.count("\n")
        self._at = end

    def _read(self, count: int) -> None:
        data = self._file.read(count)
        self._ended = len(data) < count
        self._window = self._window[self._at :] + self._text.decode(data, final=self._ended)
        self._at = 0

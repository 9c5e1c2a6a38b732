"""The lines of a text file that may be broken in any way; one at a time, so that a file of any size fits."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from xraygpt_core.errors import TrainingError
from xraygpt_core.training.datasets.files import Files
from xraygpt_core.training.datasets.problems import Kind, Problems

MAX_LINE = 2**20  # bytes
_WIDE = (b"\xff\xfe", b"\xfe\xff")  # byte order marks of UTF-16 and UTF-32
_MARK = b"\xef\xbb\xbf"
READ_ERRORS = (OSError, EOFError, zlib.error)  # OSError includes gzip.BadGzipFile
NO_UTF8 = "this is not UTF-8; save the file in that encoding"


@contextmanager
def open_plain(files: Files, address: str) -> Iterator[BinaryIO]:
    """A file, unpacked where its name ends in ``.gz``.

    Raises:
        TrainingError: it cannot be read.
    """
    with files.open(address) as stream:
        if not address.endswith(".gz"):
            yield stream
            return
        with gzip.GzipFile(fileobj=stream) as plain:
            yield cast(BinaryIO, plain)


def lines_of(files: Files, address: str, problems: Problems) -> Iterator[tuple[int, str]]:
    """Number and text of each line, with its end; what cannot be read is a problem, and what can be is given."""
    try:
        with open_plain(files, address) as stream:
            yield from _decoded(stream, address, problems)
    except TrainingError as error:
        problems.add(address, str(error), Kind.UNREADABLE_FILE)
    except READ_ERRORS as error:
        problems.add(address, f"it cannot be read to its end ({type(error).__name__})", Kind.UNREADABLE_FILE)


def _decoded(stream: BinaryIO, address: str, problems: Problems) -> Iterator[tuple[int, str]]:
    number = 0
    while raw := stream.readline(MAX_LINE + 1):
        number += 1
        where = f"{address}, line {number}"
        if number == 1 and raw.startswith(_WIDE):
            problems.add(where, NO_UTF8, Kind.ENCODING)
            return
        if len(raw) > MAX_LINE:
            problems.add(where, f"a line is longer than {MAX_LINE} bytes", Kind.LONG_LINE)
            return
        try:
            text = (raw.removeprefix(_MARK) if number == 1 else raw).decode()
        except UnicodeDecodeError:
            problems.add(where, NO_UTF8, Kind.ENCODING)
            continue
        if "\0" in text:
            problems.add(where, "there is a NUL in it", Kind.ENCODING)
            continue
        yield number, text

"""The files of a folder or an archive, one at a time, whoever packed it: bounded in size, links never followed."""

import bz2
import gzip
import lzma
import os
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, cast

from xraygpt_core.errors import TrainingError

MAX_FILE = 2**20  # bytes; a report has a few thousand
_MAX_HEADER = 2**22  # bytes read at once: a name of gigabytes is refused, not read
_MAX_FILES = 5_000_000
_COMPRESSED: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".tgz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
BROKEN = (OSError, tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, RuntimeError)
# A RuntimeError is what zipfile raises for a compression it does not know, and where a password is asked for.

File = tuple[str, bytes | None]  # name, and content; None: too large


def files_in(source: Path, wanted: Callable[[str], bool]) -> Iterator[File]:
    """Name and content of each wanted file, at any depth; a folder's in the natural order of their names.

    Raises:
        TrainingError: there is no such folder or archive, or it is broken.
    """
    try:
        for number, file in enumerate(_opened(source, wanted)):
            if number >= _MAX_FILES:
                raise TrainingError(f"{source} has more than {_MAX_FILES} files")
            yield file
    except BROKEN as error:
        raise TrainingError(f"{source} is not a readable archive: {error}") from error


def _opened(source: Path, wanted: Callable[[str], bool]) -> Iterator[File]:
    if source.is_dir():
        return _in_folder(source, wanted)
    return _in_zip(source, wanted) if source.suffix.lower() == ".zip" else _in_tar(source, wanted)


def _in_folder(source: Path, wanted: Callable[[str], bool]) -> Iterator[File]:
    for folder, folders, names in os.walk(source):
        folders.sort(key=natural)
        for name in sorted(names, key=natural):
            path = Path(folder) / name
            address = path.relative_to(source).as_posix()
            if wanted(address) and stat.S_ISREG(path.lstat().st_mode):
                with path.open("rb") as file:
                    yield address, _bounded(file)


def _in_zip(source: Path, wanted: Callable[[str], bool]) -> Iterator[File]:
    with zipfile.ZipFile(source) as archive:
        for member in archive.infolist():
            mode = member.external_attr >> 16
            if wanted(member.filename) and not member.is_dir() and not stat.S_ISLNK(mode):
                with archive.open(member) as file:
                    yield member.filename, _bounded(file)


def _in_tar(source: Path, wanted: Callable[[str], bool]) -> Iterator[File]:
    opened = _COMPRESSED.get(source.suffix.lower(), open)(source, "rb")
    with opened as stream, tarfile.open(fileobj=cast("IO[bytes]", _Careful(stream)), mode="r:") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isreg() and wanted(member.name) else None
            if file is not None:
                yield member.name, None if member.size > MAX_FILE else _bounded(file)
            cast("Any", archive).members = []  # or every header stays in memory


def _bounded(file: IO[bytes]) -> bytes | None:
    content = file.read(MAX_FILE + 1)
    return content if len(content) <= MAX_FILE else None


class _Careful:
    """A stream that reads no more at once than a header or a report can have."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MAX_HEADER:
            raise tarfile.ReadError("a header is too large")
        content: bytes = self._stream.read(size)
        return content


def natural(name: str) -> list[tuple[int, str]]:
    """A key by which ``2.xml`` comes before ``10.xml``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"([0-9]+)", name)]

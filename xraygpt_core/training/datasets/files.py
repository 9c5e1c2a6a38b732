"""Where a set's files lie: a folder of this machine, or anything else that opens, lists and finds by address.

An address is a relative path with ``/`` in it. It never leads out of its folder, by ``..`` or by a link.
"""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

from xraygpt_core.errors import TrainingError
from xraygpt_core.training.mixture import SetSpec

S3 = "s3://"
_MAX_ADDRESS = 1024  # letters
_FILES = (".json", ".json.gz", ".jsonl", ".jsonl.gz", ".csv", ".csv.gz", ".tar", ".tar.gz", ".tgz")


class LeadsOut(TrainingError):
    """An address leads out of the folder of its set."""


class Unlisted(TrainingError):
    """A folder of a set cannot be read.

    Attributes:
        address: which.
    """

    def __init__(self, address: str, why: str) -> None:
        super().__init__(why)
        self.address = address


class Files(Protocol):
    """Files by address.

    ``open`` raises TrainingError where there is no such file, ``open`` and ``exists`` where it cannot be read, ``list``
    raises :class:`Unlisted`; all three raise :class:`LeadsOut`.
    """

    def open(self, address: str) -> BinaryIO:
        """The file's bytes from its beginning; the caller closes it."""

    def list(self, folder: str) -> Iterator[str]:
        """The addresses of all files below a folder, ``""`` for everything, in the same order every time."""

    def exists(self, address: str) -> bool:
        """Whether there is such a file."""


def check_address(address: str) -> None:
    """Raises :class:`LeadsOut` for what is no address of a file inside its set."""
    parts = address.split("/")
    if not address or len(address) > _MAX_ADDRESS or not address.isprintable():
        raise LeadsOut("this is no name of a file")
    if address.startswith(("/", "~")) or "\\" in address or ":" in parts[0] or ".." in parts:
        raise LeadsOut("this leads out of the folder of its set; write it relative to that folder")


class FolderFiles:
    """A folder.

    Args:
        root: nothing outside is read, whatever links say.
        doors: folders below it that may themselves be links to another disk; what is in one stays in it.
    """

    def __init__(self, root: Path, doors: Sequence[str] = ()) -> None:
        self.root = root
        self._bases = {door: os.path.realpath(root / door) for door in ("", *sorted(doors, key=len))}

    def path(self, address: str) -> Path:
        """Where it lies, links followed. Raises :class:`LeadsOut`."""
        if address.startswith(S3):
            raise LeadsOut("this lies in S3, which only a run of the queue reads")
        check_address(address)
        try:
            real = os.path.realpath(self.root / address)
        except (OSError, ValueError):  # a circle of links, or half a character
            raise LeadsOut("this is no name of a file") from None
        base = self._bases[max((door for door in self._bases if not door or address.startswith(f"{door}/")), key=len)]
        if real != base and not real.startswith(base.rstrip("/") + "/"):
            raise LeadsOut("a link leads out of the folder of its set")
        return Path(real)

    def open(self, address: str) -> BinaryIO:
        """As :class:`Files`; a pipe or a device is no file."""
        path = self.path(address)
        try:
            if not path.is_file():
                raise TrainingError("there is no such file")
            return _open_unlinked(path)
        except OSError as error:
            raise TrainingError(f"it cannot be read: {error.strerror}") from None

    def list(self, folder: str) -> Iterator[str]:
        """As :class:`Files`: a folder's own files by name, then its folders; links to folders are not followed."""
        start = self.path(folder) if folder else self.root
        if start.is_dir():
            yield from _walk(start, f"{folder}/" if folder else "")

    def exists(self, address: str) -> bool:
        """As :class:`Files`."""
        try:
            return self.path(address).is_file()
        except OSError as error:  # of a folder that may not be entered
            raise TrainingError(f"it cannot be read: {error.strerror}") from None

    def stamp(self, address: str) -> str:
        """Size and time of change: equal stamps, equal content, as far as a plan need know.

        Raises:
            OSError: there is no such file.
        """
        status = self.path(address).stat()
        return f"{status.st_size}-{status.st_mtime_ns}"


def _open_unlinked(path: Path) -> BinaryIO:
    """Open a path whose links were followed already: a link that took the place of a part of it since is refused.

    Raises:
        OSError: there is such a link, or no file.
    """
    folder = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in path.parts[1:-1]:
            below = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            os.close(folder)
            folder = below
        # What is a pipe by now is opened without waiting for somebody to write into it, and refused.
        handle = os.open(path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is no file any more")
    return os.fdopen(handle, "rb")


def _walk(folder: Path, prefix: str) -> Iterator[str]:
    waiting = [(folder, prefix)]
    while waiting:
        folder, prefix = waiting.pop()
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            raise Unlisted(prefix or ".", f"this folder cannot be read: {error.strerror}") from None
        yield from (prefix + entry.name for entry in entries if entry.is_file())
        below = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        waiting += [(folder / name, f"{prefix}{name}/") for name in reversed(below)]


def open_set(spec: SetSpec) -> tuple[FolderFiles, FolderFiles]:
    """The files of a set on this machine: those with its texts, and those with its images.

    Raises:
        TrainingError: it lies in S3 or in the ledger, which only a run of the queue reads; or there is no such folder.
    """
    if spec.path is None or spec.path.startswith(S3) or (spec.images or "").startswith(S3):
        raise TrainingError(f"the set {spec.name!r} does not lie on this machine: start the run through the queue")
    path = Path(spec.path)
    root = path if path.is_dir() else path.parent
    if not root.is_dir() or not (path.exists() or is_file_name(spec.path)):
        raise TrainingError(f"the set {spec.name!r} has no such file or folder: {spec.path}")
    texts = FolderFiles(root, [door.rpartition("/")[0] for door in spec.only])
    return texts, texts if spec.images is None else FolderFiles(Path(spec.images))


def is_file_name(path: str) -> bool:
    """Whether a set's path is that of a file, by its ending; otherwise it is a folder."""
    return path.endswith(_FILES)


def main_file(spec: SetSpec, otherwise: str) -> str:
    """The address of the file that a set is told by: the last part of its path where that is a file."""
    path = spec.path or ""
    return path.rpartition("/")[2] if is_file_name(path) else otherwise

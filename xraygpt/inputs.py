"""The files and objects a person names on the command line.

No link is followed out of the folder it lies in: whoever may put files there does not choose what else is sent.
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit


def is_uri(source: str) -> bool:
    """True for ``s3://bucket/key``."""
    return source.startswith("s3://")


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key (or prefix) of an ``s3://`` URI; ValueError if it has no bucket."""
    parts = urlsplit(uri, allow_fragments=False)
    if parts.scheme != "s3" or not parts.netloc:
        raise ValueError(f"{uri} is not s3://bucket/key")
    return parts.netloc, uri.removeprefix(f"s3://{parts.netloc}").removeprefix("/")


class InputFile(str):
    """A file, under its name, that was found below a folder a person named; ``root`` is that folder."""

    root: Path

    def __new__(cls, path: Path, root: Path) -> "InputFile":
        found = super().__new__(cls, path)
        found.root = root
        return found


def files_below(folder: Path, say: Callable[[str], None] = lambda _: None) -> Iterator[InputFile]:
    """Every regular, not hidden file below a folder, in a fixed order; hidden folders are passed over.

    Links and whatever is neither file nor folder are passed over, too; ``say`` is told how many.
    """
    passed = 0
    for directory, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        passed += sum(os.path.islink(os.path.join(directory, name)) for name in folders)
        for name in sorted(names):
            path = Path(directory, name)
            if name.startswith("."):
                continue
            if stat.S_ISREG(path.lstat().st_mode):
                yield InputFile(path, folder)
            else:
                passed += 1
    if passed:
        say(f"{folder}: {passed} links or other things that are no files were passed over")


@contextmanager
def opened(source: str) -> Iterator[BinaryIO]:
    """A source's file, once and for all: what is hashed is what is sent, whatever takes its name meanwhile.

    Raises:
        OSError: it cannot be read, is no regular file, or lies elsewhere than below the folder it was named in.
    """
    root = source.root if isinstance(source, InputFile) else Path(source).parent
    descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe would wait for its other end
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(None, "it is no regular file", source)
        if not Path(os.readlink(f"/proc/self/fd/{descriptor}")).is_relative_to(root.resolve()):
            raise OSError(None, "it is a link out of its folder: name what it leads to", source)
        yield file


def expand(sources: Iterable[str], say: Callable[[str], None] = lambda _: None) -> list[str]:
    """Files, folders and ``s3://`` URIs as one list of files and URIs, each once; ``say`` is told what was passed over.

    Raises:
        FileNotFoundError: naming what is neither.
    """
    found: dict[str, str] = {}
    for source in sources:
        if is_uri(source):
            found.setdefault(source, source)
            continue
        path = Path(source)
        if not path.exists():
            raise FileNotFoundError(source)
        for file in files_below(path, say) if path.is_dir() else (source,):
            found.setdefault(os.path.abspath(file), file)
    return list(found.values())

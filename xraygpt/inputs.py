"""The files and objects on the command line.

Links out of their folder are not followed: a person who may put files there must not choose what else is sent.
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path
from urllib.parse import urlsplit

from xraygpt_core.errors import XrayGPTError
from xraygpt_core.plain_text import with_rest

MOST_NAMED = 5  # broken links of a folder


class NothingThere(XrayGPTError):
    """The arguments name no file: a folder is empty, or an argument is."""


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
    """The name of a file that was found below the folder ``root``."""

    root: Path

    def __new__(cls, path: Path, root: Path) -> "InputFile":
        found = super().__new__(cls, path)
        found.root = root
        return found


def files_below(folder: Path, say: Callable[[str], None] = lambda _: None) -> Iterator[InputFile]:
    """Every regular, not hidden file below a folder, in a fixed order; hidden folders are skipped.

    Links, and everything that is neither file nor folder, are skipped, too; ``say`` gets their number, and the names of
    links that lead nowhere.
    """
    skipped, broken = 0, list[str]()
    for directory, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        skipped += sum(os.path.islink(os.path.join(directory, name)) for name in folders)
        for name in sorted(names):
            path = Path(directory, name)
            if name.startswith("."):
                continue
            if stat.S_ISREG(path.lstat().st_mode):
                yield InputFile(path, folder)
            elif path.is_symlink() and not path.exists():
                broken.append(str(path))
            else:
                skipped += 1
    if broken:
        names = with_rest(broken[:MOST_NAMED], len(broken))
        say(f"passed over, for these links lead nowhere: {', '.join(names)}")
    if skipped:
        say(f"{folder}: {skipped} links or other things that are no files were passed over")


@contextmanager
def opened(source: str) -> Iterator[BufferedIOBase]:
    """A source's open file: the same bytes are hashed and sent, even if another file takes its name meanwhile.

    Raises:
        OSError: it cannot be read, is no regular file, or lies outside of its folder.
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
    """Files, folders and ``s3://`` URIs as one list of files and URIs, each once; ``say`` gets what was skipped.

    Raises:
        FileNotFoundError: the sentence about the source that does not exist, or is a link to nothing.
        NothingThere: a source is empty, as a variable that is not set; it does not mean the folder we are in.
    """
    found: dict[str, str] = {}
    for source in sources:
        if not source.strip():
            raise NothingThere("an argument is empty, as from a variable that is not set; `.` names this folder")
        if is_uri(source):
            found.setdefault(source, source)
            continue
        path = Path(source)
        if not path.exists():
            broken = path.is_symlink()
            raise FileNotFoundError(
                f"{source} is a link that leads nowhere" if broken else f"there is no file or folder {source}"
            )
        for file in files_below(path, say) if path.is_dir() else (source,):
            found.setdefault(os.path.abspath(file), file)
    return list(found.values())

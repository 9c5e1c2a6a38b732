"""What a downloaded file really is, and how it gets into a bundle: linked where possible, copied where not."""

import os
import shutil
import struct
import zipfile
from collections.abc import Callable
from enum import Enum
from pathlib import Path

from xraygpt_core.errors import BundleError

_HEAD = 512  # bytes that tell the kind of a file
_SPARE = 64 * 2**20  # bytes that must stay free on the disk
# What readers of other people's raise for bytes that are damaged or of another kind: a bare KeyError, a wrong shape …
DAMAGE = (
    ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError, OSError, EOFError,
    AssertionError, struct.error,
)  # fmt: skip
_FICLONE = 0x40049409  # Linux: share the blocks of another file until either is written (ioctl_ficlonerange(2))

Progress = Callable[[int, int, str], None]  # bytes done, bytes in all, what is being done


class FileKind(Enum):
    """Kinds of weights files."""

    SAFETENSORS = "safetensors"
    TORCH = "torch.save, zip"
    LEGACY_TORCH = "torch.save, before 1.6"
    GGUF = "GGUF"


def real_path(path: Path) -> Path:
    """The file or folder behind symbolic links (a Hugging Face cache is made of them).

    Raises:
        BundleError: there is none, or the links go round in circles.
    """
    try:
        return path.resolve(strict=True)
    except FileNotFoundError as error:
        raise BundleError(f"{path} is missing") from error
    except (RuntimeError, OSError) as error:  # RuntimeError: Python 3.11 and 3.12 for a loop
        raise BundleError(f"{path} cannot be followed: its symbolic links go round in circles") from error


def kind_of(path: Path) -> FileKind:
    """The kind of a weights file, by its first bytes; its name says nothing reliable.

    Raises:
        BundleError: it is something else, and what that probably is.
    """
    if not real_path(path).is_file():
        raise BundleError(f"{path.name} is no file")
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head:
        raise BundleError(f"{path.name} is empty; download it again")
    if head.startswith(b"version https://git-lfs"):
        raise BundleError(f"{path.name} is a Git LFS pointer, not the file itself; fetch it with `git lfs pull`")
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise BundleError(f"{path.name} is a web page, not weights: the download asked for a login or failed")
    if head.startswith(b"GGUF"):
        return FileKind.GGUF
    if head.startswith(b"PK\x03\x04"):
        _refuse_archive(path)
        return FileKind.TORCH
    if head[8:9] == b"{":  # before the next: a header's length may begin with that byte, a pickle has none there
        return FileKind.SAFETENSORS
    if head.startswith(b"\x80"):
        return FileKind.LEGACY_TORCH
    raise BundleError(f"{path.name} is neither safetensors nor a torch file nor GGUF")


def _refuse_archive(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, RuntimeError):
        raise BundleError(f"{path.name} is truncated or damaged; download it again") from None
    if not any(name.endswith("data.pkl") for name in names):
        raise BundleError(f"{path.name} is an archive, not a weights file; unpack it and name the file inside")


def plain_name(name: object, source: str) -> str:
    """A shard's name as an index gives it.

    Raises:
        BundleError: it leads out of the folder, or is no name.
    """
    if not isinstance(name, str) or not name or name != Path(name).name or name.startswith(".") or "\\" in name:
        raise BundleError(f"{source} names a shard {str(name)[:80]!r}, which leads out of its folder")
    return name


def place(source: Path, target: Path) -> str:
    """Bring a file into the bundle unchanged, and say how: ``linked``, ``shared`` (reflink) or ``copied``."""
    target.parent.mkdir(parents=True, exist_ok=True)
    source = real_path(source)
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        if _reflink(source, target):
            return "shared"
        shutil.copyfile(source, target)
        return "copied"
    return "linked"


def _reflink(source: Path, target: Path) -> bool:
    import fcntl

    with source.open("rb") as old, target.open("wb") as new:
        try:
            fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
        except OSError:
            return False
    return True


def links_into(source: Path, folder: Path) -> bool:
    """Whether a hard link from ``source`` into ``folder`` is to be expected: both on one file system."""
    return real_path(source).stat().st_dev == folder.stat().st_dev


def check_space(folder: Path, needed: int) -> None:
    """Refuse before anything is written.

    Raises:
        BundleError: fewer than ``needed`` bytes are free.
    """
    free = shutil.disk_usage(folder).free
    if needed + _SPARE > free:
        raise BundleError(f"{folder} has {gib(free)} free, and this import needs {gib(needed + _SPARE)}")


def gib(size: int) -> str:
    """A number of bytes for people."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"

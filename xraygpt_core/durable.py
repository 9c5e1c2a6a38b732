"""What must survive a power failure is flushed before it gets its name, and its folder after."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


def flush(path: Path) -> None:
    """Write a file, or the names in a folder, to the disk (fsync(2)).

    Raises:
        OSError: the disk is full, or does not answer.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def flush_tree(folder: Path) -> None:
    """The same for a folder and everything below it."""
    for path in [*folder.rglob("*"), folder]:
        flush(path)


@contextmanager
def complete_directory(target: Path) -> Iterator[Path]:
    """A temporary directory beside ``target``; flushed to disk and renamed to it when the block ends well."""
    work = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        yield work
        flush_tree(work)
        if target.exists():
            shutil.rmtree(target)
        work.replace(target)
        flush(target.parent)
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def complete_file(target: Path) -> Iterator[Path]:
    """An empty file beside ``target``, readable by its owner only; it becomes ``target`` when the block ends well.

    Raises:
        OSError: there is no such folder, or ``target`` is no regular file, such as a device.
    """
    target = target.resolve()
    if target.exists() and not target.is_file():
        raise OSError(f"{target} is no regular file")
    if not target.parent.is_dir():
        raise OSError(f"there is no folder {target.parent}")
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".xraygpt-")
    os.close(handle)
    work = Path(name)
    try:
        yield work
        flush(work)
        work.replace(target)
        flush(target.parent)
    finally:
        with contextlib.suppress(FileNotFoundError):
            work.unlink()


@contextmanager
def complete_text(target: Path) -> Iterator[TextIO]:
    """A text beside ``target``; flushed to disk and renamed to it when the block ends well, and gone if it does not.

    Raises:
        OSError: the disk is full, or does not answer, or there is no such folder.
    """
    work = target.with_name(f".{target.name}.part")
    try:
        with work.open("w", encoding="utf-8") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        work.replace(target)
    finally:
        with contextlib.suppress(OSError):
            work.unlink(missing_ok=True)


def write_complete(target: Path, text: str) -> None:
    """Write a text so that it is there whole or not at all; raises like :func:`complete_text`."""
    with complete_text(target) as out:
        out.write(text)

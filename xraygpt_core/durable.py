"""What must survive a power failure is flushed before it gets its name, and its folder after."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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

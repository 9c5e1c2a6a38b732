"""What must survive a power failure is flushed before it gets its name, and its folder after."""

import os
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

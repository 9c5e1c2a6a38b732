"""Directories that are written to before they get a name; what a killed process left is removed by the next one."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xraygpt_core.durable import flush, flush_tree
from xraygpt_core.file_lock import lock_if_free

_PREFIX = ".work-"


@contextmanager
def unnamed(folder: Path) -> Iterator[Path]:
    """A new directory in a folder, which is gone after the block unless it was published.

    It is locked (flock(2)) as long as this process lives: whoever comes next and finds one without a lock removes it.

    Raises:
        OSError: the disk is full, or does not answer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _sweep(folder)
    work, lock = _locked_new(folder)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
        os.close(lock)


def publish(work: Path, target: Path) -> None:
    """Flush a directory to the disk and give it its name; if another process made the same meanwhile, that one stays.

    Raises:
        OSError: the disk is full, or does not answer.
    """
    flush_tree(work)
    try:
        work.rename(target)
    except OSError:
        if not target.is_dir():
            raise
    flush(target.parent)


def _locked_new(folder: Path) -> tuple[Path, int]:
    while True:
        work = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=folder))
        lock = _lock(work)
        if lock is not None and work.is_dir():
            return work, lock
        if lock is not None:  # it was swept between its making and its lock
            os.close(lock)


def _lock(folder: Path) -> int | None:
    """An open handle of a directory that holds its lock; None if another process has it, or the directory is gone."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    if lock_if_free(handle):
        return handle
    os.close(handle)
    return None


def _sweep(folder: Path) -> None:
    for left in folder.glob(f"{_PREFIX}*"):
        lock = _lock(left)
        if lock is not None:
            shutil.rmtree(left, ignore_errors=True)
            os.close(lock)

"""Directories that are complete when they appear under their name."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def complete_directory(target: Path) -> Iterator[Path]:
    """A temporary directory beside ``target``; flushed to disk and renamed to it when the block ends well."""
    work = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        yield work
        for path in [*work.rglob("*"), work]:
            _flush(path)
        if target.exists():
            shutil.rmtree(target)
        work.replace(target)
        _flush(target.parent)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

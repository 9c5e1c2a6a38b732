"""Directories that are complete when they appear under their name."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xraygpt_core.durable import flush, flush_tree


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

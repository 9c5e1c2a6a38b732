"""Directories to and from the derived bucket: checkpoints, results, the parts of a bundle."""

from collections.abc import Callable
from pathlib import Path

from xraygpt_core.errors import ObjectMissing
from xraygpt_core.storage import ObjectStore


def push(store: ObjectStore, directory: Path, prefix: str, alive: Callable[[], None]) -> None:
    """Copy every file below ``directory`` under ``prefix``. It is whole once this returns; a pointer says so then.

    Args:
        alive: called after each file.
    """
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            store.put_file(f"{prefix}/{path.relative_to(directory)}", path)
            alive()


def pull(store: ObjectStore, prefix: str, directory: Path, alive: Callable[[], None] = lambda: None) -> None:
    """Copy everything under ``prefix`` below ``directory``.

    Raises:
        ObjectMissing: nothing lies there.
    """
    found = False
    for listed in store.list(store.derived_bucket, f"{prefix}/"):
        found = True
        store.get_file(listed.key, directory / listed.key.removeprefix(f"{prefix}/"))
        alive()
    if not found:
        raise ObjectMissing("the derived bucket holds nothing under this prefix")

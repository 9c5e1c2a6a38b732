"""Directories to and from the derived bucket: checkpoints, results, the parts of a bundle.

What is pushed lies under a name that ends in the hash of its content, and the ledger keeps that name: another writer
to the bucket can neither swap what was pushed nor have it written anywhere but below the folder it is pulled into.
"""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

from xraygpt_core.errors import ObjectMissing, TrainingError
from xraygpt_core.model.bundle import file_sha256
from xraygpt_core.paths import is_below
from xraygpt_core.storage import ObjectStore

_NAMED_BY_CONTENT = re.compile("-([0-9a-f]{64})$")  # older versions named them by run and step alone


def push(store: ObjectStore, directory: Path, name: str, alive: Callable[[], None]) -> str:
    """Copy every file below ``directory`` under a prefix. It is whole once this returns: a pointer names it only then.

    Args:
        name: what the prefix begins with.
        alive: called after each file.

    Returns:
        The prefix: the name and the hash of the content.
    """
    files = {str(path.relative_to(directory)): path for path in sorted(directory.rglob("*")) if _is_own(path)}
    prefix = f"{name}-{_digest({file: file_sha256(path) for file, path in files.items()})}"
    for file, path in files.items():
        store.put_file(f"{prefix}/{file}", path)
        alive()
    return prefix


def pull(store: ObjectStore, prefix: str, directory: Path, alive: Callable[[], None] = lambda: None) -> None:
    """Copy everything under ``prefix`` below ``directory``, and nothing anywhere else.

    Raises:
        ObjectMissing: nothing lies there.
        TrainingError: what lies there is not what was pushed, or has a name that leads out of the folder.
    """
    found = {}
    for listed in store.list(store.derived_bucket, f"{prefix}/"):
        file = listed.key.removeprefix(f"{prefix}/")
        path = inside(directory, file)
        store.get_file(listed.key, path)
        found[file] = file_sha256(path)
        alive()
    if not found:
        raise ObjectMissing("the derived bucket holds nothing under this prefix")
    named = _NAMED_BY_CONTENT.search(prefix)
    if named is not None and named[1] != _digest(found):
        raise TrainingError("what the derived bucket holds of a training run is not what the run left there")


def inside(directory: Path, file: str) -> Path:
    """Where a file of this name lies below a directory.

    Raises:
        TrainingError: the name is none of a file below it. It is not repeated: its writer chose it.
    """
    if not file.isprintable() or any(part in ("", ".", "..") for part in file.split("/")):
        raise TrainingError("the derived bucket holds an object whose key is no name of a file")
    path = directory / file
    if not is_below(path, directory) or not is_below(path.parent, directory):
        raise TrainingError("the derived bucket holds an object whose name leads out of its folder")
    return path


def _digest(files: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(sorted(files.items())).encode()).hexdigest()


def _is_own(path: Path) -> bool:
    """A file, and no link to one elsewhere."""
    return path.is_file() and not path.is_symlink()

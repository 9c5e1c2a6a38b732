"""Where downloads came from: repository, commit, and the hash of each file. ``models fetch`` writes it beside them.

An import copies it into the bundle's table ``[source]``; a fetch that goes on later stays at these commits.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xraygpt_core.errors import BundleError

FILE = ".source.json"


def write_source(folder: Path, repositories: Sequence[Mapping[str, Any]]) -> None:
    """Note it. Each has ``folder``, ``repo``, ``commit`` and ``files`` (name -> hash)."""
    work = folder / f"{FILE}.new"
    work.write_text(json.dumps({"repositories": list(repositories)}, indent=1) + "\n")
    work.replace(folder / FILE)


def read_source(folder: Path) -> dict[str, Any] | None:
    """The table ``[source]``; None where nothing was noted.

    Raises:
        BundleError: the note is damaged.
    """
    file = folder / FILE
    if not file.is_file():
        return None
    try:
        found = json.loads(file.read_text())["repositories"]
        return {"repositories": [{key: one[key] for key in ("folder", "repo", "commit", "files")} for one in found]}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise BundleError(f"{file} is damaged: remove it, and fetch again") from error

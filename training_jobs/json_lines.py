"""Files of JSON lines that a process may be killed over: each line is there whole, or cut off when it is read again."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any


def append(file: IO[str], row: Mapping[str, Any], *, now: bool) -> None:
    """Write a line. ``now``: it is on disk before this returns."""
    file.write(json.dumps(row) + "\n")
    if now:
        file.flush()
        os.fsync(file.fileno())


def mend(file: Path) -> int:
    """Cut off a last line that was not finished. Returns how many lines are left."""
    if not file.exists():
        return 0
    lines = whole = 0
    with file.open("r+b") as stream:
        for line in stream:
            if not line.endswith(b"\n") or not _is_object(line):
                break
            lines, whole = lines + 1, whole + len(line)
        stream.truncate(whole)
    return lines


def rows_of(file: Path) -> Iterator[dict[str, Any]]:
    """Every line of a file, if there is one."""
    if file.exists():
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)


def mended_rows(file: Path) -> Iterator[dict[str, Any]]:
    """The same, without a last line that was not finished, which is cut off."""
    mend(file)
    return rows_of(file)


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False

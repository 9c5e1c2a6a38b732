"""What one of our programs wrote about its own end: the last error in its log (:mod:`xraygpt_core.logs`)."""

import json
from contextlib import suppress
from pathlib import Path

_TAIL = 64 << 10  # bytes that are read of a log
_LONGEST = 400  # letters of the sentence


def size(log: Path) -> int:
    """Bytes that it has; 0 where it is not there."""
    try:
        return log.stat().st_size
    except FileNotFoundError:
        return 0


def last_error(log: Path, begin: int) -> str | None:
    """The last sentence of the levels ERROR and CRITICAL behind this place; None where there is none."""
    end = size(log)
    try:
        with log.open("rb") as file:
            file.seek(max(begin if begin <= end else 0, end - _TAIL))  # a log that grew large was replaced by a new one
            lines = file.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return None
    return next((said for line in reversed(lines) if (said := _error(line))), None)


def _error(line: str) -> str | None:
    fields = None
    with suppress(ValueError, RecursionError):
        fields = json.loads(line)
    if not isinstance(fields, dict) or fields.get("level") not in ("ERROR", "CRITICAL"):
        return None
    kind = f": {fields['error']}" if fields.get("trace") and fields.get("error") else ""  # it alone says which error
    return f"{fields.get('message')}{kind}"[:_LONGEST]

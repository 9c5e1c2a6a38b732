"""Moments as people type them: a date, a time, or how long ago."""

import re
from datetime import UTC, datetime, timedelta

import typer

_UNITS = {"s": "seconds", "m": "minutes", "min": "minutes", "h": "hours", "d": "days"}
_AGO = re.compile(rf"(\d{{1,6}})\s*({'|'.join(_UNITS)})", re.IGNORECASE)


def moment(text: str) -> datetime:
    """``2026-01-31``, ``2026-01-31 08:15``, ``90s``, ``15m``, ``2h`` or ``7d`` (ago); without a zone, local time.

    Raises:
        BadParameter: it is none of these.
    """
    if ago := _AGO.fullmatch(text.strip()):
        count, unit = ago.groups()
        return datetime.now(UTC) - timedelta(**{_UNITS[unit.lower()]: int(count)})
    try:
        found = datetime.fromisoformat(text.strip())
        return found.astimezone() if found.tzinfo is None else found
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is no moment: write 2026-01-31, '2026-01-31 08:15' (this machine's time), 2026-01-31T08:15Z, "
            "or how long ago: 15m, 2h, 7d"
        ) from None


def since_then(then: datetime) -> float:
    """Seconds from then until now."""
    return max(0.0, (datetime.now(UTC) - then).total_seconds())

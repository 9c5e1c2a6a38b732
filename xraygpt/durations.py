"""Seconds and moments as people read them."""

from datetime import datetime
from typing import Any


def seconds_words(seconds: float) -> str:
    """``6.4 s``, ``58 s``, ``12 min``, ``3 h 05 min``, ``4 days``."""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s"
    if seconds < 89.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours < 48 else f"{hours // 24} days"


def whole_seconds(seconds: float) -> str:
    """The same without tenths, for what changes while it is read: ``1 s`` at least."""
    return seconds_words(seconds) if seconds >= 9.95 else f"{max(1, round(seconds))} s"


def clock(value: Any) -> str:
    """A moment of the gateway's in this machine's time, to the minute: ``2026-01-31 08:15``."""
    return datetime.fromisoformat(str(value)).astimezone().strftime("%Y-%m-%d %H:%M")

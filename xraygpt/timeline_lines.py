"""A study's timeline in lines that fit the terminal: time, what happened, who did it, and what else is known of it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from rich.cells import cell_len
from rich.text import Text

from xraygpt.film_lines import GAP
from xraygpt.terminal import cut_middle, one_line, padded, wrapped

WHO_CELLS, WHAT_CELLS = 18, 24
DETAIL_LINES = 4


def timeline_lines(steps: Sequence[Mapping[str, Any]], cells: int | None) -> list[Text]:
    """The steps, below the day that they were made on; times are this machine's.

    Args:
        cells: columns of the terminal; None: a program reads it, so nothing is shortened.
    """
    found: list[Text] = []
    for day, of_day in groupby(steps, key=lambda step: _at(step).strftime("%Y-%m-%d")):
        found += [Text(day, style="dim"), *_lines(list(of_day), cells)]
    return found


def _lines(steps: Sequence[Mapping[str, Any]], cells: int | None) -> Iterator[Text]:
    rows = [(one_line(str(step["what"])), one_line(str(step["who"]))) for step in steps]
    if cells is not None:
        rows = [(cut_middle(what, WHAT_CELLS), cut_middle(who, WHO_CELLS)) for what, who in rows]
    widths = [max(cell_len(row[place]) for row in rows) for place in (0, 1)]
    for step, (what, who) in zip(steps, rows, strict=True):
        time = _at(step).strftime("%H:%M:%S.%f")[:10]
        head = GAP.join((time, padded(what, widths[0]), padded(who, widths[1]), ""))
        detail = _detail(step)
        if cells is None:
            yield Text(f"{head}{detail}".rstrip())
            continue
        room = cells - cell_len(head)
        for place, line in enumerate(wrapped(detail, room, room, DETAIL_LINES)):
            yield Text(f"{' ' * cell_len(head) if place else head}{line}".rstrip())


def _at(step: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(str(step["at"])).astimezone()


def _detail(step: Mapping[str, Any]) -> str:
    """``attempt 2; view PA``: a first attempt goes without saying."""
    parts = [f"attempt {step['attempt']}"] if (step.get("attempt") or 0) > 1 else []
    detail = step.get("detail")
    if isinstance(detail, Mapping):
        parts += [f"{name.replace('_', ' ')} {_value(value)}" for name, value in detail.items() if value is not None]
    elif detail is not None:
        parts.append(_value(detail))
    return one_line("; ".join(parts))


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_value(one) for one in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_value(one)}" for name, one in value.items())
    return str(value)

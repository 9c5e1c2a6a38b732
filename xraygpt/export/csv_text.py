"""CSV (RFC 4180): NULL is an empty cell, empty text is ``""``, and no cell is a formula.

A spreadsheet runs a cell that begins with ``=``, ``+``, ``-``, ``@`` (also their wide forms), a tab or a line end, even
in quotes and after spaces (OWASP, "CSV Injection"). Such a text gets an apostrophe before it; numbers do not.
"""

import re
from collections.abc import Iterator
from typing import Any

from xraygpt.export.result import NUMBERS, Result, as_text
from xraygpt_core.plain_text import defused

# A comma, a quote and a line end must be quoted; the others are what a program may cut at or trim.
_QUOTED = re.compile(r"[,;\t\"\r\n\v\f\x1c-\x1e\x85\u2028\u2029]|\A\s|\s\Z")
LINE_END = "\r\n"


def csv_lines(result: Result, *, raw: bool) -> Iterator[str]:
    """The column names, then the rows, each with its line end.

    Args:
        raw: leave texts that a spreadsheet would run as they are.
    """
    yield _line([_cell(name, raw=raw) for name in result.columns])
    for row in result.rows:
        yield _line([_of_value(value, kind, raw=raw) for value, kind in zip(row, result.types, strict=True)])


def _of_value(value: Any, kind: str, *, raw: bool) -> str:
    text = as_text(value, kind)
    return "" if text is None else _cell(text, raw=raw or kind in NUMBERS or not isinstance(value, str))


def _cell(text: str, *, raw: bool) -> str:
    shown = text if raw else defused(text)
    return '"' + shown.replace('"', '""') + '"' if not shown or _QUOTED.search(shown) else shown


def _line(cells: list[str]) -> str:
    return ",".join(cells) + LINE_END

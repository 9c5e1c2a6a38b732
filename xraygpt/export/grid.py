"""A result as a table of text: every value whole, and nothing in it steers the terminal.

A table that does not fit is written row by row instead, one value a line, as psql's ``\\x auto`` does.
"""

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from rich.cells import cell_len

from xraygpt.export.result import NUMBERS, Result, as_text
from xraygpt_core.plain_text import plain_text

PIPE_WIDTH = 400  # columns of a table that goes to no terminal
_BETWEEN = " │ "

Cell = list[str]  # its lines


def grid_lines(result: Result, width: int) -> Iterator[str]:
    """The lines of the table, each with its end.

    Args:
        width: columns that a line may have; a single value may be longer.
    """
    rows = [[_cell(as_text(value, kind)) for value, kind in zip(row, result.types, strict=True)] for row in result.rows]
    names = [_cell(name) for name in result.columns]
    widths = [max(map(_width, column)) for column in zip(names, *rows, strict=True)]
    if sum(widths) + len(_BETWEEN) * (len(widths) - 1) <= width or not rows:
        yield from _table(names, rows, widths, [kind in NUMBERS for kind in result.types])
    else:
        yield from _records(names, rows)


def _table(names: list[Cell], rows: list[list[Cell]], widths: list[int], right: list[bool]) -> Iterator[str]:
    yield from _row(names, widths, [False] * len(names))
    yield "─┼─".join("─" * width for width in widths) + "\n"
    for row in rows:
        yield from _row(row, widths, right)


def _row(cells: Sequence[Cell], widths: Sequence[int], right: Sequence[bool]) -> Iterator[str]:
    for line in zip_longest(*cells, fillvalue=""):
        padded = map(_padded, line, widths, right)
        yield _BETWEEN.join(padded).rstrip(" ") + "\n"


def _padded(text: str, width: int, right: bool) -> str:
    blanks = " " * (width - cell_len(text))
    return blanks + text if right else text + blanks


def _records(names: list[Cell], rows: list[list[Cell]]) -> Iterator[str]:
    labels = [" ".join(name) for name in names]
    wide = max(map(cell_len, labels))
    for number, row in enumerate(rows, start=1):
        yield f"── {number} {'─' * max(2, wide - len(str(number)) - 1)}\n"
        for label, lines in zip(labels, row, strict=True):
            for text, line in zip_longest([label], lines, fillvalue=""):
                yield f"{_padded(text, wide, False)}  {line}".rstrip(" ") + "\n"


def _cell(text: str | None) -> Cell:
    return plain_text((text or "").replace("\r\n", "\n")).split("\n")


def _width(cell: Cell) -> int:
    return max(map(cell_len, cell))

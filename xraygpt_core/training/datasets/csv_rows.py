"""The rows of a CSV file that may be broken in any way, with the lines they begin in."""

import csv
from collections.abc import Iterator, Sequence

from xraygpt_core.training.datasets.files import Files
from xraygpt_core.training.datasets.lines import MAX_LINE, lines_of
from xraygpt_core.training.datasets.problems import Kind, Problems


def csv_rows(
    files: Files, address: str, needed: Sequence[str], problems: Problems
) -> Iterator[tuple[str, dict[str, str]]]:
    """Where each row begins, and its cells by column (RFC 4180; the first row names the columns).

    What is broken is a problem, and the rows after it are still given.
    """
    columns: list[str] | None = None
    for line, cells in _records(files, address, problems):
        where = f"{address}, line {line}"
        if columns is None:
            columns = [cell.strip() for cell in cells]
            missing = [name for name in needed if name not in columns]
            if missing or len(set(columns)) < len(columns):
                what = f"there is no column {', '.join(missing)}" if missing else "two columns have one name"
                problems.add(where, what, Kind.MISSING_COLUMN)
                return
        elif len(cells) != len(columns):
            problems.add(where, f"{len(cells)} cells; the first row has {len(columns)}", Kind.WRONG_CELLS)
        else:
            yield where, dict(zip(columns, cells, strict=True))
    if columns is None and not problems.errors:
        problems.add(address, "the file has no row", Kind.MISSING_COLUMN)


def _records(files: Files, address: str, problems: Problems) -> Iterator[tuple[int, list[str]]]:
    """The line each record begins in, and its cells; a record may hold several lines."""
    begun, held, size, quotes = 0, list[str](), 0, 0
    for number, line in lines_of(files, address, problems):
        if not held:
            if not line.strip():
                continue
            begun, size, quotes = number, 0, 0
        held.append(line)
        size, quotes = size + len(line), quotes + line.count('"')
        if quotes % 2 == 0:
            cells = _cells("".join(held))
            held = []
            if cells is None:
                problems.add(f"{address}, line {begun}", "its quotes or line ends are broken", Kind.WRONG_CELLS)
            else:
                yield begun, cells
        elif size > MAX_LINE:
            break
    if held:
        problems.add(f"{address}, line {begun}", "a quote is opened here and never closed", Kind.WRONG_CELLS)


def _cells(record: str) -> list[str] | None:
    """One record's cells; None where it is none. Its quotes are even, so it is one record."""
    try:
        return next(csv.reader([record.rstrip("\r\n")]), [])
    except csv.Error:
        return None

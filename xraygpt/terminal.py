"""What a terminal can show: how wide it is, which letters it has, and texts cut to its cells.

Widths are counted in cells (rich.cells): a Chinese letter takes two, a combining mark none. Names of files are foreign
text: what would steer the terminal is replaced by a mark before anything is counted.
"""

import os
import sys
from typing import TextIO

from rich.cells import cell_len, set_cell_size

from xraygpt_core.plain_text import plain_text

NARROWEST = 40
# One letter for one letter, so that no width changes where the terminal has only those of ASCII.
_PLAIN = str.maketrans("✓✗‼⚠·…–—“”’→", '+x!!|~--""\'>')


def width(stream: TextIO) -> int | None:
    """Columns of the terminal that the stream is, or of COLUMNS; None where a program or a file reads it."""
    given = os.environ.get("COLUMNS", "")
    if given.isdigit() and int(given):
        return max(NARROWEST, int(given))
    try:
        return max(NARROWEST, os.get_terminal_size(stream.fileno()).columns or 80) if stream.isatty() else None
    except (OSError, ValueError):  # no file behind it, or a terminal that does not say
        return 80


def spoken(text: str, stream: TextIO | None = None) -> str:
    """The text in letters that the stream's encoding has: a plain one for each sign, ``?`` for what has none."""
    encoding = (stream or sys.stdout).encoding or "ascii"
    try:
        text.encode(encoding)
    except UnicodeError:
        return text.translate(_PLAIN).encode(encoding, "replace").decode(encoding)
    return text


def one_line(text: str) -> str:
    """Foreign text as one line of visible letters."""
    return " ".join(plain_text(text, lines=False).split())


def cut(text: str, cells: int) -> str:
    """The text, or its beginning and ``…``, in at most so many cells."""
    if cell_len(text) <= cells:
        return text
    return f"{set_cell_size(text, cells - 1).rstrip()}…" if cells > 0 else ""


def cut_middle(text: str, cells: int) -> str:
    """The text, or its beginning and its end, which tells names of files apart, in at most so many cells."""
    if cell_len(text) <= cells:
        return text
    if cells < 3:
        return cut(text, cells)
    end = (cells - 1) * 2 // 3
    tail = text
    while cell_len(tail) > end:
        tail = tail[1:]
    return f"{set_cell_size(text, cells - 1 - cell_len(tail)).rstrip()}…{tail}"


def padded(text: str, cells: int) -> str:
    """The text with spaces behind it, in so many cells at least."""
    return text + " " * (cells - cell_len(text))


def wrapped(text: str, first: int, more: int, lines: int) -> list[str]:
    """The text on so many lines at most, between words where it can be; what does not fit ends in ``…``.

    Args:
        first: cells of the first line; ``more``: of those that follow.
    """
    found: list[str] = []
    rest = text
    while rest and len(found) < lines - 1:
        cells = more if found else first
        if cell_len(rest) <= cells:
            break
        line, rest = _broken(rest, cells)
        found.append(line)
    return [*found, cut(rest, more if found else first)]


def _broken(text: str, cells: int) -> tuple[str, str]:
    """A line of at most so many cells, and the rest; an empty line where not even its first word fits."""
    head = set_cell_size(text, cells).rstrip()
    while not text.startswith(head):  # half of a wide letter became a space
        head = head[:-1]
    if text[len(head) : len(head) + 1] not in ("", " "):
        head = head.rpartition(" ")[0]
    return head, text[len(head) :].lstrip()

"""Output for people (tables, lines, progress) and for programs (JSON). Progress and messages go to stderr."""

import json
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import rich.progress
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from xraygpt.terminal import spoken, width
from xraygpt_core.plain_text import json_text, plain_text

PIPE_WIDTH = 180  # columns of a table that is not written to a terminal
WIDE = 120  # from here on every column has room


def say(line: str) -> None:
    """One line of progress, without control characters: file names and foreign texts must not steer the terminal."""
    print(spoken(plain_text(line, lines=False), sys.stderr), file=sys.stderr, flush=True)


def document(content: Any) -> None:
    """The one JSON document of ``--json``."""
    _write(json_text(content, indent=2) + "\n")


def _write(text: str) -> None:
    """JSON is UTF-8 (RFC 8259, section 8.1), whatever the terminal's encoding is."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode())
    sys.stdout.buffer.flush()


class Spool:
    """A document whose long list waits in a temporary file, not in memory, until the rest is known."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._file = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115  # __exit__ closes it
        self._empty = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, item: Any) -> None:
        """One more element of the list."""
        self._file.write("\n" if self._empty else ",\n")
        self._file.write("    " + json_text(item, indent=2).replace("\n", "\n    "))
        self._empty = False

    def write(self, rest: Mapping[str, Any]) -> None:
        """The document: the list under its name, and the rest."""
        self._file.seek(0)
        _write(f'{{\n  "{self._name}": [')
        for part in iter(lambda: self._file.read(1 << 20), ""):
            _write(part)
        _write("],\n" if self._empty else "\n  ],\n")
        _write(json_text(rest, indent=2).removeprefix("{\n") + "\n")


def console() -> Console:
    """stdout; without a terminal, wide enough for a table to be read by other programs."""
    return Console(width=width(sys.stdout) or PIPE_WIDTH, highlight=False)


def plain(value: Any) -> Text:
    """A value as text in which nothing is markup and nothing steers the terminal."""
    if isinstance(value, Text):
        return value
    if isinstance(value, bool):
        value = "yes" if value else "no"
    shown = "" if value is None else value if isinstance(value, str) else json.dumps(value, default=str)
    return Text(spoken(plain_text(shown)))


def alarm(value: Any) -> Text:
    """The same in red, for warnings."""
    shown = plain(value)
    shown.stylize("bold red")
    return shown


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Rows below their column names. What a column is too narrow for goes on in the next line: nothing is cut."""
    grid = Table(*(Column(plain(name), overflow="fold") for name in columns))
    for row in rows:
        grid.add_row(*(plain(value) for value in row))
    console().print(grid)


def fields(values: Mapping[str, Any], title: str | None = None) -> None:
    """Names and values, one pair a line; None is left out."""
    grid = Table.grid(Column(), Column(overflow="fold"), padding=(0, 2))
    if title:
        console().print(plain(title), style="bold")
    for name, value in values.items():
        if value is not None:
            grid.add_row(Text(name, style="dim"), plain(value))
    console().print(grid)


def answer(content: Mapping[str, Any], sentence: str | None = None, *, as_json: bool) -> None:
    """An answer of the gateway: all of it for a program; for a person as fields, or as this sentence."""
    if as_json:
        document(content)
    elif sentence is not None:
        say(sentence)
    else:
        fields(content)


def listing(
    content: Any,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    as_json: bool,
    narrow: Sequence[int] = (),
    empty: str = "",
) -> None:
    """An answer of the gateway: all of it for a program, a table of its rows for a person.

    Args:
        empty: the sentence for a person where there is no row.
        narrow: the columns that fit 80 cells. Of the others, the last stands below the table where that is narrower
            than 120: it is a sentence.
    """
    shown = list(rows)
    if as_json:
        document(content)
    elif empty and not shown:
        say(empty)
    elif not narrow or console().width >= WIDE:
        table(columns, shown)
    else:
        table([columns[place] for place in narrow], ([row[place] for place in narrow] for row in shown))
        for row in shown:
            if row[-1]:
                paragraph(f"{row[0]}: {row[-1]}")


def paragraph(text: str, style: str = "") -> None:
    """Text for a person."""
    console().print(plain(text), style=style)


def lines(texts: Iterable[Text]) -> None:
    """Lines that are as wide as they are: nothing is wrapped, and each sign is one that the terminal has."""
    out = console()
    for text in texts:
        out.print(Text(spoken(text.plain), spans=text.spans), soft_wrap=True)


class ProgressLine:
    """How many inputs have ended: a bar on a terminal, otherwise a line now and then; always on stderr."""

    LINE_SECONDS = 5.0

    def __init__(self) -> None:
        self._bar: rich.progress.Progress | None = None
        self._task: rich.progress.TaskID | None = None
        self._last = ""
        self._next = 0.0

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            parts = (rich.progress.BarColumn(), rich.progress.MofNCompleteColumn(), rich.progress.TimeElapsedColumn())
            words = rich.progress.TextColumn("{task.description}", markup=False)
            self._bar = rich.progress.Progress(*parts, words, console=Console(stderr=True))
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def update(self, done: int, total: int, words: str) -> None:
        """``words`` stands behind the numbers, for example the counts by state."""
        if self._bar is None:
            self._line(f"{done}/{total} {words}", final=done == total)
        elif self._task is None:
            self._task = self._bar.add_task(words, total=total, completed=done)
        else:
            self._bar.update(self._task, completed=done, total=total, description=words)

    def _line(self, line: str, *, final: bool) -> None:
        if line != self._last and (final or time.monotonic() >= self._next):
            say(line)
            self._last, self._next = line, time.monotonic() + self.LINE_SECONDS

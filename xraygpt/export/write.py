"""Write a result to stdout or into a file, in one of the formats."""

import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path

from xraygpt.export.csv_text import csv_lines
from xraygpt.export.grid import PIPE_WIDTH, grid_lines
from xraygpt.export.json_text import json_document, json_lines
from xraygpt.export.parquet import write_parquet
from xraygpt.export.result import Result, Unwritable
from xraygpt_core.durable import complete_file
from xraygpt_core.plain_text import plain_text

_PIECE = 1 << 20


class Format(StrEnum):
    """How a result is written."""

    TABLE = "table"
    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


_BY_NAME = {".csv": Format.CSV, ".jsonl": Format.JSONL, ".ndjson": Format.JSONL, ".parquet": Format.PARQUET}


def own_format(output: Path | None) -> Format:
    """What a result is written as that is asked for in no format: a table for eyes, CSV for programs and files."""
    if output is not None:
        return _BY_NAME.get(output.suffix.lower(), Format.CSV)
    return Format.TABLE if _on_terminal() else Format.CSV


def write(result: Result, form: Format | None, output: Path | None, *, raw: bool) -> None:
    """Write the result.

    Args:
        form: None is the document of ``--json``.
        output: the file, written whole or not at all; None is stdout.
        raw: leave texts as they are that a spreadsheet would run.

    Raises:
        Unwritable: the result does not fit the format. OSError: the file cannot be written.
    """
    if form is Format.PARQUET:
        _write_parquet(result, output)
    elif output is not None:
        with complete_file(output) as work, work.open("wb") as file:
            file.writelines(_bytes(_lines(result, form, PIPE_WIDTH, raw=raw)))
    else:
        terminal = _on_terminal()
        lines = _lines(result, form, shutil.get_terminal_size().columns if terminal else PIPE_WIDTH, raw=raw)
        if terminal and form is Format.CSV:  # for eyes: what acts is marked
            lines = (plain_text(line.replace("\r\n", "\n")) for line in lines)
        sys.stdout.flush()
        sys.stdout.buffer.writelines(_bytes(lines))
        sys.stdout.buffer.flush()


def _lines(result: Result, form: Format | None, width: int, *, raw: bool) -> Iterator[str]:
    match form:
        case Format.CSV:
            return csv_lines(result, raw=raw)
        case Format.JSONL:
            return json_lines(result)
        case Format.TABLE:
            return grid_lines(result, width)
        case _:
            return json_document(result)


def _write_parquet(result: Result, output: Path | None) -> None:
    if output is not None:
        with complete_file(output) as work:
            write_parquet(result, work)
        return
    if _on_terminal():
        raise Unwritable("Parquet is no text for a terminal: add --output FILE, or pipe it into a program")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder, "result")
        write_parquet(result, work)
        sys.stdout.flush()
        with work.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer, _PIECE)
        sys.stdout.buffer.flush()


def _on_terminal() -> bool:
    return sys.stdout.isatty()


def _bytes(lines: Iterable[str]) -> Iterator[bytes]:
    """UTF-8 in large pieces, whatever the terminal's encoding is."""
    piece: list[str] = []
    size = 0
    for line in lines:
        piece.append(line)
        size += len(line)
        if size > _PIECE:
            yield "".join(piece).encode()
            piece, size = [], 0
    yield "".join(piece).encode()

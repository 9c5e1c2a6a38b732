"""``query``: analysts' SQL, as a table, CSV, lines of JSON or Parquet."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from xraygpt import show
from xraygpt.commands.options import AsJson
from xraygpt.connect import gateway
from xraygpt.export.result import Result
from xraygpt.export.write import Format, own_format, write
from xraygpt_core.errors import InvalidRequest
from xraygpt_core.exit_codes import UNFINISHED

Statement = Annotated[
    str | None, typer.Argument(help="One SELECT over the views; `-` reads it from stdin.", metavar="[SQL]")
]
File = Annotated[
    Path | None, typer.Option("--file", "-f", help="Read the SELECT from a file; `-` is stdin.", metavar="FILE")
]
InFormat = Annotated[
    Format | None,
    typer.Option("--format", help="Default: what the name of --output ends in; a table on a terminal, else CSV."),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Write into this file, whole or not at all; only you may read it."),
]
Raw = Annotated[
    bool, typer.Option("--raw", help="CSV: put no apostrophe before a text that a spreadsheet would run as a formula.")
]


def query(
    sql: Statement = None,
    file: File = None,
    form: InFormat = None,
    output: Output = None,
    raw: Raw = False,
    as_json: AsJson = False,
) -> None:
    """Run SQL as the analysts' role: read-only, over the documented views. Exit code 3: rows are missing."""
    if (sql is None) == (file is None):
        raise typer.BadParameter("give either a SELECT, or --file FILE; `-` is stdin")
    if as_json and form is not None:
        raise typer.BadParameter("--json is a format of its own: leave out --format")
    statement = _statement(sql, file)
    with gateway() as client:
        result = Result.of(client.post("/v1/query", {"sql": statement}, exact=True))
    write(result, None if as_json else form or own_format(output), output, raw=raw)
    if result.truncated:
        show.say(
            f"rows are missing: these are the first {len(result.rows)}, and one answer has 10000 rows or 32 MiB; "
            "narrow the SELECT, or take psql with the reader's address"
        )
        raise typer.Exit(UNFINISHED)


def _statement(sql: str | None, file: Path | None) -> str:
    """The SELECT of the argument, of the file, or of stdin."""
    try:
        if sql is not None and sql != "-":
            sql.encode()  # an argument may hold bytes that are no text
            return sql
        given = sys.stdin.buffer.read() if file is None or str(file) == "-" else file.read_bytes()
        return given.decode("utf-8-sig")
    except UnicodeError:
        raise InvalidRequest("the SELECT is not in UTF-8") from None

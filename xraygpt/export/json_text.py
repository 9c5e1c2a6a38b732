"""Lines of JSON, one row each, and the one document of ``--json``; numbers have all of their digits."""

from collections.abc import Iterator

from xraygpt.export.result import Result
from xraygpt_core.exact_json import exact_json
from xraygpt_core.plain_text import escaped


def json_lines(result: Result) -> Iterator[str]:
    """Each row as an object, with its line end.

    Raises:
        Unwritable: two columns have one name.
    """
    result.named_apart()
    for row in result.rows:
        yield escaped(exact_json(dict(zip(result.columns, row, strict=True)))) + "\n"


def json_document(result: Result) -> Iterator[str]:
    """``{"columns", "types", "rows", "truncated"}``, one row a line."""
    yield f'{{\n  "columns": {escaped(exact_json(result.columns))},\n  "types": {escaped(exact_json(result.types))},\n'
    yield '  "rows": ['
    for place, row in enumerate(result.rows):
        yield f"{',' if place else ''}\n    {escaped(exact_json(row))}"
    yield "\n  ],\n" if result.rows else "],\n"
    yield f'  "truncated": {exact_json(result.truncated)}\n}}\n'

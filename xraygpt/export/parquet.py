"""Parquet, written by DuckDB, which comes with the extra ``parquet``."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from xraygpt.export.result import Result, Unwritable, as_text

_SAME = {
    "boolean": "BOOLEAN", "smallint": "SMALLINT", "integer": "INTEGER", "bigint": "BIGINT", "oid": "UINTEGER",
    "real": "FLOAT", "double precision": "DOUBLE", "date": "DATE", "time without time zone": "TIME",
    "timestamp without time zone": "TIMESTAMP", "timestamp with time zone": "TIMESTAMPTZ",
}  # fmt: skip
# Nothing is fetched from the internet.
_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}
_DIGITS = 38  # of DuckDB's DECIMAL, and of most programs that read Parquet
_LIST = "VARCHAR[]"


def write_parquet(result: Result, file: Path) -> None:
    """One file. Ids and documents are text, lists of words are lists, and a ``numeric`` is a DECIMAL where it fits.

    Raises:
        Unwritable: DuckDB is not here, two columns have one name, or a value lies outside of what Parquet can say.
    """
    try:
        import duckdb
    except ImportError:
        raise Unwritable("Parquet takes DuckDB: install it with `pip install duckdb`, or xraygpt[parquet]") from None
    result.named_apart()
    if not result.columns:
        raise Unwritable("the result has no column, and Parquet needs one")
    columns = [[row[place] for row in result.rows] for place in range(len(result.columns))]
    kinds = [_kind(kind, values) for kind, values in zip(result.types, columns, strict=True)]
    given = [_given(values, name, kind) for values, name, kind in zip(columns, result.types, kinds, strict=True)]
    with duckdb.connect(config=_SETTINGS) as connection:
        try:
            connection.execute(_made(result.columns, kinds), given)
            # Without a file of DuckDB's own in between, which everybody could read.
            how = "FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false"
            connection.execute(f"COPY made TO {_literal(str(file))} ({how})")
        except duckdb.ConversionException as error:
            raise Unwritable(f"Parquet cannot say this, so cast it to text: {str(error).splitlines()[0]}") from None


def _made(names: Sequence[str], kinds: Sequence[str]) -> str:
    """The statement that makes the table ``made`` of its columns, given as lists of text."""
    parts, shown = [], []
    for place, (name, kind) in enumerate(zip(names, kinds, strict=True)):
        parts.append(f"unnest(${place + 1}::{_LIST if kind == _LIST else 'VARCHAR'}[]) AS c{place}")
        value = f"unhex(c{place})" if kind == "BLOB" else f"CAST(c{place} AS {kind})"
        shown.append(f"{value} AS {_name(name)}")
    return f"CREATE TABLE made AS SELECT {', '.join(shown)} FROM (SELECT {', '.join(parts)})"  # noqa: S608  # quoted


def _kind(kind: str, values: Sequence[Any]) -> str:
    """DuckDB's type for a column of this PostgreSQL type."""
    if kind == "numeric":
        return _decimal(values)
    if kind == "bytea":
        return "BLOB"
    if kind.endswith("[]") and all(_is_list_of_words(value) for value in values):
        return _LIST
    return _SAME.get(kind, "VARCHAR")


def _decimal(values: Sequence[Any]) -> str:
    """The narrowest type that keeps every digit; text where none does."""
    whole, fraction = 1, 0
    for value in values:
        if isinstance(value, str):  # too long for a number
            return "VARCHAR"
        if value is not None:
            _, digits, exponent = Decimal(value).as_tuple()
            assert isinstance(exponent, int)
            whole, fraction = max(whole, len(digits) + exponent), max(fraction, -exponent)
    return f"DECIMAL({whole + fraction}, {fraction})" if whole + fraction <= _DIGITS else "VARCHAR"


def _is_list_of_words(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(one is None or isinstance(one, str) for one in value))


def _given(values: Sequence[Any], name: str, kind: str) -> list[Any]:
    return list(values) if kind == _LIST else [as_text(value, name) for value in values]


def _name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"

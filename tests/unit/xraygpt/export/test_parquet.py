"""Parquet through DuckDB: the types of PostgreSQL, every digit, and clear words where it cannot be written."""

import datetime as dt
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.support.hostile_strings import STRINGS
from xraygpt.export.parquet import write_parquet
from xraygpt.export.result import Result, Unwritable

MOMENT = "2026-01-02T03:04:05.123456+00:00"


def back(result: Result, folder: Path) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Types and rows that a reader of the file finds."""
    file = folder / "it's.parquet"
    write_parquet(result, file)
    name = str(file).replace("'", "''")
    with duckdb.connect() as connection:
        types = [row[1] for row in connection.execute(f"DESCRIBE SELECT * FROM '{name}'").fetchall()]
        return types, connection.execute(f"SELECT * FROM '{name}'").fetchall()


# PostgreSQL's type, a value, Parquet's type as DuckDB names it, and the value read back.
KINDS: list[tuple[str, Any, str, Any]] = [
    ("bigint", 2**63 - 1, "BIGINT", 2**63 - 1),
    ("integer", -5, "INTEGER", -5),
    ("numeric", Decimal("0.12345678901234567890"), "DECIMAL(21,20)", Decimal("0.12345678901234567890")),
    ("numeric", 10**20, "DECIMAL(21,0)", 10**20),
    ("numeric", Decimal("1E-60"), "VARCHAR", "1E-60"),
    ("numeric", "9" * 400, "VARCHAR", "9" * 400),
    ("double precision", Decimal("0.25"), "DOUBLE", 0.25),
    ("boolean", True, "BOOLEAN", True),
    ("uuid", "0197c1d2-0000-7000-8000-000000000001", "VARCHAR", "0197c1d2-0000-7000-8000-000000000001"),
    ("date", "2026-01-02", "DATE", dt.date(2026, 1, 2)),
    ("timestamp without time zone", MOMENT[:-6], "TIMESTAMP", dt.datetime.fromisoformat(MOMENT[:-6])),
    ("bytea", "00ff", "BLOB", b"\x00\xff"),
    ("text[]", ["a,b", None, ""], "VARCHAR[]", ["a,b", None, ""]),
    ("integer[]", [1, None], "VARCHAR", "[1,null]"),
    ("jsonb", {"k": [Decimal("1.10")]}, "VARCHAR", '{"k":[1.10]}'),
    ("interval", "PT1M", "VARCHAR", "PT1M"),
    ("text", "", "VARCHAR", ""),
]


def test_values_keep_their_types_and_their_digits(tmp_path: Path) -> None:
    kinds, values, stored, read = zip(*KINDS, strict=True)
    names = [f"c{place}" for place in range(len(KINDS))]
    types, rows = back(Result(names, list(kinds), [list(values), [None] * len(KINDS)], False), tmp_path)
    assert types == list(stored)
    assert rows == [tuple(read), (None,) * len(KINDS)]


def test_moments_keep_their_zone(tmp_path: Path) -> None:
    result = Result(["v"], ["timestamp with time zone"], [[MOMENT], ["infinity"]], False)
    write_parquet(result, tmp_path / "x")
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        rows = connection.execute(f"SELECT v::VARCHAR FROM read_parquet('{tmp_path / 'x'}')").fetchall()
    assert rows == [("2026-01-02 03:04:05.123456+00",), ("infinity",)]


def test_hostile_texts_and_names_come_back(tmp_path: Path) -> None:
    result = Result(['a"; DROP', "n"], ["text", "integer"], [[text, n] for n, text in enumerate(STRINGS)], False)
    assert back(result, tmp_path)[1] == [(text, n) for n, text in enumerate(STRINGS)]


def test_a_result_without_rows_keeps_its_types(tmp_path: Path) -> None:
    assert back(Result(["v", "w"], ["bigint", "text[]"], [], False), tmp_path) == (["BIGINT", "VARCHAR[]"], [])


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (Result(["a", "A"], ["text", "text"], [], False), "2 columns are named a"),
        (Result([], [], [], False), "no column"),
        (Result(["v"], ["date"], [["4712-01-01 BC"]], False), "cast it to text"),
    ],
)
def test_what_parquet_cannot_say_is_refused_in_a_sentence(tmp_path: Path, result: Result, words: str) -> None:
    with pytest.raises(Unwritable, match=words):
        write_parquet(result, tmp_path / "x.parquet")


def test_without_duckdb_one_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(Unwritable, match=r"pip install duckdb"):
        write_parquet(Result(["v"], ["text"], [], False), tmp_path / "x")

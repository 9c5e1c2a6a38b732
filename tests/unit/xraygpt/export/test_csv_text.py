"""CSV that leaves nothing out and runs nothing: read back by Python's reader and by DuckDB."""

import csv
import io
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.hostile_strings import RUN_BY_SPREADSHEETS, STRINGS
from xraygpt.export.csv_text import csv_lines, defused
from xraygpt.export.result import Result

# PostgreSQL's text holds no NUL and no half of a surrogate pair.
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def result(rows: list[list[Any]], types: list[str]) -> Result:
    return Result([f"c{place}" for place in range(len(types))], types, rows, False)


def written(found: Result, *, raw: bool = True) -> str:
    return "".join(csv_lines(found, raw=raw))


def read(text: str) -> list[list[str | None]]:
    """The rows below the heads; NULL is a cell without quotes, which Python's reader cannot tell from empty text."""
    cell = re.compile(r'"((?:[^"]|"")*)"|([^",\r\n]*)')
    rows: list[list[str | None]] = []
    place = 0
    while place < len(text):
        row: list[str | None] = []
        while True:
            found = cell.match(text, place)
            assert found is not None
            row.append(found[2] or None if found[1] is None else found[1].replace('""', '"'))
            place = found.end() + 1
            if text[found.end() : found.end() + 1] != ",":
                break
        place += 1
        rows.append(row)
    return rows[1:]


@settings(max_examples=40)
@given(st.lists(st.tuples(st.none() | TEXT, st.none() | TEXT), max_size=6))
def test_every_text_and_every_null_comes_back(rows: list[tuple[str | None, str | None]]) -> None:
    text = written(result([list(row) for row in rows], ["text", "text"]))
    assert read(text) == [list(row) for row in rows]
    by_python = list(csv.reader(io.StringIO(text, newline=""), strict=True))[1:]
    assert by_python == [[cell or "" for cell in row] for row in rows]


def test_hostile_texts_come_back_through_duckdb(tmp_path: Path) -> None:
    rows = [[str(number), text] for number, text in enumerate([*STRINGS, "", None, " padded ", "a\r\nb", "a;b", "ü胸"])]
    file = tmp_path / "x.csv"
    file.write_text(written(result(rows, ["text", "text"])), encoding="utf-8", newline="")
    how = "header=true, all_varchar=true, nullstr='', allow_quoted_nulls=false, quote='\"', escape='\"', delim=','"
    with duckdb.connect() as connection:
        back = connection.execute(
            f"SELECT * FROM read_csv('{file}', {how}, new_line='\\r\\n') ORDER BY c0::int"
        ).fetchall()
    assert [list(row) for row in back] == rows


def test_numbers_ids_lists_and_documents_are_written_as_they_are() -> None:
    row = [2**63 - 1, Decimal("0.12345678901234567890"), -5, True, ["a,b", None], {"k": Decimal("1.10")}, "0x", "-"]
    kinds = ["bigint", "numeric", "integer", "boolean", "text[]", "jsonb", "text", "text"]
    assert written(result([row], kinds)).splitlines()[1] == (
        '9223372036854775807,0.12345678901234567890,-5,true,"[""a,b"",null]","{""k"":1.10}",0x,-'
    )


def test_a_document_that_is_a_word_keeps_its_quotes() -> None:
    assert written(result([["=1"]], ["jsonb"]), raw=False).splitlines()[1] == '"""=1"""'


@pytest.mark.parametrize("text", RUN_BY_SPREADSHEETS)
def test_what_a_spreadsheet_would_run_gets_an_apostrophe(text: str) -> None:
    assert defused(text) == f"'{text}"
    (row,) = read(written(result([[text]], ["text"]), raw=False))
    assert row == [f"'{text}"]
    assert read(written(result([[text]], ["text"]), raw=True)) == [[text]]


@pytest.mark.parametrize("text", ["No effusion.", "a=b", "3-4 cm", "x@y", "'=1", "", "(-1)", "0197c1d2-0000-7000"])
def test_what_a_spreadsheet_would_not_run_stays_as_it_is(text: str) -> None:
    assert defused(text) == text


@settings(max_examples=40)
@given(TEXT)
def test_no_defused_text_is_run(text: str) -> None:
    assert not re.match(r"\s*[=+\-@]|[\t\r\n]", defused(text))


def test_negative_numbers_are_no_formulas_whatever_holds_them() -> None:
    rows = [[-1, Decimal("-1.5"), "-" + "9" * 400]]
    assert "'" not in written(result(rows, ["bigint", "numeric", "numeric"]), raw=False)


def test_a_formula_as_the_name_of_a_column_is_defused() -> None:
    assert written(Result(["=1+1"], ["text"], [], False), raw=False) == "'=1+1\r\n"


def test_one_column_of_nothing_has_a_line_for_each_row() -> None:
    assert written(result([[None], [""], ["x"]], ["text"])) == 'c0\r\n\r\n""\r\nx\r\n'

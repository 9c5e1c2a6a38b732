"""``xraygpt query`` against the small gateway: where the SELECT comes from, where the rows go, and how it ends."""

import csv
import io
import json
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import Result

from tests.support.hostile_strings import STRINGS
from xraygpt.export import write as writing
from xraygpt_core.plain_text import defused

Run = Callable[..., Result]
STUDY = "0197c1d2-0000-7000-8000-000000000001"
ROWS = [[STUDY, "No effusion.\nHeart normal.", 1], [STUDY, None, -2], [STUDY, "", 3], [STUDY, "=1+1", 4]]
ANSWER = {"columns": ["study_id", "summary", "n"], "types": ["uuid", "text", "bigint"], "rows": ROWS}


@pytest.fixture(autouse=True)
def _answer(fake_gateway: Any) -> None:
    fake_gateway.answers["POST /v1/query"] = ANSWER | {"truncated": False}


@pytest.mark.parametrize("words", [("SELECT 1",), ("-",), ("-f", "-"), ("--file", "query.sql")])
def test_the_select_comes_from_the_line_a_file_or_standard_input(
    fake_gateway: Any, xraygpt: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("query.sql").write_text("\ufeffSELECT 1", encoding="utf-8")
    assert xraygpt("query", *words, "--json", given="SELECT 1").exit_code == 0
    assert fake_gateway.bodies("/v1/query") == [{"sql": "SELECT 1"}]


@pytest.mark.parametrize(
    "words",
    [(), ("SELECT 1", "-f", "x.sql"), ("SELECT 1", "--json", "--format", "csv"), ("SELECT 1", "--format", "xml")],
)
def test_wrong_usage_ends_with_2_and_asks_nothing(fake_gateway: Any, xraygpt: Run, words: tuple[str, ...]) -> None:
    assert xraygpt("query", *words).exit_code == 2
    assert fake_gateway.asked == []


def test_a_select_that_is_no_text_is_refused_before_anything_is_asked(
    fake_gateway: Any, xraygpt: Run, tmp_path: Path
) -> None:
    (tmp_path / "latin1.sql").write_bytes(b"SELECT '\xe9'")
    for words in (("-f", str(tmp_path / "latin1.sql")), ("SELECT '\udce9'",)):
        assert "not in UTF-8" in str(xraygpt("query", *words).exception)
    assert fake_gateway.asked == []


# PostgreSQL's text holds no NUL and no half of a surrogate pair.
_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])) | st.sampled_from(
    [one for one in STRINGS if len(one) < 99]
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.uuids().map(str), st.none() | _TEXT, st.integers(-(2**63), 2**63 - 1)), max_size=6))
def test_what_is_piped_without_a_format_comes_back_row_by_row_and_runs_nothing(
    fake_gateway: Any, xraygpt: Run, rows: list[tuple[str, str | None, int]]
) -> None:
    fake_gateway.answers["POST /v1/query"] = ANSWER | {"rows": [list(row) for row in rows], "truncated": False}

    done = xraygpt("query", "SELECT 1")

    written = [[one, None if text is None else defused(text), str(n)] for one, text, n in rows]
    assert cells(done.stdout_bytes.decode()) == [["study_id", "summary", "n"], *written]
    assert not [text for _, text, _ in written if text and defused(text) != text]
    assert done.exit_code == 0


def test_on_a_terminal_a_result_is_a_table_and_in_a_pipe_it_is_csv(
    xraygpt: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert xraygpt("query", "SELECT 1").stdout_bytes == xraygpt("query", "SELECT 1", "--format", "csv").stdout_bytes
    monkeypatch.setattr(writing, "_on_terminal", lambda: True)
    assert xraygpt("query", "SELECT 1").stdout == xraygpt("query", "SELECT 1", "--format", "table").stdout


def test_a_file_of_another_name_is_csv_unless_a_table_is_asked_for(xraygpt: Run, tmp_path: Path) -> None:
    one, other = tmp_path / "x.txt", tmp_path / "y.txt"
    assert xraygpt("query", "SELECT 1", "-o", str(one)).exit_code == 0
    assert xraygpt("query", "SELECT 1", "-o", str(other), "--format", "table").exit_code == 0
    assert one.read_bytes() == xraygpt("query", "SELECT 1", "--format", "csv").stdout_bytes
    assert "│" in other.read_text()


def cells(text: str) -> list[list[str | None]]:
    """CSV as RFC 4180 has it; a cell without letters and quotes is NULL."""
    rows: list[list[str | None]] = [[]]
    for found in re.finditer(r'(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)', text):
        quoted, bare, end = found.groups()
        rows[-1].append(bare or None if quoted is None else quoted.replace('""', '"'))
        if end != ",":
            rows.append([])
    return rows[:-1]


def test_a_piped_table_shortens_nothing(xraygpt: Run) -> None:
    shown = xraygpt("query", "SELECT 1", "--format", "table").stdout
    assert shown.count(STUDY) == len(ROWS)
    assert "Heart normal." in shown


def test_the_document_says_types_and_whether_rows_are_missing(fake_gateway: Any, xraygpt: Run) -> None:
    assert json.loads(xraygpt("query", "SELECT 1", "--json").stdout) == ANSWER | {"truncated": False}


@pytest.mark.parametrize("words", [(), ("--json",), ("--format", "csv"), ("--output", "x.csv")])
def test_missing_rows_are_said_and_end_with_3(
    fake_gateway: Any, xraygpt: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    fake_gateway.answers["POST /v1/query"] = ANSWER | {"truncated": True}
    done = xraygpt("query", "SELECT 1", *words)
    assert done.exit_code == 3
    assert "rows are missing: these are the first 4" in done.stderr
    if words == ("--json",):
        assert json.loads(done.stdout)["truncated"] is True


def test_csv_round_trips_and_defuses_formulas_unless_it_is_raw(xraygpt: Run) -> None:
    defused, raw = (xraygpt("query", "SELECT 1", "--format", "csv", *more).stdout_bytes for more in ((), ("--raw",)))
    assert defused == raw.replace(b"=1+1", b"'=1+1")
    rows = [f'{STUDY},"No effusion.\nHeart normal.",1', f"{STUDY},,-2", f'{STUDY},"",3', f"{STUDY},=1+1,4"]
    assert raw.decode() == "".join(f"{row}\r\n" for row in ["study_id,summary,n", *rows])


def test_hostile_texts_come_back_from_csv_and_lines_of_json(fake_gateway: Any, xraygpt: Run) -> None:
    hostile = {"columns": ["t"], "types": ["text"], "rows": [[text] for text in STRINGS], "truncated": False}
    fake_gateway.answers["POST /v1/query"] = hostile
    written = xraygpt("query", "SELECT 1", "--format", "csv", "--raw").stdout_bytes.decode()
    assert [row[0] for row in csv.reader(io.StringIO(written, newline=""), strict=True)][1:] == STRINGS
    lines = xraygpt("query", "SELECT 1", "--format", "jsonl").stdout_bytes.decode()
    assert [json.loads(line)["t"] for line in lines.splitlines()] == STRINGS


def test_csv_on_a_terminal_steers_nothing(fake_gateway: Any, xraygpt: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = {"columns": ["t"], "types": ["text"], "rows": [[text] for text in STRINGS], "truncated": False}
    fake_gateway.answers["POST /v1/query"] = hostile
    monkeypatch.setattr(writing, "_on_terminal", lambda: True)
    assert xraygpt("query", "SELECT 1", "--format", "csv").stdout.replace("\n", "").isprintable()


def test_digits_that_a_float_would_lose_arrive(fake_gateway: Any, xraygpt: Run) -> None:
    digits = "0.12345678901234567890123"
    answer = f'{{"columns": ["n"], "types": ["numeric"], "truncated": false, "rows": [[{digits}]]}}'
    fake_gateway.answers["POST /v1/query"] = answer.encode()
    for form in ("csv", "jsonl", "table"):
        assert digits in xraygpt("query", "SELECT 1", "--format", form).stdout
    assert digits in xraygpt("query", "SELECT 1", "--json").stdout


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl", "x.parquet", "x.txt"])
def test_a_files_name_says_its_format_and_only_its_owner_reads_it(xraygpt: Run, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_text("what was there before")
    done = xraygpt("query", "SELECT 1", "--output", str(file))
    assert (done.exit_code, done.stdout) == (0, "")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [name], "nothing is left beside it"
    if not name.endswith("txt"):
        with duckdb.connect() as connection:
            assert connection.execute(f"SELECT n FROM '{file}'").fetchall() == [(1,), (-2,), (3,), (4,)]


def test_what_cannot_be_written_leaves_the_file_as_it_was(fake_gateway: Any, xraygpt: Run, tmp_path: Path) -> None:
    fake_gateway.answers["POST /v1/query"] = {"columns": ["a", "a"], "rows": [[1, 2]], "truncated": False}
    file = tmp_path / "x.jsonl"
    file.write_text("what was there before")
    assert "2 columns are named a" in str(xraygpt("query", "SELECT 1", "-o", str(file)).exception)
    assert file.read_text() == "what was there before"
    assert list(tmp_path.iterdir()) == [file]


def test_a_device_is_not_replaced(xraygpt: Run) -> None:
    assert "no regular file" in str(xraygpt("query", "SELECT 1", "-o", os.devnull).exception)
    assert not Path(os.devnull).is_file()


def test_parquet_goes_through_a_pipe_and_not_onto_a_terminal(
    xraygpt: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x").write_bytes(xraygpt("query", "SELECT 1", "--format", "parquet").stdout_bytes)
    with duckdb.connect() as connection:
        assert len(connection.execute(f"SELECT * FROM read_parquet('{tmp_path / 'x'}')").fetchall()) == len(ROWS)
    monkeypatch.setattr(writing, "_on_terminal", lambda: True)
    assert "no text for a terminal" in str(xraygpt("query", "SELECT 1", "--format", "parquet").exception)

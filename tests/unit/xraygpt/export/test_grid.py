"""Tables: nothing is shortened, and nothing steers the terminal."""

import pytest
from rich.cells import cell_len

from tests.support.hostile_strings import STRINGS
from xraygpt.export.grid import grid_lines
from xraygpt.export.result import Result

STUDY = "0197c1d2-0000-7000-8000-000000000001"
TEXT = "No acute abnormality. " * 20


def shown(result: Result, width: int = 80) -> str:
    return "".join(grid_lines(result, width))


def test_a_table_that_fits_has_a_line_for_each_row() -> None:
    lines = shown(Result(["view", "n"], ["text", "bigint"], [["PA", 5], [None, 123]], False)).splitlines()
    assert lines == ["view │ n", "─────┼────", "PA   │   5", "     │ 123"]


def test_a_table_that_does_not_fit_is_written_row_by_row() -> None:
    lines = shown(Result(["study_id", "summary"], ["uuid", "text"], [[STUDY, TEXT]], False)).splitlines()
    assert lines[0].startswith("── 1 ──")
    assert lines[1] == f"study_id  {STUDY}"
    assert lines[2] == f"summary   {TEXT}".rstrip()


@pytest.mark.parametrize("width", [40, 400, 10_000])
def test_ids_and_texts_are_whole_at_every_width(width: int) -> None:
    written = shown(Result(["id", "t", "n"], ["uuid", "text", "numeric"], [[STUDY, TEXT, 1]], False), width)
    assert STUDY in written
    assert TEXT.strip() in written


@pytest.mark.parametrize("width", [30, 5000])
def test_no_value_and_no_name_steers_the_terminal(width: int) -> None:
    written = shown(Result(["\x1b[2J", "t"], ["text", "text"], [[text, "x"] for text in STRINGS], False), width)
    assert written.replace("\n", "").isprintable()
    assert "[red]Signed[/red]" in written, "nothing is markup"


def test_lines_of_a_value_stand_below_each_other() -> None:
    lines = shown(Result(["t", "n"], ["text", "integer"], [["a\r\nbc", 1]], False)).splitlines()
    assert lines[2:] == ["a  │ 1", "bc │"]
    record = shown(Result(["t", "n"], ["text", "integer"], [["a\nbc", 1]], False), width=2).splitlines()
    assert record[1:] == ["t  a", "   bc", "n  1"]


def test_wide_letters_count_twice() -> None:
    lines = shown(Result(["t", "u"], ["text", "text"], [["胸部", "x"], ["ab", "y"]], False)).splitlines()
    assert {cell_len(line.partition("│")[0]) for line in lines if "│" in line} == {5}


def test_a_result_without_rows_names_its_columns_whatever_their_width() -> None:
    assert "summary" in shown(Result(["study_id", "summary"], ["uuid", "text"], [], False), width=5)

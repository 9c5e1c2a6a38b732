"""Texts fit the cells of a terminal, whatever letters are in them."""

import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from xraygpt import terminal
from xraygpt.terminal import cut, cut_middle, one_line, padded, spoken, width, wrapped

# Letters of one, two and no cells, words and spaces, and what would steer a terminal.
FOREIGN = st.text(st.sampled_from("ab z.-_/\\0胸片é\u0301\u200d\u202e\x1b[\x07\n\t\x9b👩🏽Ω\ud83d"), max_size=60)
CELLS = st.integers(1, 50)


@given(FOREIGN)
def test_foreign_text_becomes_one_line_of_visible_letters(text: str) -> None:
    shown = one_line(text)
    assert shown.isprintable()
    assert shown == shown.strip()


@given(FOREIGN.map(one_line), CELLS)
def test_a_cut_text_fits_and_one_that_fits_is_whole(text: str, cells: int) -> None:
    for cutting in (cut, cut_middle):
        shown = cutting(text, cells)
        assert cell_len(shown) <= cells
        assert (shown == text) == (cell_len(text) <= cells)
        assert "…" in shown or cell_len(text) <= cells


def test_the_end_of_a_name_is_kept_for_it_tells_files_apart() -> None:
    assert cut_middle("a-very-long-name-of-a-film-0282.jpg", 20) == "a-very-…ilm-0282.jpg"
    assert cut_middle("胸片胸片胸片胸片胸片.dcm", 12).endswith("片.dcm")


@given(FOREIGN.map(one_line), CELLS, CELLS, st.integers(1, 4))
def test_wrapped_lines_fit_and_lose_no_letter_unless_they_say_so(text: str, first: int, more: int, lines: int) -> None:
    found = wrapped(text, first, more, lines)
    assert 1 <= len(found) <= lines
    assert all(cell_len(line) <= (more if place else first) for place, line in enumerate(found))
    if not found[-1].endswith("…"):
        assert "".join(found).replace(" ", "") == text.replace(" ", "")


def test_lines_break_between_words() -> None:
    assert wrapped("No acute abnormality of the chest", 12, 20, 2) == ["No acute", "abnormality of the…"]
    assert wrapped("abnormality of the chest", 5, 30, 2) == ["", "abnormality of the chest"]


def test_a_column_is_filled_by_cells() -> None:
    assert padded("胸", 4) == "胸  "
    assert padded("chest", 4) == "chest"


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("utf-8", "✓ 胸 ⚠ a…"), ("ascii", "+ ? ! a~"), ("latin-1", "+ ? ! a~"), ("gbk", "+ 胸 ! a~")],
)
def test_a_terminal_without_these_letters_gets_plain_ones(encoding: str, shown: str) -> None:
    assert spoken("✓ 胸 ⚠ a…", io.TextIOWrapper(io.BytesIO(), encoding)) == shown


@given(FOREIGN.map(one_line))
def test_plain_letters_change_no_width_of_our_own_signs(text: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), "ascii")
    assert len(spoken(f"✓✗‼⚠·…–—“”’→{text}", stream)) == 12 + len(text)


def test_the_width_is_the_terminals_or_that_of_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert width(io.StringIO()) is None
    master, slave = os.openpty()
    with os.fdopen(master), os.fdopen(slave, "w") as stream:
        assert width(stream) == 80, "this one does not say how wide it is"
    for given_, columns in (("80", 80), ("7", terminal.NARROWEST), ("0", None), ("many", None)):
        monkeypatch.setenv("COLUMNS", given_)
        assert width(io.StringIO()) == columns

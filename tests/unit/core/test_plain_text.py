"""Letters that act are marked, escaped or refused; letters of languages stay."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import api_gateway
from xraygpt_core.plain_text import json_text, plain_text, unseen

# C0, DEL, C1 (also as 8-bit CSI and OSC), directional, without width, line and paragraph separators, halves, tags.
ACTING = [
    *map(chr, (*range(9), 11, 12, *range(14, 32), *range(0x7F, 0xA0))),
    *"\u200b\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2028\u2029\ufeff\U000e0041",
]
NEEDED = ["Röntgen", "胸部", "می‌خواهم", "क्‍ष", "עברית\u200f", "soft\u00adhyphen", "12\u00a0mm", "zwei\nZeilen\t."]


@pytest.mark.parametrize("letter", [*ACTING, "\ud800"], ids=ascii)
def test_a_letter_that_acts_reaches_no_screen_no_document_and_no_signed_text(letter: str) -> None:
    text = f"a{letter}b"
    assert plain_text(text) == "a�b"
    assert letter not in json_text({"source": text, letter: 1})
    assert json.loads(json_text({"source": text, letter: 1}, indent=2)) == {"source": text, letter: 1}
    assert unseen(text) == f"U+{ord(letter):04X}"


@pytest.mark.parametrize("text", NEEDED)
def test_letters_of_languages_may_be_written(text: str) -> None:
    assert unseen(text) is None


def test_lines_stay_where_there_may_be_lines() -> None:
    assert plain_text("a\nb\tc\u00a0d") == "a\nb c d"
    assert plain_text("a\nb", lines=False) == "a�b"


@given(st.text())
def test_what_is_shown_is_seen_and_what_is_a_document_says_the_same(text: str) -> None:
    assert plain_text(text, lines=False).isprintable()
    assert json.loads(json_text(text)) == text
    assert json_text(text).isprintable()


def test_the_page_marks_what_the_gateway_refuses() -> None:
    """The page shows texts of models, too, which nobody could refuse."""
    script = (Path(api_gateway.__file__).parent / "static" / "dom.js").read_text()
    found = re.search(r"const ACTING = /(\[.*\])/g;", script)
    assert found is not None
    acting = re.compile(found[1])
    assert [letter for letter in ACTING if len(ascii(letter)) < 9 and not acting.search(letter)] == []
    assert [text for text in NEEDED if acting.search(text)] == []

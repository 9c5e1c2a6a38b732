"""The reading room and the pages name every lane, state, flag and reason code of ``states.py``, and no other.

So a reason code is added in four files: ``states.py``, the check that raises it, ``words.js`` and ``docs/dicom.md``.
"""

import re
from enum import StrEnum
from pathlib import Path

import pytest

from xraygpt_core.report.text_labels import FINDINGS
from xraygpt_core.states import (
    DOUBTS,
    NOTICE,
    TERMINAL_STUDY_STATES,
    Flag,
    Lane,
    ReasonCode,
    ReviewAction,
    ReviewState,
    StudyState,
)

ROOT = Path(__file__).parents[3]
WORDS = (ROOT / "api_gateway" / "static" / "words.js").read_text()


def constant(name: str) -> str:
    """The value of an exported constant of words.js, as it is written."""
    found = re.search(rf"^export const {name} = (.*?);$", WORDS, re.DOTALL | re.MULTILINE)
    assert found is not None, f"words.js exports no {name}"
    return found[1]


def keys_of(name: str) -> list[str]:
    return re.findall(r"(?:^|[{,])\s*(\w+): (?:\[\s*)?(?:t\()?\"", constant(name), re.MULTILINE)


def elements_of(name: str) -> list[str]:
    return re.findall(r'"(\w+)"', constant(name))


def section(page: str, heading: str) -> str:
    text = (ROOT / "docs" / page).read_text()
    return re.split(r"^#+ ", text.partition(f"{heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("LANES", Lane),
        ("STATES", StudyState),
        ("REASONS", ReasonCode),
        ("FLAGS", Flag),
        ("REVIEWS", ReviewState),
        ("ACTS", ReviewAction),
        ("DID", ReviewAction),
    ],
)
def test_the_reading_room_has_a_text_for_each_word_and_for_no_other(name: str, words: type[StrEnum]) -> None:
    assert sorted(keys_of(name)) == sorted(words)


def test_the_reading_room_has_a_word_for_each_finding_that_texts_are_read_for() -> None:
    assert sorted(keys_of("FINDINGS")) == sorted(FINDINGS)


def test_the_reading_room_knows_the_same_doubts_and_the_same_ends_as_the_ledger() -> None:
    assert set(elements_of("DOUBTS")) == DOUBTS
    assert set(elements_of("UNREAD")) == TERMINAL_STUDY_STATES - {StudyState.SUMMARISED}
    assert set(elements_of("OPEN")) == set(StudyState) - TERMINAL_STUDY_STATES
    assert constant("NOTICE") == f't("{NOTICE}")'


def test_each_reason_code_stands_on_the_page_about_images_with_its_cause() -> None:
    reasons = section("dicom.md", "## Why an image is rejected")
    assert [code for code in ReasonCode if f"`{code}`" not in reasons] == []
    assert set(re.findall(r"^\| `(\w+)` \|", reasons, re.MULTILINE)) <= set(ReasonCode)


def test_each_flag_stands_on_the_page_about_texts() -> None:
    flags = section("api.md", "### What to know about a text")
    assert [flag for flag in Flag if f"`{flag}`" not in flags] == []


def test_each_doubt_stands_there_as_one() -> None:
    flags = section("api.md", "### What to know about a text")
    about_films = flags.partition("Other flags are about the film:")[2].partition("(doubts:")[0]
    assert set(re.findall(r"`(\w+)`", about_films)) | {Flag.OUT_OF_SCOPE, Flag.CUT_OFF, Flag.CONSISTENCY} == DOUBTS

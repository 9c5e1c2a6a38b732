"""docs/glossary.md explains each word once, in order to be looked up, and its places in the code are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ROWS = re.findall(r"^\| (\*\*.*?) \| (.*) \| (.*) \|$", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)
WORDS = [word.lower() for row in ROWS for word in re.findall(r"\*\*(.+?)\*\*", row[0])]


def test_every_word_is_explained_once() -> None:
    assert len(WORDS) == len(set(WORDS))


STRANGE = """
    lane lease epoch fence bundle doorbell phantom sandbox settle projector consumer executor revision alias supersede
    scope consistency
"""


@pytest.mark.parametrize("word", STRANGE.split())
def test_a_word_that_a_stranger_meets_is_explained(word: str) -> None:
    assert word in WORDS


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip("*"))
def test_a_place_in_the_code_is_there(row: tuple[str, str, str]) -> None:
    (place,) = re.findall(r"`([^`]+)`", row[2])
    assert (ROOT / place).exists()
    assert (ROOT / place).is_dir() == place.endswith("/")


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_the_glossary_is_linked(page: str) -> None:
    assert "](docs/glossary.md)" in (ROOT / page).read_text()

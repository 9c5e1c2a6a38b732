"""Every sentence of the pages has a name, and each list of words translates all of them."""

import json
import re
from pathlib import Path

import pytest

import api_gateway
from xraygpt_core.ledger.access.preferences import Language
from xraygpt_core.states import Rejection

FOLDER = Path(api_gateway.__file__).parent / "static"
LISTS = {path.stem.removeprefix("words_"): path for path in FOLDER.glob("words_*.js")}
SCRIPTS = [path for path in sorted(FOLDER.glob("*.js")) if path not in LISTS.values()]
CALL = re.compile(r"(?<!\w)(?<!\w\.)(?:t|phrase)\(\s*(\"(?:[^\"\\]|\\.)*\"|)")
MACHINERY = {"language.js", "phrase.js"}
VALUE = re.compile(r"\{(\w+)\}")
HEAD, TAIL = "export default ", ";\n"


def sentences() -> set[str]:
    """The English of every sentence, as the modules name it."""
    calls = [found for path in SCRIPTS for found in CALL.findall(path.read_text()) if path.name not in MACHINERY]
    return {json.loads(found) for found in calls}


def words(language: str) -> dict[str, str]:
    """A list of words: JSON after the head."""
    text = LISTS[language].read_text()
    start = text.index(HEAD) + len(HEAD)
    assert text.endswith(TAIL)
    found: dict[str, str] = json.loads(text[start : -len(TAIL)])
    return found


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_sentence_is_named_by_its_english_and_not_put_together(script: Path) -> None:
    if script.name not in MACHINERY:
        assert "" not in CALL.findall(script.read_text())


def test_every_language_that_can_be_chosen_has_a_list() -> None:
    assert set(LISTS) == set(Language) - {Language.ENGLISH}


@pytest.mark.parametrize("language", sorted(set(Language) - {Language.ENGLISH}))
def test_a_list_has_every_sentence_and_no_other(language: str) -> None:
    have, need = set(words(language)), sentences()
    assert sorted(need - have) == []
    assert sorted(have - need) == []


@pytest.mark.parametrize("language", sorted(set(Language) - {Language.ENGLISH}))
def test_a_translation_has_the_same_values_and_is_not_empty(language: str) -> None:
    differ = {
        english: translated
        for english, translated in words(language).items()
        if set(VALUE.findall(english)) != set(VALUE.findall(translated)) or not translated.strip()
    }
    assert differ == {}


def test_the_page_asks_for_the_reasons_of_a_rejection_that_the_gateway_knows() -> None:
    (listed,) = re.findall(r"export const REJECTIONS = \{(.*?)\n\};", (FOLDER / "words.js").read_text(), re.DOTALL)
    assert re.findall(r"^  (\w+):", listed, re.MULTILINE) == list(Rejection)

"""docs/settings.md has each setting of xraygpt_core/settings.py, with its default, and no other."""

import re
from enum import Enum
from pathlib import Path

import pytest

from xraygpt_core.settings import Settings
from xraygpt_core.token_bucket import TokenBucket

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "settings.md").read_text()
OF_PROCESSES = PAGE.partition("\n## Beside the processes\n")[0]
ROWS = re.findall(r"^\| (`XRAYGPT.*?) \| (.*?) \| (.*?) \|$", OF_PROCESSES, re.MULTILINE)
SAID = {
    name.lower(): default.strip("`") for names, default, _ in ROWS for name in re.findall(r"`XRAYGPT_(\w+)`", names)
}


def written(name: str) -> str:
    """The default of a setting as the page writes it."""
    field = Settings.model_fields[name]
    if field.is_required():
        return "required"
    match field.default:
        case None | ():
            return "none"
        case bool(value):
            return str(value).lower()
        case Enum() as word:
            return str(word.value)
        case float(value):
            return f"{value:g}" if value < 1e6 else str(int(value))
        case TokenBucket() as bucket:
            return bucket.written
        case value:
            return str(value)


def test_every_setting_has_its_row_and_no_row_is_of_something_else() -> None:
    assert set(SAID) == set(Settings.model_fields)


@pytest.mark.parametrize("name", sorted(set(Settings.model_fields) - {"models"}))
def test_the_page_has_the_default_of_the_code(name: str) -> None:
    assert SAID[name] == written(name)


def test_the_settings_that_a_process_ignores_are_read_elsewhere() -> None:
    beside = re.findall(r"`XRAYGPT_(\w+)`", PAGE.partition("\n## Beside the processes\n")[2])
    code = "".join(file.read_text() for folder in ("xraygpt", "xraygpt_core") for file in (ROOT / folder).rglob("*.py"))
    for name in set(beside) - {"INGEST_DATABASE_URL"}:
        assert re.search(rf"XRAYGPT_{name}\b|\b{name.lower()}\b", code), name


@pytest.mark.parametrize("page", ["README.md", "docs/operations.md"])
def test_the_page_is_linked(page: str) -> None:
    assert "settings.md)" in (ROOT / page).read_text()

"""CONTRIBUTING.md says which files a change touches: few, and they are there."""

import re
from pathlib import Path
from typing import get_args

import pytest

from xraygpt.commands.training import Stage
from xraygpt_core.states import ReasonCode
from xraygpt_core.training.datasets.read import _READERS
from xraygpt_core.training.mixture import DRAWN, READERS
from xraygpt_core.training.preset import STAGES
from xraygpt_core.training.presets import PRESETS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "CONTRIBUTING.md").read_text()
LISTS = dict(re.findall(r"^\*\*… (.+?)\*\*\n((?:(?:\d\.|  ) .*\n)+)", PAGE, re.MULTILINE))
MOST = 4


def named(text: str) -> list[str]:
    """The files and folders that a text names; ``<name>`` stands for a new one."""
    return [name for name in re.findall(r"`([\w<>./-]+/(?:[\w<>.-]+\.\w+)?)`", text) if "<" not in name]


def test_each_kind_of_change_has_its_list() -> None:
    of_studies = {"a route", "a reason code", "a lane", "a job kind", "a column of the summary", "an encoder"}
    assert set(LISTS) == of_studies | {"a reader of sets", "a preset", "a stage"}


@pytest.mark.parametrize("change", LISTS)
def test_a_change_touches_few_files(change: str) -> None:
    assert 0 < len(re.findall(r"^\d\. ", LISTS[change], re.MULTILINE)) <= MOST


def test_every_file_and_folder_that_the_page_names_is_there() -> None:
    assert len(named(PAGE)) > 20
    assert [name for name in named(PAGE) if not (ROOT / name).exists()] == []


def test_a_reason_code_is_where_its_list_says() -> None:
    words, page = (ROOT / "api_gateway/static/words.js").read_text(), (ROOT / "docs/dicom.md").read_text()
    assert {"api_gateway/static/words.js", "docs/dicom.md"} <= set(named(LISTS["a reason code"]))
    rejected = set(ReasonCode) - {ReasonCode.REPLACED}
    assert [code for code in rejected if code not in words or f"`{code}`" not in page] == []


def test_a_stage_is_named_where_its_list_says() -> None:
    assert set(get_args(Stage)) == set(STAGES) == {preset.stage for preset in PRESETS.values()}


def test_a_reader_of_sets_is_named_where_its_list_says() -> None:
    assert set(_READERS) == set(READERS) - DRAWN - {"ledger"}


def test_a_route_is_where_its_list_says() -> None:
    listed = set(named(LISTS["a route"]))
    tests = {f"tests/integration/gateway/test_{name}.py" for name in ("audit", "done_once")}
    assert listed == {"api_gateway/app.py", "docs/api.md"} | tests
    assert "<!-- roles -->" in (ROOT / "docs/api.md").read_text()
    assert "\nACTS" in (ROOT / "tests/integration/gateway/test_audit.py").read_text()

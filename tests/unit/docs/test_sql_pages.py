"""docs/sql.md describes the views that the migrations make. Its queries run in tests/integration."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs" / "sql.md").read_text()
VERSIONS = [
    path.read_text() for path in sorted((ROOT / "migrations/versions").glob("*.sql")) if "undo" not in path.name
]
VIEWS = "\n".join(VERSIONS)
NAMES = list(dict.fromkeys(re.findall(r"CREATE VIEW (\w+) AS", VIEWS)))
QUERIES = re.findall(r"```sql\n(.*?)```", DOCUMENT, re.DOTALL)


def columns_of(view: str) -> list[str]:
    """The columns a view is created with: of each item of its select list, the last word."""
    made = re.compile(rf"CREATE (?:OR REPLACE )?VIEW {view} AS\nSELECT")
    body = made.split(VIEWS)[-1].partition("\nFROM")[0]
    items, depth = [""], 0
    for letter in body:
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            items.append("")
        else:
            items[-1] += letter
    return [re.findall(r"\w+", item)[-1] for item in items]


def documented(view: str) -> list[str]:
    """The first column of the table below a view's heading."""
    section = DOCUMENT.partition(f"\n## {view}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| (\w+) \| (?!type)", section, re.MULTILINE)


def test_every_view_has_its_section() -> None:
    assert {"study_summaries", "backlog_progress", "chat_transcripts", "dead_jobs", "training_progress"} < set(NAMES)
    assert sorted(re.findall(r"^## (\w+)$", DOCUMENT, re.MULTILINE)) == sorted(NAMES)


@pytest.mark.parametrize("view", NAMES)
def test_a_view_is_described_column_by_column(view: str) -> None:
    assert documented(view) == columns_of(view)


def test_the_reader_may_select_the_described_views() -> None:
    granted = re.findall(r"GRANT SELECT ON ([\w, ]+) TO xraygpt_reader;", VIEWS)
    assert list(dict.fromkeys(", ".join(granted).split(", "))) == NAMES


def test_every_view_is_used_in_a_worked_query() -> None:
    assert len(QUERIES) >= 6
    for view in NAMES:
        assert any(re.search(rf"\b{view}\b", query) for query in QUERIES), view


def test_no_view_shows_where_an_object_lies() -> None:
    for view in NAMES:
        assert not {"bucket", "key", "prefix", "start_after", "etag"} & set(columns_of(view))

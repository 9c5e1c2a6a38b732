"""Rows of a list as CSV: what goes in comes out, and nothing of it runs in a spreadsheet."""

import csv
import io
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_gateway.list_csv import COLUMNS, csv_of
from xraygpt_core.ids import new_id
from xraygpt_core.ledger.lists.rows import WorklistRow
from xraygpt_core.states import NOTICE


def row(**changes: Any) -> WorklistRow:
    values: dict[str, Any] = dict.fromkeys(WorklistRow.__dataclass_fields__) | {
        "study_id": new_id(),
        "lane": "stat",
        "state": "summarised",
        "images": 2,
        "flags": ["synthetic", "consistency"],
        "received_at": datetime(2026, 3, 1, tzinfo=UTC),
        "acquired_on": date(2026, 2, 28),
        "supersedes_reviewed": False,
        "picture": True,
        "opening": "Normal.",
    }
    return WorklistRow(**(values | changes))


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_a_line_of_names_stands_above_a_line_for_each_row_and_each_says_what_its_text_is() -> None:
    (line, empty) = read(csv_of([row(asserted=["effusion", "nodule"]), row(opening=None)]))
    assert tuple(line) == (*COLUMNS, "notice")
    assert (line["asserted"], line["flags"], line["acquired_on"]) == (
        "effusion nodule",
        "synthetic consistency",
        "2026-02-28",
    )
    assert (line["notice"], line["reviewed_by"], line["images"]) == (NOTICE, "", "2")
    assert empty["notice"] == ""


@given(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    st.text(st.characters(exclude_characters="\0")),
)
def test_every_text_comes_out_as_it_went_in_but_for_the_mark_of_a_formula(opening: str, name: str) -> None:
    (line,) = read(csv_of([row(opening=opening, reviewed_by=name)]))
    for column, text in (("opening", opening), ("reviewed_by", name)):
        assert line[column] in (text, f"'{text}")


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "\n=1", "＝1", '=HYPERLINK("x")']
)
def test_what_a_spreadsheet_would_run_begins_with_an_apostrophe(text: str) -> None:
    (line,) = read(csv_of([row(opening=text, assigned_to=text, flags=[text])]))
    assert line["opening"] == line["assigned_to"] == line["flags"] == f"'{text}"

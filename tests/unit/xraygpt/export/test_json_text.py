"""Lines of JSON and the one document: every digit, every letter, and no two columns of one name."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.hostile_strings import STRINGS
from xraygpt.export.json_text import json_document, json_lines
from xraygpt.export.result import Result, Unwritable

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner), max_leaves=6
)


def as_decimals(value: Any) -> Any:
    """Whole numbers may come back as int or Decimal: equal is equal."""
    return json.loads(value, parse_float=Decimal)


@settings(max_examples=40)
@given(st.lists(VALUES, min_size=1, max_size=4))
def test_a_row_comes_back_with_every_digit(row: list[Any]) -> None:
    columns = [f"c{place}" for place in range(len(row))]
    result = Result(columns, ["text"] * len(row), [row], False)
    (line,) = json_lines(result)
    assert line.endswith("\n")
    assert line[:-1].isprintable(), "no letter ends the line or steers a terminal"
    assert as_decimals(line) == dict(zip(columns, row, strict=True))
    assert as_decimals("".join(json_document(result)))["rows"] == [row]


def test_numbers_that_a_float_would_round_stay_as_they_are() -> None:
    digits = "0.1234567890123456789012345"
    result = Result(["n", "i"], ["numeric", "bigint"], [[Decimal(digits), 2**63 - 1]], False)
    assert "".join(json_lines(result)) == f'{{"n":{digits},"i":9223372036854775807}}\n'


def test_hostile_texts_come_back() -> None:
    result = Result(["t"], ["text"], [[text] for text in STRINGS], False)
    assert [json.loads(line)["t"] for line in json_lines(result)] == STRINGS


@pytest.mark.parametrize("truncated", [True, False])
def test_the_document_says_whether_rows_are_missing(truncated: bool) -> None:
    result = Result(["a", "a"], ["integer", "text"], [[1, None]], truncated)
    found = json.loads("".join(json_document(result)))
    assert found == {"columns": ["a", "a"], "types": ["integer", "text"], "rows": [[1, None]], "truncated": truncated}


def test_a_document_without_rows_is_whole() -> None:
    assert json.loads("".join(json_document(Result(["a"], ["text"], [], False))))["rows"] == []


def test_two_columns_of_one_name_are_refused_where_one_would_hide_the_other() -> None:
    with pytest.raises(Unwritable, match="2 columns are named a: give each a name of its own with AS"):
        list(json_lines(Result(["a", "A"], ["integer", "integer"], [[1, 2]], False)))

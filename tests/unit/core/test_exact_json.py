"""JSON whose numbers keep every digit."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xraygpt_core.exact_json import exact_fraction, exact_json

SCALARS = st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


@given(VALUES)
def test_every_value_comes_back(value: Any) -> None:
    assert json.loads(exact_json(value), parse_float=exact_fraction) == value


def test_digits_stay_as_they_are() -> None:
    digits = "[0.10000000000000000000001,-1E-40,12.50]"
    assert exact_json(json.loads(digits, parse_float=exact_fraction)) == digits


def test_a_number_beyond_all_measure_becomes_text() -> None:
    assert exact_fraction("1e99999999999999999999") == "1e99999999999999999999"


def test_what_json_cannot_say_is_refused() -> None:
    with pytest.raises(TypeError):
        exact_json([Decimal(1), object()])

"""Lines of ``progress.jsonl``: a point, or nothing; whatever is in them."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.training_carrier import point_of
from xraygpt_core.ledger.training.curves import Point


def test_a_line_is_a_point() -> None:
    line = {"step": 3, "steps": 9, "loss": 1.5, "samples_per_s": 2, "held_out": 1.25, "swapped": 3.0, "lr": 0.1}
    assert point_of(json.dumps(line).encode()) == Point(3, 9, 1.5, 2.0, 1.25, 3.0)
    assert point_of(b'{"step": 0, "held_out": 2.5}') == Point(0, None, None, None, 2.5)


@pytest.mark.parametrize("value", ["9" * 400, "NaN", "Infinity", "-Infinity", "true", '"1"', "null", "[]"])
def test_a_loss_that_is_no_number_is_none(value: str) -> None:
    assert point_of(b'{"step": 1, "steps": 2, "loss": %s}' % value.encode()) == Point(1, 2, None, None)


@pytest.mark.parametrize(
    "line", [b"", b"{", b"[]", b"1", b"null", b'{"steps": 3}', b'{"step": -1}', b'{"step": 1.5}', b'{"step": true}',
             b'{"step": 99999999999}', b'{"step": 1, "steps": "2"}',
             b'{"step": 1, "steps": 99999999999}', b'{"step": 1, "steps": -1}', b"\xff", b"[" * 100_000],
)  # fmt: skip
def test_a_line_that_is_no_point_is_passed_over(line: bytes) -> None:
    assert point_of(line) is None


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner)))
def test_a_point_holds_only_what_a_database_and_a_browser_can_hold(value: Any) -> None:
    names = ("loss", "samples_per_s", "held_out", "swapped")
    point = point_of(json.dumps({"step": 1} | dict.fromkeys(names, value)).encode())
    assert point is not None
    assert all(one is None or math.isfinite(one) for one in (point.loss, point.held_out, point.swapped))

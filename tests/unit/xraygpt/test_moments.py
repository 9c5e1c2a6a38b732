"""Moments as people write them."""

from datetime import UTC, datetime, timedelta

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from xraygpt.moments import moment, since_then


@pytest.mark.parametrize(
    ("text", "ago"),
    [("900s", 900), ("15m", 900), ("15 min", 900), ("2h", 7200), (" 7D ", 7 * 86400)],
)
def test_how_long_ago(text: str, ago: float) -> None:
    assert abs(since_then(moment(text)) - ago) < 120


def test_a_date_without_a_zone_is_local() -> None:
    assert moment("2026-11-30") == datetime(2026, 11, 30).astimezone()
    assert moment("2026-11-30T08:15+02:00") == datetime(2026, 11, 30, 6, 15, tzinfo=UTC)


def test_what_is_to_come_is_no_time_ago() -> None:
    assert since_then(datetime.now(UTC) + timedelta(hours=1)) == 0.0


@given(st.text())
def test_anything_else_is_refused_in_a_sentence(text: str) -> None:
    try:
        assert moment(text).tzinfo is not None
    except typer.BadParameter:
        with pytest.raises(typer.BadParameter, match="write 2026-01-31"):
            moment(text)

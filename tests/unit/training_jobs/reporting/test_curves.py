"""Curves: from a file of progress of any length to a drawing and a few numbers."""

import json
from pathlib import Path
from xml.etree.ElementTree import tostring

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training_jobs.reporting.curves import chart, read_progress


def written(path: Path, lines: list[object]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_short_runs_are_drawn_step_by_step(tmp_path: Path) -> None:
    file = written(tmp_path / "p", [{"step": n, "steps": 3, "loss": 4.0 - n, "tokens": 9} for n in (1, 2, 3)])
    progress = read_progress(file)
    assert progress.curves == {"loss": [(1, 3.0), (2, 2.0), (3, 1.0)]}
    assert (progress.last, progress.steps, progress.unread) == ({"loss": 1.0}, 3, 0)


def test_long_runs_are_drawn_by_means_of_neighbouring_steps(tmp_path: Path) -> None:
    file = written(tmp_path / "p", [{"step": n, "loss": float(n)} for n in range(1, 10_001)])
    points = read_progress(file).curves["loss"]
    assert 100 < len(points) <= 400
    assert all(abs(step - value) < 1e-6 for step, value in points)


def test_held_out_losses_stand_among_the_steps(tmp_path: Path) -> None:
    lines = [{"step": 1, "loss": 2.0}, {"step": 1, "held_out": 2.5, "swapped": 2.6}, {"step": 2, "loss": 1.5}]
    curves = read_progress(written(tmp_path / "p", lines)).curves
    assert (curves["held_out"], curves["swapped"]) == ([(1, 2.5)], [(1, 2.6)])


def test_steps_that_a_killed_run_took_twice_do_not_bend_the_curve(tmp_path: Path) -> None:
    steps = [1, 2, 3, 2, 3, 4]
    points = read_progress(written(tmp_path / "p", [{"step": n, "loss": n / 2} for n in steps])).curves["loss"]
    assert points == [(n, n / 2) for n in (1, 2, 3, 4)]


@pytest.mark.parametrize(
    "line", ["{", "[]", "null", '{"loss": 1}', '{"step": "x"}', '{"step": 1, "loss": NaN}', '{"step": -1}', "\x00"]
)
def test_a_line_that_is_none_is_counted_and_left_out(tmp_path: Path, line: str) -> None:
    (tmp_path / "p").write_text(f'{{"step": 1, "loss": 2}}\n{line}\n')
    progress = read_progress(tmp_path / "p")
    assert (progress.unread, progress.curves) == (1, {"loss": [(1, 2.0)]})


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 10**9), st.floats(-1e9, 1e9)), min_size=1, max_size=20))
def test_every_curve_can_be_drawn(tmp_path_factory: pytest.TempPathFactory, points: list[tuple[int, float]]) -> None:
    file = written(tmp_path_factory.mktemp("p") / "p", [{"step": step, "loss": loss} for step, loss in points])
    drawn = tostring(chart("Loss", [("training", read_progress(file).curves["loss"])]), encoding="unicode")
    assert drawn.count("<polyline") == 1
    assert "nan" not in drawn
    assert "inf" not in drawn


def test_a_drawing_has_a_title_and_a_name_for_each_curve() -> None:
    drawn = tostring(chart("Loss <of> it", [("a", [(1, 2.0), (5, 1.0)]), ("b", [(2, 3.0)]), ("c", [])]), "unicode")
    assert "<title>Loss &lt;of&gt; it</title>" in drawn
    assert drawn.count("<polyline") == 2
    assert ">b</text>" in drawn
    assert ">c</text>" not in drawn

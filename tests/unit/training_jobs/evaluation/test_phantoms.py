"""Drawn films: that scores and controls measure what they say."""

import pytest

from training_jobs.drawers.drawings import PHANTOMS, SKETCHES
from training_jobs.evaluation.cases import BLANK, Case, write_all
from training_jobs.evaluation.phantoms import drawn_cases, score_drawn
from xraygpt_core.errors import TrainingError


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return drawn_cases(PHANTOMS, 40, 0, "held_out")


def test_the_truth_scores_one_and_the_controls_do_not(cases: list[Case]) -> None:
    result = score_drawn(cases, [case.report for case in cases], "No finding.")
    assert result["n"] == 40
    assert result["scores"]["finding_f1"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert all(score["value"] == 1.0 for score in result["scores"].values())
    for name in ("swapped_image", "same_view_swap", "most_frequent_report", "blank_image"):
        control = result["controls"][name]
        assert control["finding_f1"] < 0.5
        assert control["difference"]["low"] > 0.3
    assert 0.2 < result["controls"]["name_every_finding"]["finding_f1"] < 0.6


def test_the_same_text_for_every_film_is_no_better_beside_its_own(cases: list[Case]) -> None:
    result = score_drawn(cases, [cases[0].report] * len(cases), cases[0].report)
    difference = result["controls"]["swapped_image"]["difference"]
    assert difference["low"] <= 0 <= difference["high"]
    assert result["controls"]["blank_image"]["difference"] == {"value": 0, "low": 0, "high": 0}


def test_every_drawer_has_its_films() -> None:
    (case,) = drawn_cases(SKETCHES, 1, 5, "train")
    assert case.source == SKETCHES
    with pytest.raises(TrainingError, match="no drawer 'nobody'"):
        drawn_cases("nobody", 1, 0, "train")


def test_a_grey_plate_is_shown_after_the_films(cases: list[Case]) -> None:
    seen: list[bytes] = []

    def write(pictures: object) -> list[str]:
        seen.extend(pictures)  # type: ignore[call-overload]
        return [str(number) for number in range(len(seen))]

    assert write_all(cases[:2], write) == (["0", "1"], "2")
    assert seen == [cases[0].picture, cases[1].picture, BLANK]

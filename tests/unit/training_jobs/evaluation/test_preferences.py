"""Rank correlation of scores with readers, on cases made here."""

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from training_jobs.evaluation.preferences import (
    add_parser,
    bleu_4,
    finding_f1,
    kendall_tau_b,
    pair_accuracy,
    ranked_right,
    read_cases,
    run,
)

WORSE, BETTER = "The lungs are clear.", "There is a left pleural effusion."


def case(number: int) -> dict[str, Any]:
    readers = [{"C1": {"rating": 5 - i}, "C2": {"rating": 1 + i}} for i in range(2)]
    return {
        "case": f"radpref-{number:03}",
        "ground_truth_report": "Left pleural effusion.",
        "C1_report": BETTER,
        "C2_report": WORSE,
        "radiologists": [*readers, {"C1": {"rating": None}, "C2": {"rating": 2}}],
    }


@pytest.fixture
def data(tmp_path: Path) -> Path:
    ranking = {
        "ground_truth": "Left pleural effusion.",
        "candidates": {"C1": {"text": BETTER}, "C2": {"text": WORSE}},
        "expected_ranking": ["C1 > C2"],
    }
    (tmp_path / "preferences.json").write_text(json.dumps([case(n) for n in range(1, 6)]))
    (tmp_path / "rankings.json").write_text(json.dumps([ranking]))
    return tmp_path


def test_tau_b_is_one_for_the_same_order_and_minus_one_for_the_other() -> None:
    assert kendall_tau_b([1, 2, 3], [4, 5, 9]) == pytest.approx(1)
    assert kendall_tau_b([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)


def test_tau_b_takes_ties_out_of_both_rows() -> None:
    assert kendall_tau_b([1, 1, 2], [1, 2, 3]) == pytest.approx(2 / 6**0.5)
    assert kendall_tau_b([1, 1, 1], [1, 2, 3]) == 0


def test_equal_scores_are_half_right_and_equal_ratings_are_left_out() -> None:
    assert pair_accuracy([(1, 1), (2, 1), (1, 2)], [(5, 1), (4, 3), (2, 2)]) == pytest.approx(0.75)


def test_the_halves_are_the_even_and_the_odd_cases(data: Path) -> None:
    file = data / "preferences.json"
    assert [one.number for one in read_cases(file, "tune")] == [2, 4]
    assert [one.number for one in read_cases(file, "report")] == [1, 3, 5]


def test_a_reader_who_did_not_rate_is_left_out_of_the_mean(data: Path) -> None:
    assert read_cases(data / "preferences.json")[0].mean(0) == pytest.approx(4.5)


def test_the_command_gives_every_score_its_figures(data: Path) -> None:
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    figures = run(parser.parse_args(["preferences", "--data", str(data), "--half", "report"]))
    assert figures["cases"] == 3
    assert figures["scores"]["agreement"]["pairs"]["value"] == figures["scores"]["agreement"]["rankings"] == 1
    assert {"agreement", "finding F1", "ROUGE-L", "BLEU-4"} <= set(figures["scores"])


def test_a_ranking_of_equals_allows_a_small_difference() -> None:
    ranking = {
        "ground_truth": "",
        "candidates": {"C1": {"text": "1.00"}, "C2": {"text": "1.04"}, "C3": {"text": "2"}},
        "expected_ranking": ["C1 = C2", "C3 > C2"],
    }
    assert ranked_right(ranking, lambda text, _: float(text))
    assert not ranked_right({**ranking, "expected_ranking": "C3 = C2"}, lambda text, _: float(text))


def test_bleu_is_one_for_the_same_text_and_nothing_for_no_word_in_common() -> None:
    assert bleu_4(BETTER, BETTER) == pytest.approx(1)
    assert bleu_4("a b c d", "e f g h") == bleu_4("", BETTER) == 0
    assert 0 < bleu_4(BETTER, f"{BETTER} {WORSE}") < 1


def test_finding_f1_compares_the_classes_that_are_asserted() -> None:
    assert finding_f1(BETTER, "Left effusion. No edema.") == 1
    assert finding_f1(WORSE, BETTER) == 0

"""Evaluation: the shape of its answer, and that its scores and controls measure what they say."""

from dataclasses import replace
from pathlib import Path

import pytest
import training_jobs.evaluate as evaluate_module
from training_jobs.evaluate import evaluate_films, evaluate_phantoms, summaries

from xraygpt_core.model.bundle import Bundle
from xraygpt_core.phantoms.draw import draw_phantom
from xraygpt_core.report.concise import concise_report
from xraygpt_core.training.config import Phantoms


def quiet(_done: int, _total: int) -> None:
    return None


@pytest.fixture
def oracle(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that says the truth of the phantoms."""

    def tell(_bundle: object, pictures: list[bytes], *_rest: object) -> list[str]:
        phantoms = [draw_phantom(seed, "held_out") for seed in range(len(pictures))]
        return [concise_report(phantom.labels, phantom.view) for phantom in phantoms]

    monkeypatch.setattr(evaluate_module, "summaries", tell)


def test_the_truth_scores_one_and_the_controls_do_not(oracle: None, tiny_bundle: Bundle) -> None:
    result = evaluate_phantoms(tiny_bundle, Phantoms(40, 0, "held_out"), 4, quiet)
    assert result["n"] == 40
    assert result["scores"]["finding_f1"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert result["scores"]["view"]["value"] == 1.0
    assert result["scores"]["exact_set"]["value"] == 1.0
    assert result["scores"]["rouge_l"]["value"] == 1.0
    assert result["controls"]["swapped_image"]["finding_f1"] < 0.5
    assert result["controls"]["most_frequent_report"]["finding_f1"] < 0.5
    assert 0.2 < result["controls"]["name_every_finding"]["finding_f1"] < 0.6


def test_every_score_has_its_interval(tiny_bundle: Bundle) -> None:
    result = evaluate_phantoms(tiny_bundle, Phantoms(3, 0, "held_out"), 2, quiet)
    assert sorted(result) == ["controls", "labels", "n", "scores"]
    for score in result["scores"].values():
        assert sorted(score) == ["high", "low", "value"]
        assert score["low"] <= score["value"] <= score["high"]


def test_films_are_scored_against_the_text_that_comes_with_them(
    film_directory: Path, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = ["Findings: PA view. Pulmonary nodule.", "Findings: AP view. No abnormal finding is labelled."]
    monkeypatch.setattr(evaluate_module, "summaries", lambda *_: said)
    result = evaluate_films(tiny_bundle, film_directory, "test", 2, quiet)
    assert result["n"] == 2
    assert result["scores"]["kind_f1"]["value"] == 1.0
    assert result["scores"]["view"]["value"] == 1.0
    assert 0 < result["scores"]["rouge_l"]["value"] < 1
    assert result["controls"]["swapped_image"]["kind_f1"] == 0
    assert sorted(result["controls"]) == ["most_frequent_report", "name_every_finding", "swapped_image"]


def test_summaries_come_in_order_and_report_their_progress(tiny_bundle: Bundle) -> None:
    from training_jobs.drawers.drawings import draw, phantoms

    pictures = [draw(drawing).png for drawing in phantoms(Phantoms(count=8))]
    notes: list[tuple[int, int]] = []
    # In bfloat16, two products of different sizes may choose different kernels, and so different words.
    bundle = replace(tiny_bundle, dtype="float32")
    texts = summaries(bundle, pictures, 2, lambda done, total: notes.append((done, total)), "cpu")
    assert len(texts) == 8
    assert notes == [(done, 8) for done in range(1, 9)]
    assert summaries(bundle, pictures[6:], 2, quiet, "cpu") == texts[6:]


def test_without_pictures_there_is_no_text(tiny_bundle: Bundle) -> None:
    assert summaries(tiny_bundle, [], 2, quiet, "cpu") == []

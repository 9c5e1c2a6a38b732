"""Real films: six classes, views, patients, and answers that never saw the film."""

from pathlib import Path
from typing import Any

import pytest

from training_jobs.evaluation.cases import Case
from training_jobs.evaluation.films import film_cases, score_films
from training_jobs.evaluation.tables import tables
from xraygpt_core.errors import TrainingError
from xraygpt_core.phantoms.findings import View

SAID = {
    "opacity": "Lung opacity.",
    "effusion": "Pleural effusion.",
    "nodule": "Pulmonary nodule.",
    "normal": "No abnormal finding.",
    "": "Other abnormality.",
}
VIEWS: tuple[View, View] = ("AP", "PA")


def film(number: int, kind: str, view: View) -> Case:
    truth = frozenset({kind} - {""})
    return Case(b"", truth, f"{view} view. {SAID[kind]}", view, f"patient {number // 2}", f"set {number % 2}")


# Opacities on AP films, normal ones on PA films: the view alone tells most of them apart.
KINDS = (["opacity"] * 4 + ["effusion"], ["normal"] * 4 + ["nodule"])
CASES = [film(number, KINDS[number // 20][number % 5], VIEWS[number // 20]) for number in range(40)]


def score(texts: list[str]) -> dict[str, Any]:
    return score_films(CASES, texts, blank="Lung opacity.", usual="No abnormal finding.")


def test_the_truth_is_above_every_control() -> None:
    result = score([case.report for case in CASES])
    assert (result["n"], result["patients"]) == (40, 20)
    assert all(result["scores"][name]["value"] == 1.0 for name in ("kind_f1", "view", "sensitivity", "specificity"))
    assert all(control["difference"]["low"] > 0 for control in result["controls"].values())
    assert set(result["views"]) == {"AP", "PA"}
    assert set(result["sources"]) == {"set 0", "set 1"}


def test_a_model_that_sees_the_view_alone_is_no_better_than_a_swap_within_the_view() -> None:
    result = score([f"{case.view} view. {SAID['opacity' if case.view == 'AP' else 'normal']}" for case in CASES])
    assert result["scores"]["kind_f1"]["value"] == pytest.approx(0.8)
    assert result["controls"]["swapped_image"]["difference"]["low"] > 0
    assert result["controls"]["same_view_swap"]["difference"] == {"value": 0, "low": 0, "high": 0}
    assert result["views"]["AP"]["same_view_swap"]["difference"]["value"] == 0


def test_the_best_constant_answer_is_printed_with_its_kinds() -> None:
    result = score([SAID["opacity"]] * len(CASES))
    assert result["constants"]["opacity"] == pytest.approx(0.4)
    assert result["controls"]["best_constant"]["kind_f1"] >= result["constants"]["opacity"]
    assert set(result["controls"]["best_constant"]["kinds"]) <= set(result["kinds"])
    assert result["controls"]["blank_image"]["kind_f1"] == pytest.approx(0.4)


def test_each_kind_has_its_counts_and_what_none_names_is_abnormal() -> None:
    other = [film(0, "", "AP"), film(2, "normal", "AP")]
    result = score_films(other, [case.report for case in other], "", "")
    assert result["scores"]["sensitivity"]["value"] == result["scores"]["specificity"]["value"] == 1.0
    assert result["kinds"]["normal"]["n"] == result["kinds"]["normal"]["said"] == 1
    assert result["kinds"]["opacity"]["n"] == 0


def test_where_all_films_are_of_one_patient_there_is_no_swap() -> None:
    result = score_films([film(0, "nodule", "AP"), film(1, "nodule", "AP")], ["Nodule.", "Nodule."], "", "")
    assert result["controls"]["same_view_swap"] is None
    assert result["scores"]["specificity"] is None
    assert "same_view_swap" not in tables(result)


def test_the_tables_show_controls_and_views() -> None:
    text = tables(score([case.report for case in CASES]))
    assert "40 films of 20 patients" in text
    assert "| same_view_swap |" in text
    assert "| kind_f1 | 1.000 | 1.000 to 1.000 |" in text
    assert {line.count("|") for line in text.split("\n\n")[2].splitlines()} == {6}


def test_films_are_read_with_patient_and_source(film_directory: Path) -> None:
    cases = film_cases(film_directory, "test")
    assert [(case.truth, case.view) for case in cases] == [({"nodule"}, "PA"), ({"normal"}, "AP")]
    assert [case.patient for case in cases] == ["nih-2", "nih-3"]
    assert cases[0].source == "NIH ChestX-ray14"
    with pytest.raises(TrainingError, match="no film with a text"):
        film_cases(film_directory, "test", "images/other/")

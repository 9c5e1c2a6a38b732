"""CRIMSON: the package's prompt, and the score of an answer by its formula."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training_jobs.evaluation.judges.crimson import Crimson, packaged_prompt
from training_jobs.evaluation.judges.judging import Unreadable
from training_jobs.evaluation.texts import TextPair
from xraygpt_core.errors import TrainingError


def finding(uid: str, level: str) -> dict[str, str]:
    return {"id": uid, "finding": "x", "clinical_significance": level}


def answer(wanted: list[Any], found: list[Any], matched: list[Any], **errors: Any) -> str:
    none: dict[str, Any] = {"false_findings": [], "missing_findings": [], "attribute_errors": []}
    lists = {"reference_findings": wanted, "predicted_findings": found, "matched_findings": matched}
    return json.dumps(lists | {"errors": none | errors})


def score(text: str) -> float:
    return float(Crimson(lambda *_: "").verdict([text])["crimson"])


PAIR = {"ref_id": "R1", "pred_id": "P1"}
URGENT, MINOR = finding("R1", "urgent"), finding("R2", "not_actionable_not_urgent")


def test_everything_found_scores_one() -> None:
    assert score(answer([URGENT], [finding("P1", "urgent")], [PAIR])) == 1


def test_a_missing_finding_costs_what_it_weighs() -> None:
    assert score(answer([URGENT, MINOR], [finding("P1", "urgent")], [PAIR], missing_findings=["R2"])) == 1 / 1.25


def test_a_significant_error_of_attribute_leaves_part_of_the_credit() -> None:
    wrong = {**PAIR, "severity": "significant", "error_types": ["location"]}
    assert score(answer([URGENT], [finding("P1", "urgent")], [PAIR], attribute_errors=[wrong])) == pytest.approx(
        1 / 1.5
    )


def test_more_false_findings_than_right_ones_score_below_zero() -> None:
    found = [finding("P2", "urgent"), finding("P3", "actionable_not_urgent")]
    assert score(answer([URGENT], found, [], false_findings=["P2", "P3"], missing_findings=["R1"])) == -1.5 / 2.5


def test_a_normal_film_called_normal_scores_one_and_a_false_alarm_does_not() -> None:
    assert score(answer([], [], [])) == 1
    assert score(answer([], [finding("P1", "urgent")], [], false_findings=["P1"])) == -0.5


def test_a_fence_around_the_answer_is_none_of_it() -> None:
    assert score(f"```json\n{answer([], [], [])}\n```") == 1


@pytest.mark.parametrize(
    "text",
    [
        "I cannot say.",
        "[]",
        "{}",
        answer([finding("R1", "terrible")], [], []),
        answer([URGENT], [], [{"ref_id": "R9", "pred_id": "P1"}]),
    ],
)
def test_an_answer_of_another_form_is_a_failure_and_no_score(text: str) -> None:
    with pytest.raises(Unreadable):
        score(text)


@settings(max_examples=25)
@given(st.recursive(st.none() | st.text(max_size=4), lambda one: st.lists(one, max_size=3), max_leaves=4))
def test_any_json_is_read_or_refused(part: Any) -> None:
    for text in (json.dumps(part), answer(part, part, part), answer([URGENT], [], [], false_findings=part)):
        with suppress(Unreadable):
            assert -1 <= score(text) <= 1


def test_the_prompt_is_read_from_the_package_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "CRIMSON"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('this would import torch and openai')")
    options = "include_significance_examples, include_attribute_guidelines, include_context_guidelines"
    (package / "prompt_parts.py").write_text(
        f"def build_prompt(ref, pred, patient_context=None, *, {options}):\n"
        "    return f'{ref}/{pred}/{include_significance_examples}'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    ((system, prompt),) = Crimson(packaged_prompt(guidelines=False)).questions(TextPair("1", "cand", "ref"))
    assert "radiology evaluator" in system
    assert prompt == "ref/cand/False"


def test_without_the_package_it_is_said_how_to_get_it() -> None:
    with pytest.raises(TrainingError, match="pip install --no-deps crimson-score"):
        packaged_prompt()

"""A score that weighs errors as a clinician would: what raises it, what lowers it, and by how much."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xraygpt_core.report.agreement import ErrorKind, agreement
from xraygpt_core.report.agreement_findings import findings_of
from xraygpt_core.report.agreement_weights import FAMILIES, GROUPS, Significance, relatedness, significance_of
from xraygpt_core.report.observation_terms import TERMS

SENTENCES = (
    "Small right apical pneumothorax.",
    "Moderate left pleural effusion.",
    "The heart is mildly enlarged.",
    "Atherosclerotic aorta.",
    "No focal consolidation.",
)
REFERENCE = " ".join(SENTENCES)


def score(candidate: str, reference: str = REFERENCE) -> float:
    return agreement(candidate, reference).score


def without(index: int) -> str:
    return " ".join(one for i, one in enumerate(SENTENCES) if i != index)


def kinds(candidate: str, reference: str) -> set[tuple[ErrorKind, str]]:
    return {(error.kind, error.finding) for error in agreement(candidate, reference).errors}


def test_the_same_text_scores_one_and_has_no_error() -> None:
    assert agreement(REFERENCE, REFERENCE).score == pytest.approx(1)
    assert not agreement(REFERENCE, REFERENCE).errors


@given(st.permutations(SENTENCES))
def test_the_order_of_sentences_changes_nothing(sentences: list[str]) -> None:
    assert score(" ".join(sentences)) == pytest.approx(1)


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_two_texts_have_a_score_between_nothing_and_one(candidate: str, reference: str) -> None:
    assert 0 <= score(candidate, reference) <= 1


def test_a_report_that_says_nothing_scores_nothing() -> None:
    assert score("") == score("Hello.") == score("", "") == score("", "The lungs are clear.") == 0


def test_normal_reports_agree_in_any_words() -> None:
    assert score("No acute disease. The heart is not enlarged.", "Lungs clear. Normal heart size.") == 1


def test_a_dropped_urgent_finding_costs_more_than_a_dropped_trivial_one() -> None:
    assert score(without(0)) < score(without(2)) < score(without(3)) < score(REFERENCE)


def test_a_dropped_denial_costs_nothing() -> None:
    assert not agreement(without(4), REFERENCE).errors


def test_a_false_finding_costs_as_much_as_its_kind_matters() -> None:
    scores = [score(f"{REFERENCE} {more}") for more in ("Free air.", "Left lung mass.", "Osteopenia.", "")]
    assert scores == sorted(scores)


@pytest.mark.parametrize(
    ("candidate", "reference", "error"),
    [
        ("Right pleural effusion.", "Left pleural effusion.", (ErrorKind.PLACE, "effusion")),
        ("Right upper lobe nodule.", "Right lower lobe nodule.", (ErrorKind.PLACE, "nodule")),
        ("Fracture of the left fourth rib.", "Left 9th rib fracture.", (ErrorKind.PLACE, "fracture")),
        ("Large pleural effusion.", "Trace pleural effusion.", (ErrorKind.DEGREE, "effusion")),
        ("9 mm nodule.", "3 cm nodule.", (ErrorKind.DEGREE, "nodule")),
        ("Left lung opacity.", "Left lung atelectasis.", (ErrorKind.NAME, "opacity")),
        ("ETT 5 cm above the carina.", "ETT in the right main bronchus.", (ErrorKind.DEVICE, "tube")),
        ("Clear lungs.", "Left pneumothorax.", (ErrorKind.MISSING, "pneumothorax")),
        ("Left pneumothorax.", "Clear lungs.", (ErrorKind.FALSE, "pneumothorax")),
    ],
)
def test_an_error_is_called_what_it_is(candidate: str, reference: str, error: tuple[ErrorKind, str]) -> None:
    assert error in kinds(candidate, reference)
    assert score(candidate, reference) < score(reference, reference)


def test_a_near_name_costs_less_than_no_name() -> None:
    reference = "Consolidation in the right lower lobe."
    near = ("Pneumonia in the right lower lobe.", "Opacity in the right lower lobe.", "Pleural effusion.")
    assert [score(one, reference) for one in near] == sorted((score(one, reference) for one in near), reverse=True)


def test_a_misplaced_tube_is_urgent_and_one_in_its_place_is_not() -> None:
    assert findings_of("The endotracheal tube ends 5 mm above the carina.")[0].significance is Significance.URGENT
    assert findings_of("The endotracheal tube ends 5 cm above the carina.")[0].significance is Significance.MINOR


@pytest.mark.parametrize(
    "text",
    [
        "CT may help to exclude a nodule.",
        "No opacity concerning for pneumonia.",
        "The chest tube has been removed.",
        "Interstitial markings are within normal limits.",
    ],
)
def test_what_is_sought_removed_or_normal_is_no_finding(text: str) -> None:
    assert findings_of(text) == ()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Left basal opacity. This may represent pneumonia.", "Left basal opacity, possibly pneumonia."),
        ("Heart: Enlarged.", "Cardiomegaly."),
        ("Opacity in both upper and lower zones of the left lung.", "Left lung opacity, upper and lower."),
        ("NG tube: tip and side port in the stomach.", "Nasogastric tube ends in the stomach."),
    ],
)
def test_one_finding_in_other_words_is_one_finding(one: str, other: str) -> None:
    assert len(findings_of(one)) == len(findings_of(other)) == 1
    assert not agreement(one, other).errors


def test_every_kind_has_one_level_and_every_family_knows_its_kinds() -> None:
    levelled = [kind for _, _, group in GROUPS for kind in group.split(", ")]
    assert len(levelled) == len(set(levelled))
    assert set(levelled) >= set(TERMS)
    assert all(family <= set(TERMS) for _, family in FAMILIES)


@given(st.sampled_from(sorted(TERMS)), st.sampled_from(sorted(TERMS)))
def test_relatedness_has_no_direction(one: str, other: str) -> None:
    assert relatedness(one, other) == relatedness(other, one)
    assert significance_of(one) in Significance

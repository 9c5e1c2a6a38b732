"""A rewrite that says something else is objected to; one that says the same in other words is not."""

import pytest

from benchmarks.curation import measure, of_phantoms
from xraygpt_core.report.faithful import ObjectionKind, objections
from xraygpt_core.report.labeller import label_report
from xraygpt_core.report.negation import Assertion
from xraygpt_core.report.observation_terms import CHEXPERT, PARENTS, TERMS, find_observations
from xraygpt_core.report.observations import never_ends, observations

SOURCE = (
    "The heart is enlarged. There is a small left pleural effusion. Calcified granuloma in the right upper lobe. "
    "No pneumothorax. Possible pneumonia at the left base. Stable appearance of the chest since the prior study."
)


def kinds(source: str, rewrite: str) -> list[tuple[str, str]]:
    return sorted({(str(one.kind), one.finding) for one in objections(source, rewrite)})


@pytest.mark.parametrize(
    "rewrite",
    [
        SOURCE,
        "Cardiomegaly with a small effusion on the left. Granuloma with calcification, right upper lobe. Pneumothorax "
        "is not seen. Pneumonia may be present at the left base.",
        "A calcified granuloma lies in the upper lobe of the right lung, the heart is large, and there is a small "
        "left-sided pleural effusion. A pneumonia of the left base is possible.",
    ],
)
def test_the_same_in_other_words_is_faithful(rewrite: str) -> None:
    assert kinds(SOURCE, rewrite) == []


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("No pneumothorax.", "No pneumothorax. There is a rib fracture.", ("added", "fracture")),
        ("No pneumothorax.", "No pneumothorax. No rib fracture.", ("added", "fracture")),
        ("The heart is enlarged. ", "", ("lost", "cardiomegaly")),
        ("Calcified granuloma in the right upper lobe. ", "", ("lost", "granuloma")),
        ("small left", "small right", ("side", "effusion")),
        ("right upper lobe", "right lower lobe", ("zone", "granuloma")),
        ("No pneumothorax", "There is a pneumothorax", ("negation", "pneumothorax")),
        ("There is a small", "There is no", ("negation", "effusion")),
        ("Possible pneumonia", "Pneumonia", ("certainty", "pneumonia")),
    ],
)
def test_one_thing_wrong_is_objected_to(before: str, after: str, expected: tuple[str, str]) -> None:
    assert before in SOURCE
    assert expected in kinds(SOURCE, SOURCE.replace(before, after))


def test_an_objection_has_both_sentences() -> None:
    (one,) = objections("Small left effusion. Clear lungs.", "Small right effusion. Clear lungs.")
    assert (one.kind, one.source, one.rewrite) == (ObjectionKind.SIDE, "Small left effusion.", "Small right effusion.")
    assert one.words == 'side (effusion): source "Small left effusion.", rewrite "Small right effusion."'


def test_what_only_a_comparison_names_may_go_and_may_stay() -> None:
    source = "Lungs are clear. The effusion has decreased since the prior study."
    assert kinds(source, "Lungs are clear.") == []
    assert kinds(source, "Lungs are clear. There is an effusion.") == []


def test_a_denial_may_go() -> None:
    assert kinds("Clear lungs. No effusion or pneumothorax.", "Clear lungs.") == []


def test_a_normal_chest_denies_what_it_does_not_name() -> None:
    assert kinds("Normal chest.", "No pneumothorax.") == []
    assert kinds("Large heart.", "Large heart. No pneumothorax.") == [("added", "pneumothorax")]


@pytest.mark.parametrize(
    ("source", "rewrite", "finding"),
    [
        ("The heart size is normal.", "The heart size is not normal.", "abnormal heart"),
        ("The lungs are clear.", "The lungs are not clear.", "abnormal lungs"),
        ("No acute disease.", "There is acute disease.", "anything acute"),
    ],
)
def test_a_normal_part_that_is_called_abnormal_is_objected_to(source: str, rewrite: str, finding: str) -> None:
    assert ("negation", finding) in kinds(source, rewrite)


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ("Widening of the mediastinum.", "wide mediastinum"),
        ("The mediastinum is widened.", "wide mediastinum"),
        ("Old rib fractures.", "fracture"),
        ("Bibasilar atelectasis.", "atelectasis"),
        ("Mild pulmonary edema.", "edema"),
        ("Emphysema.", "emphysema"),
        ("Healed granulomatous disease.", "granuloma"),
        ("Levoscoliosis of the thoracic spine.", "scoliosis"),
        ("Right IJ catheter.", "line"),
        ("Endotracheal tube.", "tube"),
        ("Dual-lead pacemaker.", "pacemaker"),
        ("Median sternotomy wires.", "sternal wires"),
        ("Hiatal hernia.", "hernia"),
        ("Tortuous aorta.", "tortuous aorta"),
        ("Elevated right hemidiaphragm.", "elevated diaphragm"),
        ("Hyperexpanded lungs.", "hyperinflation"),
    ],
)
def test_the_checker_has_words_for_more_than_the_labels(told: str, kind: str) -> None:
    assert kind in {one.kind for one in observations(told) if one.status is Assertion.ASSERTED}


def test_atelectatic_is_no_ectatic_aorta() -> None:
    assert [kind for _, _, kind in find_observations("atelectatic change")] == ["atelectasis"]


@pytest.mark.parametrize(
    ("sentence", "status"),
    [
        ("No nodule, and opacity at the right base.", Assertion.ASSERTED),
        ("No nodule, mass, or opacity.", Assertion.DENIED),
        ("Pneumothorax is not seen; there is an opacity.", Assertion.ASSERTED),
    ],
)
def test_a_new_statement_ends_a_denial(sentence: str, status: Assertion) -> None:
    assert {one.status for one in observations(sentence) if one.kind == "opacity"} == {status}


def test_every_parent_and_every_class_is_of_a_kind_that_has_words() -> None:
    assert set(CHEXPERT) <= set(TERMS)
    assert {name for pair in PARENTS.items() for name in (pair[0], *pair[1])} <= set(TERMS)
    assert len(set(CHEXPERT.values())) == 13  # all of the fourteen but "No Finding"


def test_the_labels_are_not_touched_by_the_wider_words() -> None:
    assert label_report("Rib fracture. Atelectasis. Small left effusion.") == {"effusion_left"}


def test_an_empty_rewrite_has_lost_everything() -> None:
    assert {kind for kind, _ in kinds(SOURCE, "")} == {"lost"}
    assert kinds("", "") == []


def test_planted_changes_are_caught_and_faithful_rewrites_pass() -> None:
    figures = {row.name: row.value for row in measure("set", of_phantoms(200), seed=3, count=25)}
    assert (figures["set.caught"] or 0) >= 0.95
    assert (figures["set.objected_to_faithful"] or 0) <= 0.05


def test_a_heading_hides_nothing() -> None:
    assert ("added", "fracture") in kinds("Clear lungs.", "Clear lungs. Technique: there is a rib fracture.")
    assert ("lost", "fracture") in kinds("Clear lungs. History: there is a rib fracture.", "Clear lungs.")


@pytest.mark.parametrize(("text", "never"), [("word " * 199, False), ("word " * 201, True), ("A. " * 500, False)])
def test_a_sentence_that_never_ends_is_known(text: str, never: bool) -> None:
    assert never_ends(text) is never

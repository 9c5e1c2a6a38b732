"""What is denied, and how far a denial reaches; what is only possible."""

import pytest

from xraygpt_core.report.labeller import label_report, mentions
from xraygpt_core.report.negation import Assertion

NOTHING = ""


SCOPES = [
    ("No focal consolidation, pleural effusion, or pneumothorax.", NOTHING),
    ("No pleural effusion or pneumothorax is seen.", NOTHING),
    ("Neither effusion nor pneumothorax.", NOTHING),
    ("Left consolidation and effusion are absent.", NOTHING),
    ("No pneumothorax, small left pleural effusion.", "effusion_left"),
    ("No pneumothorax and the left effusion is unchanged.", "effusion_left"),
    ("No cardiomegaly but there is a right pleural effusion.", "effusion_right"),
    ("No acute abnormality, large right pneumothorax has been drained.", "pneumothorax_right"),
    ("No effusion on the left but small effusion on the right.", "effusion_right"),
    ("No pneumothorax following left chest tube placement.", "device"),
    ("The lungs are clear, except for a left upper lobe infiltrate.", "consolidation_left_upper"),
    ("Left pleural effusion has increased. No evidence of right effusion.", "effusion_left"),
    ("Consolidation is present in the left upper lobe, and there is no effusion.", "consolidation_left_upper"),
    (
        "There is no evidence of consolidation in the left lower lobe; however, the right lower lobe is consolidated.",
        "consolidation_right_lower",
    ),
    ("Left-sided central venous catheter with its tip in the SVC, no pneumothorax.", "device"),
    ("Negative for pneumothorax. Left effusion.", "effusion_left"),
    ("There isn't a pneumothorax on the left.", NOTHING),
    ("A right pleural effusion is seen without pneumothorax.", "effusion_right"),
]


@pytest.mark.parametrize(("sentence", "labels"), SCOPES, ids=lambda x: x[:60])
def test_a_negation_reaches_as_far_as_its_clause(sentence: str, labels: str) -> None:
    assert label_report(sentence) == frozenset(labels.split())


PSEUDO = [
    ("No change in the left pleural effusion.", "effusion_left"),
    ("No significant interval change in the right apical pneumothorax.", "pneumothorax_right"),
    ("Not only a right pneumothorax but also a left pleural effusion.", "pneumothorax_right effusion_left"),
    ("Without improvement in the left lower lobe consolidation.", "consolidation_left_lower"),
    ("Near complete resolution of the left pleural effusion.", "effusion_left"),
    ("The right lower lobe pneumonia has not cleared completely.", "consolidation_right_lower"),
    ("Left effusion, not significantly changed.", "effusion_left"),
]


@pytest.mark.parametrize(("sentence", "labels"), PSEUDO, ids=lambda x: x[:60])
def test_a_negative_word_that_denies_something_else_denies_nothing(sentence: str, labels: str) -> None:
    assert label_report(sentence) == frozenset(labels.split())


OPEN = [
    "Possible small right pneumothorax.",
    "Findings may represent left lower lobe pneumonia.",
    "Pneumonia in the left lower lobe cannot be excluded.",
    "A left effusion is possible.",
    "?LLL infiltrate.",
    "Left lower lobe pneumonia?",
    "Small bilateral pleural effusions suspected.",
    "Please assess for left pneumothorax.",
    "Suspicious for a right pneumothorax.",
]


@pytest.mark.parametrize("sentence", OPEN)
def test_a_possible_finding_is_not_a_label(sentence: str) -> None:
    assert label_report(sentence) == frozenset()
    assert {mention.status for mention in mentions(sentence)} == {Assertion.OPEN}


def test_an_opacity_that_may_be_pneumonia_is_still_an_opacity() -> None:
    text = "Airspace opacity in the right upper lobe which could represent tuberculosis."
    assert label_report(text) == {"consolidation_right_upper"}


def test_a_probable_finding_is_a_label() -> None:
    assert label_report("Probable small left pleural effusion.") == {"effusion_left"}

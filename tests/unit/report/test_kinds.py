"""Which of the six classes a text asserts."""

import pytest

from xraygpt_core.phantoms.findings import LABELS
from xraygpt_core.report.concise import concise_report
from xraygpt_core.report.kinds import KINDS, is_abnormal, kinds_of_text

NORMAL = "normal"
NONE = ""


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("Lung opacity.", "opacity"),
        ("Hazy opacities at both bases.", "opacity"),
        ("Streaky left basal opacity.", "opacity"),
        ("Patchy infiltrates in both lungs.", "opacity"),
        ("Findings of pneumonia.", "opacity"),
        ("Interstitial edema.", "opacity"),
        ("Plate-like atelectasis on the left.", "opacity"),
        ("Right upper zone consolidation.", "opacity"),
        ("Airspace disease, and a small effusion.", "opacity effusion"),
        ("A nodular opacity projects over the fourth rib.", "nodule"),
        ("A mass of 4 cm in the left lung.", "nodule"),
        ("The heart is enlarged. No effusion.", "cardiomegaly"),
        ("Pneumothorax on the right.", "pneumothorax"),
        ("Pleural effusion, atelectasis and cardiomegaly.", "effusion opacity cardiomegaly"),
        ("Labelled findings on this frontal chest radiograph: infiltration, nodule.", "opacity nodule"),
        ("No abnormal finding is labelled on this frontal chest radiograph.", NORMAL),
        ("PA view. Normal heart size. No pleural effusion. No consolidation.", NORMAL),
        ("Lungs are clear without atelectasis, edema or mass.", NORMAL),
        ("The pacemaker is unchanged. No acute disease.", NORMAL),
        ("Low lung volumes, otherwise clear.", NORMAL),
        ("Normal vascular markings.", NORMAL),
        ("Support device in place.", NORMAL),
        ("Indication: pneumonia. Findings: Clear lungs.", NORMAL),
        ("Abnormal chest film.", NONE),
        ("Other abnormality.", NONE),
        ("Findings: AP view. Other abnormal finding. Impression: Abnormal.", NONE),
        ("Emphysema.", NONE),
        ("Labelled findings on this frontal chest radiograph: pleural thickening.", NONE),
        ("Possible pneumonia.", NONE),
        ("Healed fracture of the right clavicle.", NONE),
    ],
)
def test_a_text_names_its_kinds(text: str, kinds: str) -> None:
    assert kinds_of_text(text) == set(kinds.split())
    assert is_abnormal(text) == (kinds != NORMAL)


@pytest.mark.parametrize("text", ["", " ", "...", "Findings: ", "Indication: cough."])
def test_a_text_without_a_word_says_nothing(text: str) -> None:
    assert not kinds_of_text(text)
    assert not is_abnormal(text)


@pytest.mark.parametrize("label", LABELS)
def test_each_label_of_the_phantoms_is_one_kind(label: str) -> None:
    word = label.split("_")[0]
    expected = {"consolidation": "opacity", "device": NORMAL}.get(word, word)
    assert expected in KINDS
    assert kinds_of_text(concise_report({label}, "PA")) == {expected}

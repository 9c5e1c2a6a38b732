"""Drafts and answers that contradict themselves, each other or the header; and those that only seem to."""

import numpy as np
import pytest

from xraygpt_core.phantoms.findings import draw_labels
from xraygpt_core.phantoms.wording import write_report
from xraygpt_core.report.consistency import chat_contradictions, contradictions


def kinds(findings: str | None, impression: str | None, view: str | None = None, text: str = "") -> list[str]:
    return [one.kind for one in contradictions(findings, impression, view, text)]


SECTIONS, SIDE, VIEW, CHAT = "findings/impression", "side", "view", "chat"


@pytest.mark.parametrize(
    ("findings", "impression", "kind"),
    [
        ("No pleural effusion.", "Left pleural effusion.", SECTIONS),
        ("The lungs are clear.", "Right lower lobe pneumonia.", SECTIONS),
        ("Normal heart size.", "Cardiomegaly.", SECTIONS),
        ("Heart: normal. Lungs: clear.", "Cardiomegaly.", SECTIONS),
        ("Left pleural effusion.", "Normal.", SECTIONS),
        ("Right upper lobe consolidation.", "Nothing acute.", SECTIONS),
        ("The cardiomediastinal silhouette is within normal limits.", "Enlarged heart.", SECTIONS),
        ("The costophrenic angles are sharp.", "Bilateral pleural effusions.", SECTIONS),
        ("The heart is enlarged. No effusion.", "Cardiomegaly and pulmonary nodule.", SECTIONS),  # never spoken of
        ("Left pneumothorax.", "No acute abnormality.", SECTIONS),
        ("Right lower zone consolidation.", "No acute cardiopulmonary disease.", SECTIONS),
        ("There is a right pleural effusion.", "Unremarkable chest radiograph.", SECTIONS),
        ("The heart is enlarged.", "Normal study.", SECTIONS),
        ("There is cardiomegaly.", "The heart is not enlarged.", SECTIONS),
        ("No device.", "Pacemaker in place.", SECTIONS),
        ("No lines or tubes.", "Central venous catheter.", SECTIONS),
        ("Left lower zone consolidation.", "Right lower zone consolidation.", SIDE),
        ("Left lower zone consolidation.", "Left upper zone consolidation.", SIDE),
        ("There is a left pneumothorax.", "Right-sided pneumothorax.", SIDE),
        ("Right pleural effusion.", "Bilateral pleural effusions.", SIDE),
        ("A nodule in the right lung.", "Left pulmonary nodule.", SIDE),
        ("Clear costophrenic angles.", "Right effusion.", SECTIONS),
        ("Moderate right pleural effusion.", "Lungs and pleura are clear.", SECTIONS),
        ("The cardiothoracic ratio is normal.", "Cardiomegaly.", SECTIONS),
        ("No endotracheal tube.", "The endotracheal tube is well placed.", SECTIONS),
        ("No support tubes or lines.", "The endotracheal tube is well placed.", SECTIONS),
    ],
)
def test_an_impression_that_its_findings_contradict_is_marked(findings: str, impression: str, kind: str) -> None:
    assert kinds(findings, impression) == [kind]


@pytest.mark.parametrize(
    ("findings", "impression"),
    [
        ("Left pleural effusion. The heart is enlarged.", "Left pleural effusion."),  # an impression is a choice
        ("Bilateral pleural effusions.", "Left pleural effusion."),
        ("Possible left lower lobe pneumonia.", "Left lower lobe pneumonia."),
        ("Heart size is at the upper limits of normal.", "Cardiomegaly."),
        ("The heart is enlarged.", "Cardiomegaly without acute disease."),
        ("Stable left pleural effusion.", "No acute abnormality."),
        ("Small left pleural effusion.", "No new effusion."),
        ("Streaky opacity at the left base, probably scarring.", "No focal consolidation."),
        ("Calcified granuloma, a small nodule in the right lung.", "No suspicious nodule."),
        ("No left effusion. Right pleural effusion.", "Right pleural effusion."),
        ("The left lung is clear. Right upper lobe consolidation.", "Right upper lobe consolidation."),
        ("Opacity at the right base compared to the left. The left lung is clear.", "Right basal opacity."),
        ("The nasogastric tube has been removed. A chest tube is in place.", "Chest tube in place."),
        ("The lungs are clear. No acute bony abnormality.", "Normal chest radiograph."),
        ("Small pneumothorax on the left.", "No acute abnormality except a small left pneumothorax."),
        ("Moderate left and small right pleural effusions.", "Bilateral pleural effusions."),
        ("Left greater than right pleural effusions.", "Bilateral pleural effusions."),
        ("No central line is seen. The enteric tube ends in the stomach.", "Enteric tube in place."),
        ("No pacemaker. The sternal wires are intact.", "Earlier sternotomy."),
        ("Large right pneumothorax.", "Large right pneumothorax. A chest tube is recommended."),
        ("Opacified right hemithorax, the mediastinum pushed away.", "Large right pleural effusion."),
        ("The nodule over the right base is a nipple shadow.", "No pulmonary nodule."),
        (None, "Left pleural effusion."),
        ("Left pleural effusion.", None),
    ],
)
def test_what_only_seems_to_contradict_is_not_marked(findings: str | None, impression: str | None) -> None:
    assert kinds(findings, impression) == []


def test_both_sentences_are_quoted_as_they_were_written() -> None:
    (found,) = contradictions("PA view. No pleural effusion. Clear lungs.", "Small LEFT pleural effusion.", "PA")
    assert found.document() == {
        "kind": SECTIONS,
        "one": "No pleural effusion.",
        "other": "Small LEFT pleural effusion.",
    }


def test_a_text_without_sections_is_read_as_one() -> None:
    assert kinds(None, None, None, "No pleural effusion. There is a left pleural effusion.") == [SECTIONS]


@pytest.mark.parametrize(
    ("findings", "header", "marked"),
    [
        ("AP chest radiograph. Clear lungs.", "PA", True),
        ("Portable film. Clear lungs.", "PA", True),
        ("PA and lateral views. Clear lungs.", "AP", True),
        ("PA and lateral views. Clear lungs.", "PA", False),
        ("PA view. Compared to the portable film of yesterday, clear lungs.", "PA", False),
        ("Lateral chest radiograph. Clear lungs.", "PA", True),
        ("AP chest radiograph.", None, False),
        ("AP chest radiograph.", "LATERAL", False),
        ("AP chest radiograph. The PA film shows clear lungs.", None, True),
        ("A.P. view. Clear lungs.", "PA", True),
        ("A pa view. Clear lungs.", "AP", True),
        ("P-A chest film. Clear lungs.", "AP", True),
        ("Posterior-anterior projection. Clear lungs.", "AP", True),
    ],
)
def test_another_view_than_the_headers_is_marked(findings: str, header: str | None, marked: bool) -> None:
    assert kinds(findings, "Normal study.", header) == ([VIEW] if marked else [])


@pytest.mark.parametrize(
    ("question", "answer", "draft"),
    [
        (
            "What is seen?",
            "Impression: Pulmonary consolidation.",
            "Findings: No consolidation. Impression: Normal study.",
        ),
        ("Is the heart enlarged?", "Yes.", "Findings: Normal heart size."),
        ("Is there a pneumothorax?", "No", "Findings: There is a left pneumothorax."),
        ("Is there a pneumothorax?", "No, there is no pneumothorax.", "Findings: Left pneumothorax."),
        ("Which side?", "The effusion is on the right.", "Findings: Left pleural effusion."),
        ("On which side is the effusion?", "Right.", "Findings: Left pleural effusion."),
        ("Anything else?", "There is a pulmonary nodule.", "Findings: Normal heart size. No effusion."),
        ("Is it an AP film?", "Yes, AP view.", "Findings: PA view. Normal heart size."),
        ("Any effusion?", "Absolutely not.", "Findings: Left pleural effusion."),
        ("Any effusion?", "There is none.", "Findings: Left pleural effusion."),
        ("Is this normal?", "Yes, it is.", "Findings: Left pleural effusion."),
    ],
)
def test_an_answer_against_its_draft_is_marked(question: str, answer: str, draft: str) -> None:
    assert [one.kind for one in chat_contradictions(question, answer, draft, None)] == [CHAT]


@pytest.mark.parametrize(
    ("question", "answer", "draft"),
    [
        ("Is there an effusion?", "Yes.", "Findings: Left pleural effusion."),
        ("Should there be a CT?", "A CT may help to find a nodule.", "Findings: Left pleural effusion."),
        ("Is there an effusion?", "Yes, a left pleural effusion.", "Findings: Left pleural effusion."),
        ("On which side is the effusion?", "On the left side.", "Findings: Left pleural effusion."),
        ("Is the heart normal?", "No.", "Findings: The heart is enlarged."),
        ("What is a pneumothorax?", "A pneumothorax is air in the pleural space.", "Findings: No pneumothorax."),
        ("Could it be pneumonia?", "It may represent pneumonia.", "Findings: No consolidation."),
        ("Thank you.", "You are welcome.", "Findings: Left pleural effusion."),
    ],
)
def test_an_answer_that_fits_is_not_marked(question: str, answer: str, draft: str) -> None:
    assert chat_contradictions(question, answer, draft, None) == ()


def test_an_answer_with_another_view_than_the_headers_is_marked() -> None:
    (found,) = chat_contradictions("Which view?", "AP view.", "Findings: PA view.", "PA")
    assert (found.kind, found.other) == (VIEW, "The header says PA.")


def test_reports_of_phantoms_contradict_nothing_but_another_header() -> None:
    rng = np.random.default_rng(11)
    for _ in range(60):
        labels = draw_labels(rng)
        report = write_report(rng, labels, "PA", ["pacemaker"] if "device" in labels else [])
        assert contradictions(report.findings, report.impression, "PA") == (), report
        assert kinds(report.findings, report.impression, "AP") == [VIEW]

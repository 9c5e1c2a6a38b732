"""Sentences in the styles radiologists write, none of them a template of the phantoms."""

import pytest

from xraygpt_core.phantoms.findings import LABELS
from xraygpt_core.report.labeller import label_report, view_of

NOTHING = ""

HEART = [
    ("The heart is mildly enlarged.", "cardiomegaly"),
    ("Stable enlarged cardiomediastinal silhouette.", "cardiomegaly"),
    ("Enlargement of the cardiac silhouette is again noted.", "cardiomegaly"),
    ("Cardiac silhouette appears prominent and enlarged.", "cardiomegaly"),
    ("Heart is large. Lungs are clear.", "cardiomegaly"),
    ("The heart and mediastinum are enlarged.", "cardiomegaly"),
    ("The cardiothoracic ratio is increased at 0.61.", "cardiomegaly"),
    ("The heart size has increased since the prior study.", "cardiomegaly"),
    ("Cardiomegaly is unchanged; no overt effusion.", "cardiomegaly"),
    ("The cardiac silhouette is not enlarged.", NOTHING),
    ("Heart size is within normal limits.", NOTHING),
    ("Heart is not significantly enlarged and the lungs are clear.", NOTHING),
    ("No cardiac enlargement.", NOTHING),
    ("Borderline cardiomegaly.", NOTHING),
    ("The heart is normal and the hilar nodes are enlarged.", NOTHING),
    ("Heart size normal with large hiatus hernia.", NOTHING),
]

EFFUSION = [
    ("Small left pleural effusion.", "effusion_left"),
    ("Trace right-sided effusion has increased.", "effusion_right"),
    ("Blunting of the left costophrenic angle.", "effusion_left"),
    ("The right costophrenic sulcus is mildly blunted.", "effusion_right"),
    ("Both costophrenic angles are blunted.", "effusion_left effusion_right"),
    ("Pleural effusions are seen bilaterally, larger on the right.", "effusion_left effusion_right"),
    ("Moderate pleural effusions.", "effusion_left effusion_right"),
    ("Layering fluid on the right.", "effusion_right"),
    ("Left hemothorax after the fall.", "effusion_left"),
    ("Effusion: small, left.", "effusion_left"),
    ("The costophrenic angles are not blunted.", NOTHING),
    ("The costophrenic angles are clear.", NOTHING),
    ("Effusion: none.", NOTHING),
    ("A pericardial effusion was seen on echocardiography.", NOTHING),
    ("There is a pleural effusion.", NOTHING),  # one effusion of an unknown side is no label
]

PNEUMOTHORAX = [
    ("Large right pneumothorax with mediastinal shift.", "pneumothorax_right"),
    ("A visceral pleural line is visible at the left apex.", "pneumothorax_left"),
    ("The collapsed lung edge is seen on the right.", "pneumothorax_right"),
    ("Bilateral pneumothoraces.", "pneumothorax_left pneumothorax_right"),
    ("Pneumothorax is seen on the left and on the right.", "pneumothorax_left pneumothorax_right"),
    ("Right-sided hydropneumothorax.", "effusion_right pneumothorax_right"),
    ("The pneumothorax on the right has not resolved.", "pneumothorax_right"),
    ("No pneumothorax is identified.", NOTHING),
    ("Pneumothorax is not seen.", NOTHING),
    ("The previously seen right pneumothorax has resolved.", NOTHING),
    ("The known left apical pneumothorax is no longer visible.", NOTHING),
    ("Pneumothorax: negative.", NOTHING),
    ("A skin fold rather than a left pneumothorax.", NOTHING),
]

CONSOLIDATION = [
    ("Right lower lobe pneumonia.", "consolidation_right_lower"),
    ("Patchy airspace opacity at the left base.", "consolidation_left_lower"),
    ("Retrocardiac consolidation.", "consolidation_left_lower"),
    ("RUL infiltrate.", "consolidation_right_upper"),
    ("Biapical consolidation.", "consolidation_left_upper consolidation_right_upper"),
    ("Bibasilar airspace opacities.", "consolidation_left_lower consolidation_right_lower"),
    ("Air-space disease in the left upper lobe.", "consolidation_left_upper"),
    ("The right lower lobe is consolidated.", "consolidation_right_lower"),
    ("Dense opacification of the left lower zone.", "consolidation_left_lower"),
    ("Right middle lobe consolidation.", "consolidation_right_lower"),
    ("Consolidation in the lingula.", "consolidation_left_lower"),
    ("Consolidation in the left mid and lower zones.", "consolidation_left_lower"),
    ("Dense consolidation throughout the right lung.", "consolidation_right_upper consolidation_right_lower"),
    ("Consolidation in the left mid zone.", NOTHING),
    ("Consolidation on the left.", NOTHING),  # a side without a zone is no label
    ("The lungs are free of consolidation.", NOTHING),
    ("Atelectasis rather than consolidation at the right base.", NOTHING),
    ("Linear opacity in the left lower zone.", NOTHING),
    ("Opacity in the right lower zone due to atelectasis.", NOTHING),
    ("Pneumonia in the left lower lobe is unlikely.", NOTHING),
]

NODULE = [
    ("12 mm nodule in the right upper lobe.", "nodule"),
    ("Nodular opacity in the left lower zone.", "nodule"),
    ("Multiple pulmonary nodules.", "nodule"),
    ("A rounded density projects over the left fifth rib.", "nodule"),
    ("Coin lesion on the right.", "nodule"),
    ("No suspicious nodules.", NOTHING),
    ("Normal lungs without nodule or mass.", NOTHING),
    ("Bony overlap could obscure a small nodule.", NOTHING),
    ("Incidental thyroid nodule.", NOTHING),
]

DEVICE = [
    ("A dual-lead pacemaker is in situ.", "device"),
    ("Right IJ central venous catheter with its tip in the SVC.", "device"),
    ("Endotracheal tube 4 cm above the carina.", "device"),
    ("NG tube tip below the diaphragm.", "device"),
    ("Median sternotomy wires are intact.", "device"),
    ("Left chest wall port.", "device"),
    ("Right PICC line, unchanged.", "device"),
    ("Left chest tube in place.", "device"),
    ("Overlying ECG leads.", "device"),
    ("Lines and tubes are unchanged.", "device"),
    ("No lines or tubes.", NOTHING),
    ("The endotracheal tube has been removed.", NOTHING),
    ("Interval removal of the right chest tube.", NOTHING),
    ("Portable film.", NOTHING),
    ("Kerley B lines are present.", NOTHING),
]


@pytest.mark.parametrize(
    ("sentence", "labels"), [*HEART, *EFFUSION, *PNEUMOTHORAX, *CONSOLIDATION, *NODULE, *DEVICE], ids=lambda x: x[:60]
)
def test_a_single_finding_is_read_as_written(sentence: str, labels: str) -> None:
    assert label_report(sentence) == frozenset(labels.split())


PLACES = [
    ("Left upper and right lower zone consolidation.", "consolidation_left_upper consolidation_right_lower"),
    ("Consolidation in the right upper and lower zones.", "consolidation_right_upper consolidation_right_lower"),
    ("Left and right upper zone consolidation.", "consolidation_left_upper consolidation_right_upper"),
    ("Consolidation in the upper zones of both lungs.", "consolidation_left_upper consolidation_right_upper"),
    (
        "Consolidation of the right upper, right lower and left lower lobes.",
        "consolidation_right_upper consolidation_right_lower consolidation_left_lower",
    ),
    ("Consolidation in the right upper zone and a left pleural effusion.", "consolidation_right_upper effusion_left"),
    ("Consolidation in the right upper zone and left pleural effusion.", "consolidation_right_upper effusion_left"),
    ("Effusion on the right, consolidation on the left at the base.", "effusion_right consolidation_left_lower"),
    ("Effusion and consolidation at the left base.", "effusion_left consolidation_left_lower"),
    ("Left effusion and pneumothorax.", "effusion_left pneumothorax_left"),
    (
        "On the left, there is a small effusion and consolidation in the lower zone.",
        "effusion_left consolidation_left_lower",
    ),
    (
        "Moderate right pleural effusion, with associated basal consolidation.",
        "effusion_right consolidation_right_lower",
    ),
    (
        "Bilateral lower lobe consolidation with left effusion.",
        "consolidation_left_lower consolidation_right_lower effusion_left",
    ),
    ("Bibasilar atelectasis and small left-sided pleural effusion.", "effusion_left"),
    ("Right pneumothorax. The left lung is clear.", "pneumothorax_right"),
    ("There is a right but no left pleural effusion.", "effusion_right"),
    ("Small effusion right, none left.", "effusion_right"),
    ("Right lung: consolidation at the base. Left lung: clear.", "consolidation_right_lower"),
    ("Right ventricular pacing lead. Left effusion.", "device effusion_left"),
]


@pytest.mark.parametrize(("sentence", "labels"), PLACES, ids=lambda x: x[:60])
def test_every_finding_keeps_its_own_side_and_zone(sentence: str, labels: str) -> None:
    assert label_report(sentence) == frozenset(labels.split())


def test_indication_and_history_are_not_findings() -> None:
    text = (
        "INDICATION: Left effusion, pacemaker. COMPARISON: Right pneumothorax in March. "
        "FINDINGS: Normal heart size. IMPRESSION: No acute disease."
    )
    assert label_report(text) == frozenset()


def test_a_full_report_is_read_in_all_its_parts() -> None:
    text = """AP portable chest.
    FINDINGS: Tracheostomy tube and left PICC in place. The cardiac silhouette is enlarged. There is hazy airspace
    opacity at the left base, likely pneumonia, with a moderate left effusion. No right effusion. No pneumothorax.
    IMPRESSION:
    1. Cardiomegaly.
    2. Left lower lobe pneumonia with parapneumonic effusion.
    """
    assert label_report(text) == {"device", "cardiomegaly", "consolidation_left_lower", "effusion_left"}


def test_a_numbered_impression_is_read_item_by_item() -> None:
    assert label_report("Impression: 1. Left effusion. 2. No pneumothorax. 3. Pacemaker.") == {
        "effusion_left",
        "device",
    }


def test_one_assertion_is_enough_when_the_sections_disagree() -> None:
    assert label_report("Findings: No effusion. Impression: Left pleural effusion.") == {"effusion_left"}


@pytest.mark.parametrize(
    "text", ["", "   ", "Normal chest.", "Lungs clear.", "...", "?", "No", "without", "No.\n\nNo."]
)
def test_text_without_findings_has_no_labels(text: str) -> None:
    assert label_report(text) == frozenset()


def test_labels_are_always_of_the_vocabulary() -> None:
    words = "left right upper lower bilateral consolidation effusion pneumothorax nodule pacemaker no and with"
    parts = [*words.split(), ",", ".", "heart", "enlarged"]
    for step in range(1, 12):
        text = " ".join(parts[(i * step) % len(parts)] for i in range(60))
        assert label_report(text) <= set(LABELS)


def test_case_and_layout_change_nothing() -> None:
    text = "Small left pleural effusion. No pneumothorax. Right upper lobe consolidation."
    assert (
        label_report(text)
        == label_report(text.upper())
        == label_report(text.replace(" ", "\n   ").replace(".\n", ". "))
    )


@pytest.mark.parametrize(
    ("text", "view"),
    [
        ("AP chest radiograph.", "AP"),
        ("PA chest radiograph.", "PA"),
        ("Portable chest film.", "AP"),
        ("PA and lateral views of the chest.", "PA"),
        ("Anteroposterior projection, supine.", "AP"),
        ("Postero-anterior view.", "PA"),
        ("The AP window is preserved.", None),
        ("Chest radiograph.", None),
        ("apical pneumothorax, pa", None),
    ],
)
def test_the_view_is_read_where_it_is_stated(text: str, view: str | None) -> None:
    assert view_of(text) == view

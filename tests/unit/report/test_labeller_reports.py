"""Whole reports, written by hand in many styles: telegraphic, British, American, templated, dictated."""

import pytest

from xraygpt_core.report.labeller import label_report, view_of
from xraygpt_core.report.sections import split_report

REPORTS: list[tuple[str, str, str | None]] = [
    (
        """FINDINGS:
        The cardiomediastinal silhouette is within normal limits. The lungs are clear without focal consolidation,
        pleural effusion, or pneumothorax. No acute osseous abnormality.
        IMPRESSION:
        No acute cardiopulmonary process.""",
        "",
        None,
    ),
    (
        """AP portable chest radiograph. FINDINGS: Endotracheal tube terminates 4 cm above the carina. Enteric tube
        courses below the diaphragm. There is a moderate right pleural effusion with overlying atelectasis. The
        left lung is clear. No pneumothorax. IMPRESSION: 1. Lines and tubes as above. 2. Moderate right pleural
        effusion.""",
        "device effusion_right",
        "AP",
    ),
    (
        """Findings: PA view. Heart mildly enlarged. Both costophrenic angles are blunted in keeping with small
        effusions. No consolidation or collapse. Impression: Cardiomegaly with small bilateral effusions, likely
        heart failure.""",
        "cardiomegaly effusion_left effusion_right",
        "PA",
    ),
    (
        """Findings: There is a left-sided pneumothorax measuring 3 cm at the apex. A left chest drain has been
        inserted. The right lung is fully expanded. No mediastinal shift. Impression: Left pneumothorax, drain
        in situ.""",
        "pneumothorax_left device",
        None,
    ),
    (
        """FINDINGS: Interval removal of the left chest tube. No residual pneumothorax. Small left effusion
        persists. Heart size is unchanged and not enlarged. IMPRESSION: Small left effusion. No pneumothorax
        after drain removal.""",
        "effusion_left",
        None,
    ),
    (
        """Findings: Dense consolidation in the right upper lobe with bulging of the horizontal fissure. Patchy
        opacity at the left base. No effusions. Impression: Multifocal pneumonia, right upper lobe and left
        base.""",
        "consolidation_right_upper consolidation_left_lower",
        None,
    ),
    (
        """Findings: A 14 mm nodule projects over the right fourth anterior rib. No other nodule is seen. The heart
        is normal. Impression: Solitary right pulmonary nodule. CT recommended to exclude malignancy.""",
        "nodule",
        None,
    ),
    (
        """Clinical details: Shortness of breath, ?left effusion, previous pneumonia. Findings: The heart is not
        enlarged. The lungs and pleural spaces are clear. Conclusion: Normal chest.""",
        "",
        None,
    ),
    (
        """Indication: pacemaker check. Comparison: two-view chest with right effusion. Findings: Dual chamber
        pacemaker with leads projecting over right atrium and right ventricle. No pneumothorax. The previously
        noted right effusion has cleared. Impression: Satisfactory pacemaker position.""",
        "device",
        None,
    ),
    (
        """Findings: Poor inspiration. Crowding at the bases. No definite consolidation, although early change at
        the left base cannot be excluded. Impression: Low volumes. Possible early left lower lobe pneumonia.""",
        "",
        None,
    ),
    (
        """FINDINGS: Status post median sternotomy; wires are intact. Cardiac silhouette is moderately enlarged,
        unchanged. Blunting of the left costophrenic angle, stable. No pneumothorax. IMPRESSION: Stable
        cardiomegaly and small left pleural effusion.""",
        "cardiomegaly effusion_left",
        None,
    ),
    (
        """FINDINGS: Right internal jugular central venous catheter tip in the mid SVC, without pneumothorax.
        Bibasilar consolidation, worse on the right. Small bilateral pleural effusions. IMPRESSION: No
        pneumothorax after line placement. Bibasilar consolidation and effusions.""",
        "device consolidation_left_lower consolidation_right_lower effusion_left effusion_right",
        None,
    ),
    (
        """Chest PA. Lungs clear. Heart normal. No effusion. No pneumothorax. Sternal wires noted.""",
        "device",
        "PA",
    ),
    (
        """Findings: Right hydropneumothorax with an air-fluid level. The left lung is clear. Impression: Right
        hydropneumothorax.""",
        "effusion_right pneumothorax_right",
        None,
    ),
    (
        """Findings: There is no change in the moderate left pleural effusion or in the left lower lobe
        consolidation. The heart remains enlarged. Impression: No interval change.""",
        "effusion_left consolidation_left_lower cardiomegaly",
        None,
    ),
    (
        """Findings: The left lower lobe pneumonia has resolved. The right pleural effusion has decreased but
        persists. Impression: Resolved left pneumonia; smaller right effusion.""",
        "effusion_right",
        None,
    ),
    (
        """Findings: Skin fold over the right hemithorax, not a pneumothorax. Left upper zone shows airspace
        shadowing. Impression: Left upper lobe consolidation.""",
        "consolidation_left_upper",
        None,
    ),
    (
        """Findings: Multiple bilateral pulmonary nodules consistent with metastases. Left-sided port with tip in
        the right atrium. No effusion. Impression: Pulmonary metastases.""",
        "nodule device",
        None,
    ),
    (
        """Findings: Cardiothoracic ratio is 0.48. Lungs clear. Impression: No cardiomegaly.""",
        "",
        None,
    ),
    (
        """Findings: Opacification of the lower half of the left hemithorax with a meniscus, in keeping with a
        large left effusion. Consolidation beneath it cannot be excluded. Impression: Large left effusion.""",
        "effusion_left",
        None,
    ),
    (
        """Findings: Nasogastric tube in the stomach. Tracheostomy in place. ECG leads overlie the chest. Bilateral
        upper zone consolidation. No pneumothorax, no effusion. Impression: Bilateral upper lobe pneumonia.""",
        "device consolidation_left_upper consolidation_right_upper",
        None,
    ),
    (
        """Findings: Normal heart size, clear lungs and sharp costophrenic angles. Impression: Normal.""",
        "",
        None,
    ),
    (
        """Findings: On the right, there is a small apical pneumothorax and no effusion. On the left, there is a
        small effusion and no pneumothorax. Impression: As above.""",
        "pneumothorax_right effusion_left",
        None,
    ),
    (
        """Findings: The heart, mediastinum and hila are normal. There is a rounded opacity in the left mid zone.
        No pleural abnormality. Impression: Left mid zone nodule.""",
        "nodule",
        None,
    ),
    (
        """Findings: Neither consolidation nor effusion is seen. Heart at the upper limit of normal. Impression: No
        evidence of pneumonia.""",
        "",
        None,
    ),
    (
        """Findings: Consolidation involving the right middle and lower lobes. Trace right effusion. Impression:
        Right lower zone pneumonia with small parapneumonic effusion.""",
        "consolidation_right_lower effusion_right",
        None,
    ),
    (
        """Findings: Large left tension pneumothorax with shift of the mediastinum to the right. Impression: Left
        tension pneumothorax.""",
        "pneumothorax_left",
        None,
    ),
    (
        """Findings: ICD generator over the left chest with its lead in the right ventricle. The cardiac silhouette
        is grossly enlarged. No overt failure. Impression: Cardiomegaly.""",
        "device cardiomegaly",
        None,
    ),
    (
        """Supine AP film. Findings: Hazy veil over the left lower zone from layering fluid. The right lung is
        clear. No pneumothorax on this supine film. Impression: Left effusion.""",
        "effusion_left",
        "AP",
    ),
    (
        """Findings: No focal lung abnormality, pneumothorax or effusion; heart size normal; no lines or tubes.
        Impression: Normal radiograph.""",
        "",
        None,
    ),
]


@pytest.mark.parametrize(("text", "labels", "view"), REPORTS, ids=range(len(REPORTS)))
def test_a_whole_report_is_read_as_a_person_reads_it(text: str, labels: str, view: str | None) -> None:
    assert label_report(text) == frozenset(labels.split())
    assert view_of(text) == view


@pytest.mark.parametrize(("text", "labels", "_view"), REPORTS, ids=range(len(REPORTS)))
def test_layout_does_not_matter(text: str, labels: str, _view: str | None) -> None:
    assert label_report(" ".join(text.split())) == frozenset(labels.split())
    assert label_report(text.upper()) == frozenset(labels.split())


def mirrored(text: str) -> str:
    """Left for right and the reverse, in words and in labels."""
    return text.replace("left", "\0").replace("right", "left").replace("\0", "right")


# A middle lobe and a retrocardiac place have no mirror image, nor have the chambers of the heart.
SYMMETRIC = [
    (text, labels)
    for text, labels, _ in REPORTS
    if not any(word in text.lower() for word in ("middle", "retrocardiac", "atri", "ventric"))
]


@pytest.mark.parametrize(("text", "labels"), SYMMETRIC, ids=range(len(SYMMETRIC)))
def test_a_mirrored_report_has_mirrored_labels(text: str, labels: str) -> None:
    assert label_report(mirrored(text.lower())) == frozenset(mirrored(labels).split())


@pytest.mark.parametrize("first", range(0, len(REPORTS), 3))
def test_two_reports_together_assert_what_either_asserts(first: int) -> None:
    one, labels, _ = REPORTS[first]
    for other, more, _ in REPORTS[1::7]:
        assert label_report(f"{one}\n\n{other}") >= frozenset(labels.split()) | frozenset(more.split())


def test_most_reports_have_both_sections() -> None:
    sections = [split_report(text) for text, _, _ in REPORTS]
    assert sum(s.findings is not None and s.impression is not None for s in sections) == len(REPORTS) - 1

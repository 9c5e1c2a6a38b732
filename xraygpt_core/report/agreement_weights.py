"""How much each kind of finding matters to the patient, and which kinds are near each other.

Weighing errors by clinical significance is CRIMSON's idea (Baharoon et al. 2026, arXiv 2603.06183, section 3).
The levels of the kinds, the numbers and the families here are ours; docs/agreement.md argues them.
"""

from enum import StrEnum


class Significance(StrEnum):
    """What a reader does about a finding."""

    URGENT = "urgent"  # someone must be called now
    ACTIONABLE = "actionable"  # treatment, or another examination
    MINOR = "minor"  # worth a word, seldom changes anything
    EXPECTED = "expected"  # of age, of habitus, of an operation long ago


WEIGHTS = {
    Significance.URGENT: 1.0,
    Significance.ACTIONABLE: 0.6,
    Significance.MINOR: 0.25,
    Significance.EXPECTED: 0.1,
}

# A level, the reason for it, and its kinds.
GROUPS: tuple[tuple[Significance, str, str], ...] = (
    (
        Significance.URGENT,
        "may kill within hours, and is treated at once",
        "pneumothorax, free air, tracheal deviation, pericardial effusion, aneurysm, misplaced device",
    ),
    (Significance.URGENT, "the heart fails now", "edema"),
    (
        Significance.ACTIONABLE,
        "an acute disease of lung or pleura that is treated",
        "effusion, consolidation, pneumonia, infiltrate, airspace, opacity, interstitial, cavity, subcutaneous air, "
        "bronchial thickening, vascular congestion, tuberculosis",
    ),
    (
        Significance.ACTIONABLE,
        "may be cancer and needs a CT",
        "mass, nodule, lesion, lymphadenopathy, bone lesion, hilar enlargement, wide mediastinum",
    ),
    (Significance.ACTIONABLE, "the heart is ill and is looked at", "cardiomegaly, large pulmonary artery"),
    (Significance.ACTIONABLE, "an injury that is treated", "fracture, dislocation, compression, swelling"),
    (
        Significance.MINOR,
        "chronic disease of the lung, known as a rule",
        "emphysema, hyperinflation, bronchiectasis, fibrosis, scar, pleural thickening, lucency",
    ),
    (Significance.MINOR, "common in lying patients", "atelectasis, low volumes, elevated diaphragm"),
    (
        Significance.MINOR,
        "a device in its place, which the ward knows of",
        "tube, line, pacemaker, valve, hardware, surgical",
    ),
    (
        Significance.MINOR,
        "explains symptoms, without haste",
        "hernia, kyphosis, scoliosis, deformity, dilated bowel",
    ),
    (
        Significance.EXPECTED,
        "of age or build, or long healed",
        "aortic calcification, tortuous aorta, degenerative, osteopenia, granuloma, calcification, sternal wires, "
        "spinal fusion, gallstones, fat pad, pectus, rib anomaly, nipple shadow, flat diaphragm, external lead, "
        "thickening, cardiac silhouette obscured",
    ),
)
_LEVEL = {kind: level for level, _, kinds in GROUPS for kind in kinds.split(", ")}
POSSIBLE = 0.5  # what is left of the weight of a finding that is only possible
_SCALES = ((0.0, 0.4), (1.0, 0.75), (2.0, 1.1), (3.0, 1.5))  # of the weight, by degree

# Kinds that readers take for one another, and what is left of the credit.
FAMILIES: tuple[tuple[float, frozenset[str]], ...] = tuple(
    (credit, frozenset(kinds.split(", ")))
    for credit, kinds in (
        (0.95, "consolidation, pneumonia"),
        (0.9, "infiltrate, airspace, opacity"),
        (0.8, "consolidation, pneumonia, infiltrate, airspace, opacity"),
        (0.5, "consolidation, pneumonia, infiltrate, airspace, opacity, atelectasis"),
        (0.5, "opacity, airspace, infiltrate, edema, interstitial"),
        (0.9, "edema, vascular congestion"),
        (0.6, "edema, vascular congestion, interstitial"),
        (0.5, "interstitial, fibrosis, bronchial thickening, bronchiectasis"),
        (0.6, "scar, fibrosis, atelectasis"),
        (0.4, "effusion, pleural thickening"),
        (0.6, "scar, pleural thickening"),
        (0.7, "mass, lesion, nodule"),
        (0.5, "mass, lesion, nodule, cavity, opacity"),
        (0.6, "granuloma, nodule, calcification"),
        (0.5, "interstitial, nodule"),
        (0.6, "lymphadenopathy, hilar enlargement, wide mediastinum, large pulmonary artery"),
        (0.5, "aneurysm, wide mediastinum, tortuous aorta"),
        (0.5, "cardiomegaly, wide mediastinum, pericardial effusion"),
        (0.7, "emphysema, hyperinflation, flat diaphragm"),
        (0.6, "fracture, compression, deformity, dislocation"),
        (0.4, "kyphosis, scoliosis, compression"),
        (0.4, "aortic calcification, tortuous aorta"),
        (0.5, "aortic calcification, calcification"),
        (0.5, "sternal wires, surgical, hardware, valve, spinal fusion"),
        (0.4, "tube, line, hardware, pacemaker"),
        (0.6, "thickening, interstitial"),
        (0.6, "thickening, pleural thickening"),
        (0.6, "thickening, bronchial thickening"),
        (0.6, "atelectasis, elevated diaphragm, low volumes"),
    )
)


def significance_of(kind: str) -> Significance:
    """The level of a kind; one that the table lacks is minor."""
    return _LEVEL.get(kind, Significance.MINOR)


def scale_of(degree: float | None) -> float:
    """By how much a degree (0 doubtful, 1 small, 2 moderate, 3 large) raises or lowers a finding's weight."""
    if degree is None:
        return 1.0
    return next(scale for least, scale in reversed(_SCALES) if degree >= least)


def relatedness(one: str, other: str) -> float:
    """How much of a finding's credit its naming as another kind leaves, 0-1; 1 for the same kind."""
    if one == other:
        return 1.0
    return _NEAR.get((one, other), 0.0)


def _near() -> dict[tuple[str, str], float]:
    near: dict[tuple[str, str], float] = {}
    for credit, kinds in FAMILIES:
        for one in kinds:
            for other in kinds - {one}:
                near[one, other] = max(credit, near.get((one, other), 0.0))
    return near


_NEAR = _near()

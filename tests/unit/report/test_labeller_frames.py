"""Every way to name a finding in every way to assert, to deny and to question it."""

import pytest

from xraygpt_core.report.labeller import label_report

# Every way to name a finding in every way to assert, to deny and to question it.
NAMES = {
    "effusion_left": ["left pleural effusion", "left effusion", "left sided pleural effusion", "left hydrothorax"],
    "pneumothorax_right": ["right pneumothorax", "right-sided pneumothorax", "right apical pneumothorax"],
    "consolidation_left_upper": [
        "left upper lobe consolidation",
        "left upper zone airspace opacity",
        "consolidation in the left upper lobe",
        "pneumonia in the left upper lobe",
        "infiltrate in the left upper lung zone",
    ],
    "consolidation_right_lower": [
        "right basal consolidation",
        "right lower lobe pneumonia",
        "opacity at the right base",
    ],
    "nodule": ["pulmonary nodule", "lung nodule", "nodular opacity", "rounded density"],
    "device": ["pacemaker", "central venous catheter", "nasogastric tube", "chest drain"],
    "cardiomegaly": ["cardiomegaly", "enlarged heart", "enlarged cardiac silhouette", "cardiac enlargement"],
}


ASSERTING = [
    "There is {}.",
    "{}.",
    "Unchanged {}.",
    "{} is again seen.",
    "Findings: {} noted.",
    "There is now {}, as before.",
]


DENYING = [
    "No {}.",
    "There is no {}.",
    "No evidence of {}.",
    "Without {}.",
    "Negative for {}.",
    "No {} is seen.",
    "{} is not seen.",
    "{} has resolved.",
    "Absence of {}.",
    "No new {} or other abnormality.",
    "The film shows no {}.",
]


OPEN = ["Possible {}.", "{} cannot be excluded.", "This may represent {}.", "?{}.", "Please exclude: query {}."]


CASES = [(label, name) for label, names in NAMES.items() for name in names]


@pytest.mark.parametrize("frame", ASSERTING)
def test_a_named_finding_is_asserted_in_any_frame(frame: str) -> None:
    for label, name in CASES:
        assert label_report(frame.format(name)) == {label}, name


@pytest.mark.parametrize("frame", [*DENYING, *OPEN])
def test_a_denied_or_questioned_finding_is_not_asserted(frame: str) -> None:
    for label, name in CASES:
        assert label not in label_report(frame.format(name)), name


@pytest.mark.parametrize(("label", "name"), CASES, ids=lambda x: x)
def test_a_list_of_two_asserts_or_denies_both(label: str, name: str) -> None:
    for other, (other_name, *_) in NAMES.items():
        assert label_report(f"There is {name}. There is {other_name}.") == {label, other}
        assert label_report(f"No {name} or {other_name}.") == frozenset()
        assert label_report(f"No {name}. There is {other_name}.") == {other}

"""The concise report the demo model learns to write: one sentence a finding, always in the order a film is read.

A truth names places where they are known (``effusion_left``), and kinds where they are not: an ``effusion`` without
``effusion_left`` or ``effusion_right`` is said without a side.
"""

from collections.abc import Mapping, Set

from xraygpt_core.phantoms.findings import LABELS, View

ABNORMAL = "abnormal"  # whatever is wrong with the film, named or not; a device alone is not
# A finding that has a place -> its kind without one.
KINDS_OF_PLACES: Mapping[str, str] = {
    label: "opacity" if label.startswith("consolidation") else label.partition("_")[0]
    for label in LABELS
    if "_" in label
}
# What a film is judged by: its findings without places, their places, and whether it is abnormal at all.
TRUTHS = (ABNORMAL, *dict.fromkeys(KINDS_OF_PLACES.values()), *LABELS)

# Group by group, as a film is read: the sentence for each finding, and the one for a group without any.
# Every group is always mentioned: a reader wants the pertinent negatives, and a small model forgets what it may skip.
_GROUPS: tuple[tuple[dict[str, str], str], ...] = (
    ({"cardiomegaly": "The heart is enlarged."}, "Normal heart size."),
    (
        {
            "effusion_left": "Left pleural effusion.",
            "effusion_right": "Right pleural effusion.",
            "effusion": "Pleural effusion.",
        },
        "No pleural effusion.",
    ),
    (
        {
            "pneumothorax_left": "Left pneumothorax.",
            "pneumothorax_right": "Right pneumothorax.",
            "pneumothorax": "Pneumothorax.",
        },
        "No pneumothorax.",
    ),
    (
        {
            "consolidation_right_upper": "Right upper zone consolidation.",
            "consolidation_right_lower": "Right lower zone consolidation.",
            "consolidation_left_upper": "Left upper zone consolidation.",
            "consolidation_left_lower": "Left lower zone consolidation.",
            "opacity": "Lung opacity.",
        },
        "No consolidation.",
    ),
    ({"nodule": "Pulmonary nodule."}, "No nodule."),
    ({"device": "Support device in place."}, "No device."),
)
_URGENT_FIRST = (
    ("pneumothorax_both", "bilateral pneumothoraces"),
    ("pneumothorax_left", "left pneumothorax"),
    ("pneumothorax_right", "right pneumothorax"),
    ("pneumothorax", "pneumothorax"),
    ("effusion_both", "bilateral pleural effusions"),
    ("effusion_left", "left pleural effusion"),
    ("effusion_right", "right pleural effusion"),
    ("effusion", "pleural effusion"),
    ("consolidation_right_upper", "right upper zone consolidation"),
    ("consolidation_right_lower", "right lower zone consolidation"),
    ("consolidation_left_upper", "left upper zone consolidation"),
    ("consolidation_left_lower", "left lower zone consolidation"),
    ("opacity", "lung opacity"),
    ("cardiomegaly", "cardiomegaly"),
    ("nodule", "pulmonary nodule"),
    (ABNORMAL, "abnormal chest film"),
)
_IMPRESSION_ITEMS = 2


def with_kinds(labels: Set[str]) -> frozenset[str]:
    """Findings and, beside those that have a place, their kinds; and whether the film is abnormal."""
    kinds = {KINDS_OF_PLACES[label] for label in labels if label in KINDS_OF_PLACES}
    abnormal = {ABNORMAL} if labels - {"device"} else set()
    return frozenset(labels | kinds | abnormal)


def concise_report(labels: Set[str], view: View) -> str:
    """``Findings: … Impression: …`` for a truth; about 55 tokens. Kinds are said where no place of theirs is named."""
    said = _said(labels)
    return f"Findings: {_findings(said, view)} Impression: {_impression(said)}"


def concise_beginning(labels: Set[str], view: View, upto: str) -> str:
    """The findings up to the sentence that says whether ``upto`` is there; ``upto`` is a finding or a kind of them."""
    return f"Findings: {_findings(_said(labels), view, upto)}"


def _said(labels: Set[str]) -> Set[str]:
    """Without the kinds of which a place is named."""
    return labels - {KINDS_OF_PLACES[label] for label in labels if label in KINDS_OF_PLACES}


def _findings(said: Set[str], view: View, upto: str | None = None) -> str:
    sentences = [f"{view} view."]
    for group, nothing in _GROUPS:
        sentences += [sentence for label, sentence in group.items() if label in said] or [nothing]
        if upto in group:
            break
    return " ".join(sentences)


def _impression(said: Set[str]) -> str:
    """The most urgent findings, at most two of them; that a film is abnormal only where no finding says so."""
    for kind in ("pneumothorax", "effusion"):
        if {f"{kind}_left", f"{kind}_right"} <= said:
            said = said - {f"{kind}_left", f"{kind}_right"} | {f"{kind}_both"}
    named = [(label, words) for label, words in _URGENT_FIRST if label in said]
    if len(named) > 1:
        named = [one for one in named if one[0] != ABNORMAL]
    items = [words for _, words in named[:_IMPRESSION_ITEMS]]
    if not items:
        return "No acute abnormality."
    listed = items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
    return f"{listed[0].upper()}{listed[1:]}."

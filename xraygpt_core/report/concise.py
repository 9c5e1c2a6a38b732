"""The concise report the demo model learns to write: one sentence a finding, always in the order a film is read."""

from collections.abc import Set

from xraygpt_core.phantoms.findings import View

# Group by group, as a film is read: the sentence for each finding, and the one for a group without any.
# Every group is always mentioned: a reader wants the pertinent negatives, and a small model forgets what it may skip.
_GROUPS: tuple[tuple[dict[str, str], str], ...] = (
    ({"cardiomegaly": "The heart is enlarged."}, "Normal heart size."),
    (
        {"effusion_left": "Left pleural effusion.", "effusion_right": "Right pleural effusion."},
        "No pleural effusion.",
    ),
    (
        {"pneumothorax_left": "Left pneumothorax.", "pneumothorax_right": "Right pneumothorax."},
        "No pneumothorax.",
    ),
    (
        {
            "consolidation_right_upper": "Right upper zone consolidation.",
            "consolidation_right_lower": "Right lower zone consolidation.",
            "consolidation_left_upper": "Left upper zone consolidation.",
            "consolidation_left_lower": "Left lower zone consolidation.",
        },
        "No consolidation.",
    ),
    ({"nodule": "Pulmonary nodule."}, "No nodule."),
    ({"device": "Support device in place."}, "No device."),
)
_URGENT_FIRST = (
    ("pneumothorax", "bilateral pneumothoraces"),
    ("pneumothorax_left", "left pneumothorax"),
    ("pneumothorax_right", "right pneumothorax"),
    ("effusion", "bilateral pleural effusions"),
    ("effusion_left", "left pleural effusion"),
    ("effusion_right", "right pleural effusion"),
    ("consolidation_right_upper", "right upper zone consolidation"),
    ("consolidation_right_lower", "right lower zone consolidation"),
    ("consolidation_left_upper", "left upper zone consolidation"),
    ("consolidation_left_lower", "left lower zone consolidation"),
    ("cardiomegaly", "cardiomegaly"),
    ("nodule", "pulmonary nodule"),
)
_IMPRESSION_ITEMS = 2


def concise_report(labels: Set[str], view: View) -> str:
    """``Findings: … Impression: …`` for a truth; about 55 tokens."""
    return f"Findings: {_findings(labels, view)} Impression: {_impression(labels)}"


def _findings(labels: Set[str], view: View) -> str:
    sentences = [f"{view} view."]
    for group, nothing in _GROUPS:
        sentences += [sentence for label, sentence in group.items() if label in labels] or [nothing]
    return " ".join(sentences)


def _impression(labels: Set[str]) -> str:
    """The most urgent findings, at most two of them."""
    named = labels
    for kind in ("pneumothorax", "effusion"):
        if {f"{kind}_left", f"{kind}_right"} <= labels:
            named = named - {f"{kind}_left", f"{kind}_right"} | {kind}
    items = [words for label, words in _URGENT_FIRST if label in named][:_IMPRESSION_ITEMS]
    if not items:
        return "No acute abnormality."
    listed = items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
    return f"{listed[0].upper()}{listed[1:]}."

"""The concise report the demo model learns to write: one sentence a finding, always in the order a film is read."""

from collections.abc import Set

from xraygpt_core.phantoms.findings import View

_FINDINGS = {
    "effusion_left": "Left pleural effusion.",
    "effusion_right": "Right pleural effusion.",
    "pneumothorax_left": "Left pneumothorax.",
    "pneumothorax_right": "Right pneumothorax.",
    "consolidation_right_upper": "Consolidation in the right upper zone.",
    "consolidation_right_lower": "Consolidation in the right lower zone.",
    "consolidation_left_upper": "Consolidation in the left upper zone.",
    "consolidation_left_lower": "Consolidation in the left lower zone.",
    "nodule": "Pulmonary nodule.",
    "device": "A support device is in place.",
}
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
    """``Findings: … Impression: …`` for a truth; about 40 tokens."""
    return f"Findings: {_findings(labels, view)} Impression: {_impression(labels)}"


def _findings(labels: Set[str], view: View) -> str:
    said = [f"{view} view.", "The heart is enlarged." if "cardiomegaly" in labels else "Normal heart size."]
    said += [sentence for label, sentence in _FINDINGS.items() if label in labels]
    if not any(label.startswith(("effusion", "pneumothorax")) for label in labels):
        said.insert(2, "No pleural effusion or pneumothorax.")
    if not any(label.startswith("consolidation") for label in labels):
        place = sum(label.startswith(("effusion", "pneumothorax")) for label in labels) or 1
        said.insert(2 + place, "No consolidation.")
    return " ".join(said)


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

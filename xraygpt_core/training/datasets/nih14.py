"""What the labels of NIH ChestX-ray14 (Wang et al. 2017) say in our vocabulary.

They name no side and no zone, so a positive effusion says nothing of either side, and its absence denies both.
"""

from collections.abc import Set

from xraygpt_core.phantoms.findings import LABELS, View
from xraygpt_core.report.concise import concise_report
from xraygpt_core.report.kinds import NORMAL

NAME = "nih14"
_OPACITIES = frozenset({"Consolidation", "Pneumonia", "Infiltration", "Atelectasis", "Edema"})
_SAID = {"No Finding": None, "Cardiomegaly": "cardiomegaly", "Nodule": "nodule", "Mass": "nodule"}
_KINDS = dict.fromkeys(_OPACITIES, "opacity") | {
    "Effusion": "effusion",
    "Cardiomegaly": "cardiomegaly",
    "Pneumothorax": "pneumothorax",
    "Nodule": "nodule",
    "Mass": "nodule",
    "No Finding": NORMAL,
}


def truth(named: Set[str]) -> dict[str, float | None]:
    """1 for what is there, 0 for what is not, None for what the labels leave open, by our labels."""
    told = {
        "effusion": None if "Effusion" in named else 0.0,
        "pneumothorax": None if "Pneumothorax" in named else 0.0,
        "consolidation": None if named & _OPACITIES else 0.0,
        "device": None,
        "nodule": float(bool(named & {"Nodule", "Mass"})),
        "cardiomegaly": float("Cardiomegaly" in named),
    }
    return {label: told[label.split("_")[0]] for label in LABELS}


def kinds_of_nih(named: Set[str]) -> frozenset[str]:
    """The classes of :data:`xraygpt_core.report.kinds.KINDS` that the labels name.

    Empty for a film with other labels alone (emphysema, fibrosis, hernia, pleural thickening), which is abnormal.
    """
    return frozenset(_KINDS[label] for label in named if label in _KINDS)


def report(named: Set[str], view: str | None) -> str | None:
    """The report of a film, where our words can say its labels without inventing a side or a zone; else None."""
    seen: View | None = "AP" if view == "AP" else "PA" if view == "PA" else None
    if seen is None or not named <= _SAID.keys():
        return None
    return concise_report({said for name in named if (said := _SAID[name]) is not None}, seen)

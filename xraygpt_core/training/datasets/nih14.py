"""What the labels of NIH ChestX-ray14 (Wang et al. 2017) say in our vocabulary.

They name no side and no zone: a positive effusion says nothing of either side, and its absence denies both.
"""

from collections.abc import Set

from xraygpt_core.phantoms.findings import LABELS, View
from xraygpt_core.report.concise import KINDS_OF_PLACES, concise_report
from xraygpt_core.report.kinds import KINDS, NORMAL

NAME = "nih14"
_NORMAL = "No Finding"
_OPACITIES = frozenset({"Consolidation", "Pneumonia", "Infiltration", "Atelectasis", "Edema"})
_NODULES = frozenset({"Nodule", "Mass"})
_CLASSES = {  # label -> its own class, for an encoder that learns them apart
    **{name: name.lower() for name in (*sorted(_OPACITIES), "Mass", "Emphysema", "Fibrosis", "Hernia")},
    "Pleural_Thickening": "pleural thickening",
    "Pleural Thickening": "pleural thickening",
}


def truth(named: Set[str]) -> dict[str, float | None]:
    """1 for what is there, 0 for what is not, None for what the labels leave open: our labels, their kinds without
    side and zone, and under the name of each other class whether it is named.
    """
    there = {
        "effusion": "Effusion" in named,
        "pneumothorax": "Pneumothorax" in named,
        "opacity": bool(named & _OPACITIES),
        "nodule": bool(named & _NODULES),
        "cardiomegaly": "Cardiomegaly" in named,
        "abnormal": bool(named - {_NORMAL}),
    }
    told: dict[str, float | None] = {name: float(found) for name, found in there.items()}
    for label in LABELS:
        kind = KINDS_OF_PLACES.get(label)
        if kind is not None:
            told[label] = None if there[kind] else 0.0
    classes = {name: float(any(_CLASSES.get(label) == name for label in named)) for name in _CLASSES.values()}
    return {**classes, **told, "device": None}


def kinds_of_nih(named: Set[str]) -> frozenset[str]:
    """The classes of :data:`xraygpt_core.report.kinds.KINDS` that the labels name.

    Empty for a film with other labels alone (emphysema, fibrosis, hernia, pleural thickening), which is abnormal.
    """
    if named == {_NORMAL}:
        return frozenset({NORMAL})
    there = truth(named)
    return frozenset(kind for kind in KINDS if there.get(kind))


def report(named: Set[str], view: str | None) -> str | None:
    """What is to be said about a film: its kinds of finding, without a side or a zone. None where its view is open."""
    seen: View | None = "AP" if view == "AP" else "PA" if view == "PA" else None
    if seen is None:
        return None
    return concise_report({label for label, value in truth(named).items() if value}, seen)

"""What the MeSH tags of Open-i's reports (Demner-Fushman et al. 2016) say in our six classes.

People gave them after reading each report. A tag is ``Opacity/lung/base/left``: a heading, then where and how it is.
"""

from collections.abc import Sequence

from xraygpt_core.report.kinds import NORMAL

_HEADINGS = {
    "Opacity": "opacity",
    "Consolidation": "opacity",
    "Infiltrate": "opacity",
    "Pneumonia": "opacity",
    "Airspace Disease": "opacity",
    "Pulmonary Atelectasis": "opacity",
    "Pulmonary Edema": "opacity",
    "Pleural Effusion": "effusion",
    "Hydropneumothorax": "effusion",
    "Hemothorax": "effusion",
    "Cardiomegaly": "cardiomegaly",
    "Pneumothorax": "pneumothorax",
    "Nodule": "nodule",
    "Mass": "nodule",
}
# What a film may have and still be called one without a finding; kinds.py has the same rule for texts.
_HARMLESS = (
    NORMAL,
    "Breast Implants",
    "Catheters, Indwelling",
    "Cholelithiasis",
    "Contrast Media",
    "Epicardial Fat",
    "Foreign Bodies",
    "Implanted Medical Device",
    "Lung/bilateral/hypoinflation",
    "Lung/hypoinflation",
    "Mastectomy",
    "Medical Device",
    "Nipple Shadow",
    "Spinal Fusion",
    "Stents",
    "Surgical Instruments",
    "Sutures",
    "Technical Quality of Image Unsatisfactory",
    "Tube, Inserted",
)
_UNREAD = "No Indexing"


def kinds_of_mesh(tags: Sequence[str]) -> frozenset[str] | None:
    """The classes that the tags name; None for a report that nobody tagged.

    A round opacity or density is a nodule, a blunted angle an effusion, an enlarged shadow of the heart a cardiomegaly.
    """
    if not tags or _UNREAD in tags:
        return None
    if all(tag.startswith(_HARMLESS) for tag in tags):
        return frozenset({NORMAL})
    return frozenset(kind for tag in tags for kind in _kinds_of(tag))


def _kinds_of(tag: str) -> set[str]:
    heading, *rest = tag.split("/")
    if heading in ("Opacity", "Density") and "round" in rest:
        return {"nodule"}
    if heading == "Costophrenic Angle" and "blunted" in rest:
        return {"effusion"}
    if heading == "Cardiac Shadow" and "enlarged" in rest:
        return {"cardiomegaly"}
    if heading == "Hydropneumothorax":
        return {"effusion", "pneumothorax"}
    return {_HEADINGS[heading]} if heading in _HEADINGS else set()

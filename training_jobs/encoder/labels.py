"""What a pair says is on its film: its labels, or where it has none, what its text says in the words of NIH's classes.

MedCLIP reads its labels off reports, too (Wang et al. 2022, section 3.1). As CheXpert does (Irvin et al. 2019) for the
class of all that a report leaves unsaid, what is not named is not there.
"""

from collections.abc import Mapping
from functools import lru_cache

from xraygpt_core.report.concise import ABNORMAL
from xraygpt_core.report.negation import Assertion
from xraygpt_core.report.observation_terms import CHEXPERT
from xraygpt_core.report.observations import observations
from xraygpt_core.training.pairs import Pair

_KEPT = 2**16  # texts whose labels are remembered
_DEVICE = "device"
_OPACITIES = ("consolidation", "pneumonia", "atelectasis", "edema")
_CLASSES: Mapping[str, tuple[str, ...]] = {  # what is observed -> what is learned
    **{kind: (kind,) for kind in ("cardiomegaly", "effusion", "pneumothorax", "nodule", "opacity")},
    **{kind: (kind,) for kind in ("emphysema", "hernia", "pleural thickening", "fracture")},
    **{kind: (kind, "opacity") for kind in _OPACITIES},
    "airspace": ("opacity",),
    "infiltrate": ("infiltration", "opacity"),
    "mass": ("mass", "nodule"),
    "lesion": ("nodule",),
    **{kind: (_DEVICE,) for kind, name in CHEXPERT.items() if name == "Support Devices"},
}
_NAMES = tuple(dict.fromkeys(name for names in _CLASSES.values() for name in names))


def labels_of(pair: Pair) -> Mapping[str, float | None]:
    """Finding -> 1 there, 0 not there, None unknown. Empty where the pair has neither labels nor a text."""
    if pair.text is None or any(value is not None for name, value in pair.labels.items() if name != "view"):
        return pair.labels
    return _read(pair.text)


@lru_cache(maxsize=_KEPT)
def _read(text: str) -> Mapping[str, float | None]:
    found: dict[str, float | None] = dict.fromkeys((ABNORMAL, *_NAMES), 0.0)
    seen = [one for one in observations(text) if one.status is not Assertion.DENIED]
    for one in sorted(seen, key=lambda one: one.status is Assertion.ASSERTED):  # what is sure has the last word
        value = 1.0 if one.status is Assertion.ASSERTED else None
        names = _CLASSES.get(one.kind, ())
        found |= dict.fromkeys(names, value)
        if _DEVICE not in names and not one.kind.startswith("anything"):
            found[ABNORMAL] = value
    return found

"""Which of six classes a report asserts: the ones in which a film with labels alone can be compared.

Labels of public sets name no side and no zone, so ``Lung opacity.`` is an opacity here, although it is no label of
:mod:`xraygpt_core.report.labeller`. An opacity is what a film cannot tell apart for certain: consolidation, infiltrate,
pneumonia, atelectasis, oedema. What is only possible is not asserted, and is not normal either. A device, low volumes
and traces of surgery leave a film normal, as they do in the labels of NIH ChestX-ray14.
"""

import re

from xraygpt_core.report.labeller import mentions, mentions_in, sentences_of
from xraygpt_core.report.negation import Assertion
from xraygpt_core.report.observations import ANYTHING, Observation, observations
from xraygpt_core.report.sections import described_part

NORMAL = "normal"
KINDS = ("opacity", "effusion", "cardiomegaly", "pneumothorax", "nodule", NORMAL)
_OPACITIES = ("consolidation", "infiltrate", "pneumonia", "airspace", "atelectasis", "edema")
_OBSERVED = dict.fromkeys(_OPACITIES, "opacity") | {"mass": "nodule"}
_MENTIONED = {"consolidation": "opacity"} | {kind: kind for kind in KINDS[1:-1]}
# What a film may have and still be called one without a finding.
_DEVICES = ("pacemaker", "valve", "tube", "line", "sternal wires", "surgical", "hardware", "spinal fusion")
_HARMLESS = frozenset({*_DEVICES, "low volumes", "fat pad", "nipple shadow", "rib anomaly", "gallstones"})
# "Vascular engorgement within normal limits", "normal interstitial markings".
_MAY_BE_NORMAL = frozenset({"vascular congestion", "interstitial"})
_SAYS_NORMAL = re.compile(r"\b(?:normal|unremarkable)\b")
_SURGERY = re.compile(r"surg|\bpost ?op")
_OPACITY = re.compile(r"(?<!nodular )(?<!round )(?<!rounded )\b(?:opacit|opacif|haz[yi])")
_ABNORMAL = re.compile(r"\babnormal\w*")
_WORD = re.compile(r"[^\W\d_]{2}")


def kinds_of_text(text: str) -> frozenset[str]:
    """The classes out of :data:`KINDS` that findings and impression assert.

    Empty where something abnormal is said that none of the five names, and for a text without a word.
    """
    named = _named(text)
    if named or not _says_something(text):
        return named
    return frozenset() if _says_other(text) else frozenset({NORMAL})


def is_abnormal(text: str) -> bool:
    """Whether the text says, of whatever kind, that the film is not normal; one without a word says nothing."""
    return _says_something(text) and NORMAL not in kinds_of_text(text)


def _says_something(text: str) -> bool:
    return bool(_WORD.search(described_part(text)))


def _named(text: str) -> frozenset[str]:
    seen = {_MENTIONED.get(one.kind) for one in mentions(text) if one.status is Assertion.ASSERTED}
    seen |= {_observed(one) for one in observations(described_part(text)) if one.status is Assertion.ASSERTED}
    return frozenset(kind for kind in seen if kind is not None)


def _observed(one: Observation) -> str | None:
    if one.kind == "opacity" and _OPACITY.search(one.plain):
        return "opacity"
    return _OBSERVED.get(one.kind)


def _says_other(text: str) -> bool:
    """Whether something else is abnormal, or only possible."""
    part = described_part(text)
    if any(one.status is not Assertion.DENIED and not _is_harmless(one) for one in observations(part)):
        return True
    return any(
        mention.status is Assertion.ASSERTED
        for sentence in sentences_of(part)
        for mention in mentions_in(sentence, _abnormal)
    )


def _is_harmless(one: Observation) -> bool:
    if one.kind in _MAY_BE_NORMAL:
        return bool(_SAYS_NORMAL.search(one.plain))
    return one.kind in _HARMLESS or (one.kind == ANYTHING and bool(_SURGERY.search(one.plain)))


def _abnormal(sentence: str) -> list[tuple[int, int, str]]:
    return [(*match.span(), "abnormal") for match in _ABNORMAL.finditer(sentence)]

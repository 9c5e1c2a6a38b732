"""The abnormal findings of a report, each once: what, how sure, where, how much, and whether a device lies well.

Built on :mod:`xraygpt_core.report.observations`; what a report denies or calls normal is no finding.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from xraygpt_core.report.agreement_devices import (
    DEVICES,
    Device,
    device_of,
    is_external,
    is_removed,
    names_it_again,
    without_parts,
)
from xraygpt_core.report.agreement_weights import (
    POSSIBLE,
    WEIGHTS,
    Significance,
    relatedness,
    scale_of,
    significance_of,
)
from xraygpt_core.report.negation import Assertion
from xraygpt_core.report.observations import ACUTE, ANYTHING, PARTS, Observation, observations

_NO_FINDING = frozenset({ACUTE, ANYTHING, *PARTS})
_DEGREES = (
    (0, r"borderline|(?:upper|top) (?:limits?|normal)|upper normal|limits? of normal|high normal|accentuated"),
    (1, r"trace|tiny|minimal\w*|small\w*|mild\w*|slight\w*|minor|subtle|faint|subsegmental|early"),
    (2, r"moderate\w*|medium"),
    (
        3,
        r"large(?:ly)?|severe\w*|marked\w*|massive\w*|extensive\w*|significant\w*(?! (?:\w+ )?change)|gross\w*|"
        r"tension|complete\w*|giant|huge",
    ),
)
_DEGREE = re.compile("|".join(rf"(?P<d{degree}>\b(?:{words})\b)" for degree, words in _DEGREES))
_LENGTH = re.compile(r"(?P<length>\d+(?:\.\d+)?) ?(?P<unit>cm|mm|centimet\w+|millimet\w+)\b")
_GLUED = re.compile(r"(?<=[a-z])\.(?=[A-Z])")
_HEADED = re.compile(r"\b(heart|cardiac silhouette|aorta|hila|mediastinum|lung volumes?)\s*:\s*(?=\w)", re.IGNORECASE)
# "Both upper and lower zones" of one lung; "more on the left" of something that is on both sides.
_NO_SIDE = re.compile(
    r"\bboth (?=(?:the )?(?:upper|mid|middle|lower)\b)|"
    r",? (?:but |and |though )?(?:slightly |somewhat )?(?:more|greater|worse)(?: (?!than)\w+){0,2} "
    r"(?:in|on|within|at) the (?:left|right)(?: (?:side|lungs?|hemi ?thorax))?(?= ?[.,;]|$)",
    re.IGNORECASE,
)
_ONE_LUNG = re.compile(
    r"(\b(?:left|right) (?:lung|hemi ?thorax)\b[^.;]*? (?:zone|lobe|field|region))s\b", re.IGNORECASE
)
# What is only looked for: "to evaluate for pneumonia", "CT may exclude a nodule", "no opacity to suggest pneumonia".
_SOUGHT = re.compile(
    r"\b(?:evaluat|assess|look|check)\w* (?:\w+ )?(?:for|of)\b|\bhistory of\b|"
    r"\b(?:recommend|consider|advis|obtain|perform|suggest|need|help)\w*\b.*\b(?:exclude|rule out|find)\b|"
    r"\b(?:no|without)\b[^,;]*\b(?:concerning|suspicious|worrisome|suggest\w*|indicat\w+|represent\w*)\b[^,;]*$"
)
_NORMAL_BEFORE = re.compile(r"\b(?:normal|unremarkable) (?:(?!with|and|but|no)\w+ )?$")
_NORMAL_AFTER = re.compile(
    r"^,? ?(?:(?:is|are|appears?|remains?|also|within|limits|of|low|normally|the|in|caliber|size|markings|vessels|"
    r"pattern) )*(?:normal|unremarkable|distributed|extend)\b"
)
_ORDINALS = (
    *("first", "second", "third", "fourth", "fifth", "sixth"),
    *("seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth"),
)
_LEVEL = re.compile(rf"\b(?:{'|'.join(_ORDINALS)}|\d{{1,2}}(?:st|nd|rd|th)|[tlc] ?\d{{1,2}})\b")
# "This suggests pneumonia" names the opacity before it again.
_EXPLAINS = re.compile(
    r"(?:this|these|those|it|which|findings?|(?:the )?appearances?|(?:most )?likely|probabl[ey]|consistent|compatible|"
    r"suggest\w*|favou?r\w*|suspect\w*|differential|concern\w*)\b",
    re.IGNORECASE,
)
NEAR = 0.5  # kinds at least this near, where one explains the other, are one finding in two words


@dataclass(frozen=True)
class Finding:
    """One abnormal finding of a report.

    Attributes:
        sentence: as it was written.
        kinds: what it is called, the weightiest first: "airspace opacity" has two.
        possible: named only as a possibility.
        sides, zones, levels: where it is, as far as the text says; levels are ribs and vertebrae.
        degree: 0 doubtful, 1 small or mild, 2 moderate, 3 large or severe; None where the text does not say.
        millimetres: its size, if measured.
        device: the tube or line that it is, if it is one.
    """

    sentence: str
    kinds: tuple[str, ...]
    possible: bool
    sides: frozenset[str]
    zones: frozenset[str]
    levels: frozenset[str]
    degree: float | None
    millimetres: float | None
    device: Device | None

    @property
    def significance(self) -> Significance:
        """The level of its weightiest kind; a misplaced device is urgent."""
        misplaced = self.device is not None and self.device.misplaced
        return significance_of("misplaced device" if misplaced else self.kinds[0])

    @property
    def weight(self) -> float:
        """Its clinical weight, 0-1: that of its kind, more if large, less if small, doubtful or only possible."""
        sure = POSSIBLE if self.possible else 1.0
        return min(1.0, WEIGHTS[self.significance] * scale_of(self.degree) * sure)


@lru_cache(maxsize=4096)
def findings_of(text: str) -> tuple[Finding, ...]:
    """The abnormal findings of a text in its order; () for a text that calls all normal, and for none."""
    text = _ONE_LUNG.sub(r"\1", _NO_SIDE.sub("", _HEADED.sub(r"\1 ", _GLUED.sub(". ", text))))
    named = without_parts(observations(text))
    found: list[Finding] = []
    for one in named:
        if _is_there(one):
            found = _with(found, _finding(one, _around(one, named), text))
    return tuple(found)


def _is_there(one: Observation) -> bool:
    """Whether it is a finding: asserted or possible, neither normal, nor removed, nor merely looked for."""
    if one.kind in _NO_FINDING or one.status is Assertion.DENIED:
        return False
    before, named, after = one.plain[: one.start], one.plain[one.start : one.end], one.plain[one.end :]
    if one.status is Assertion.OPEN and _SOUGHT.search(before):
        return False
    if one.kind in DEVICES:
        return not is_removed(one)
    return not ("normal" in named or _NORMAL_BEFORE.search(before) or _NORMAL_AFTER.search(after))


def _with(found: list[Finding], new: Finding) -> list[Finding]:
    """The findings with one more, or with one that says it already made richer."""
    for index, old in enumerate(found):
        if _is_one(old, new):
            return [*found[:index], _joined(old, new), *found[index + 1 :]]
    return [*found, new]


def _is_one(old: Finding, new: Finding) -> bool:
    same_sentence = old.sentence == new.sentence
    if old.device and new.device:
        several = old.device.name == "venous" and not same_sentence and not names_it_again(new.sentence)
        return old.device.name == new.device.name and not several
    if old.sides and new.sides and not old.sides & new.sides:
        return False
    nearest = max(relatedness(one, other) for one in old.kinds for other in new.kinds)
    explains = new.possible or same_sentence or bool(_EXPLAINS.match(new.sentence))
    return nearest == 1 or (explains and nearest >= NEAR and not (old.device or new.device))


def _joined(old: Finding, new: Finding) -> Finding:
    """One finding of two; what is asserted of it names it, before what is only possible."""
    sure = [one for one in (old, new) if not one.possible] or [old, new]
    kinds = dict.fromkeys(kind for one in sure for kind in one.kinds)
    weightiest = sorted(kinds, key=lambda kind: -WEIGHTS[significance_of(kind)])
    return replace(
        old,
        kinds=tuple(dict.fromkeys([*weightiest, *old.kinds, *new.kinds])),
        possible=old.possible and new.possible,
        sides=old.sides | new.sides,
        zones=old.zones | new.zones,
        levels=old.levels | new.levels,
        degree=new.degree if old.degree is None else old.degree,
        millimetres=new.millimetres if old.millimetres is None else old.millimetres,
        device=old.device.joined(new.device) if old.device and new.device else old.device,
    )


def _finding(one: Observation, around: str, text: str) -> Finding:
    external = is_external(one)
    device = None if external else device_of(one, around, text)
    return Finding(
        sentence=one.sentence,
        kinds=("external lead" if external else one.kind,),
        possible=one.status is Assertion.OPEN,
        sides=one.sides,
        zones=one.zones,
        levels=_levels(around),
        degree=None if one.kind in DEVICES else _degree(around),
        millimetres=None if device else _millimetres(around),
        device=device,
    )


def _around(one: Observation, named: Sequence[Observation]) -> str:
    """The words around an observation, up to its neighbours in the statement."""
    neighbours = [o for o in named if o.plain == one.plain and o.end and o.start != one.start]
    start = max((o.end for o in neighbours if o.end <= one.start), default=0)
    end = min((o.start for o in neighbours if o.start >= one.end), default=len(one.plain))
    before = one.plain[start : one.start]
    return (before.rpartition(", ")[2] if start else before) + one.plain[one.start : end]


def _levels(words: str) -> frozenset[str]:
    """Ribs and vertebrae, counted: "seventh" and "7th" are the same."""
    named = (match.group().replace(" ", "") for match in _LEVEL.finditer(words))
    return frozenset(str(_ORDINALS.index(one) + 1) if one in _ORDINALS else one.rstrip("stndrh") for one in named)


def _degree(words: str) -> float | None:
    """The mean of the first two degrees ("mild to moderate"); 0 wherever one doubts."""
    degrees = [int(str(match.lastgroup)[1:]) for match in _DEGREE.finditer(words)]
    if not degrees:
        return None
    return 0.0 if 0 in degrees else sum(degrees[:2]) / len(degrees[:2])


def _millimetres(words: str) -> float | None:
    match = _LENGTH.search(words)
    return float(match["length"]) * (1.0 if match["unit"].startswith("m") else 10.0) if match else None

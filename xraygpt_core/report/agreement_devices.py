"""Tubes and lines of a report: of which type each is, where it ends, and whether it lies well."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from xraygpt_core.report.observations import Observation

DEVICES = frozenset({"tube", "line", "pacemaker", "valve", "hardware", "surgical", "sternal wires"})
_TYPES = {
    "airway": r"endo ?tracheal|\bett?\b|intubat\w*|tracheost\w*",
    "enteric": r"\b(?:ng|og|ngt|ogt|ge?j|dobb?hoff|nasogastric|orogastric|enteric|feeding|gastric|esophageal)\b",
    "drain": r"chest (?:tubes?|drains?)|thoracostomy|pleural (?:drains?|catheters?|tubes?)|pig ?tail|\bdrains?\b",
    "shunt": r"shunt\w*|nephrostomy|biliary",
    "venous": r"picc|\bu[av]c\b|\bports?\b|port ?a|medi ?port|central|jugular|subclavian|dialysis|venous|svc|cava\w*|"
    r"\bij\b|umbilical|swan|arterial|catheters?",
}
_ENDS = {
    "vein": r"svc|superior vena cava|cavo ?atrial|brachiocephalic|innominate",
    "heart": r"right atri\w+|cavo ?atrial|right ventric\w*|ventricular apex|cardiac apex",
    "abdomen": r"stomach|gastric (?:fundus|body|antrum)|fundus|below the (?:\w+ )?diaphragm|duoden\w*|abdom\w*|ivc|"
    r"inferior vena cava",
    "artery": r"descending aorta|aortic arch|pulmonary artery",
}
_TYPE = {name: re.compile(words) for name, words in _TYPES.items()}
_END = {name: re.compile(words) for name, words in _ENDS.items()}
_EXTERNAL = re.compile(
    r"(?:monitor\w*|e[ck]g|telemetry|external|cardiac) (?:\w+ )?(?:leads?|electrodes?|wires?|devices?)|"
    r"pacer pads|(?:wires|leads) (?:\w+ )?overl\w+|overlying (?:\w+ ){0,2}(?:wires|leads)"
)
_BAD = re.compile(
    r"mal ?position\w*|mis ?position\w*|mis ?plac\w*|retract\w*|withdraw\w*|pull\w* back|should be advanced|"
    r"reposition\w*|(?:main ?stem|main|right|left) bronch\w*|too (?:low|high|deep|far)|kink\w*|"
    r"(?:below|at) the carina|(?:tube|tip) (?:\w+ ){0,3}(?:o?esophagus)"
)
_GOOD = re.compile(
    r"satisf\w+|appropriate\w*|adequate\w*|(?:well|properly|correctly) (?:position|plac|seat)\w*|in place|"
    r"(?:good|expected|standard|proper|correct|acceptable) (?:\w+ )?(?:position\w*|place\w*|location|range)"
)
_CARINA = re.compile(
    r"(?P<length>\d+(?:\.\d+)?) ?(?P<unit>cm|mm) (?:\w+ )?(?:above|from|proximal to|superior to|cephalad to) "
    r"(?:the )?(?:level of the )?carina"
)
SAFE_MILLIMETRES = (20.0, 80.0)  # of a tube's end above the carina: neither in a bronchus nor at the larynx
_REMOVED = re.compile(r" (?:removal|(?:has|have|was|were) (?:been )?(?:\w+ )?removed)\b")
_PART = re.compile(r"tips?|ports?|leads?|devices?|battery|generators?|pacing|electrodes?")
_GOES_ON = re.compile(r"(?:this|it|recommend\w*|advise|retract\w*)\b[^.]*(?:\.\d[^.]*)?", re.IGNORECASE)
_AGAIN = re.compile(r"(?:the|this) (?:catheter|line|tip)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Device:
    """A tube or a line.

    Attributes:
        name: airway, enteric, drain, shunt, venous or other.
        misplaced: whether it lies wrongly; None where the text does not say.
        ends: the regions in which it ends, of vein, heart, abdomen and artery.
    """

    name: str
    misplaced: bool | None
    ends: frozenset[str]

    def joined(self, other: "Device") -> "Device":
        """What two sentences say about one device."""
        known = [one.misplaced for one in (self, other) if one.misplaced is not None]
        return Device(self.name, any(known) if known else None, self.ends | other.ends)


def device_of(one: Observation, around: str, text: str) -> Device | None:
    """The tube or line that an observation names, from the words around it and the text; None if it names none."""
    if one.kind not in ("tube", "line"):
        return None
    name = _named(around) or _named(one.plain) or "other"
    ends = frozenset(place for place, words in _END.items() if words.search(around))
    return Device(name, _misplaced(_all_of_it(one, text), name), ends)


def is_external(one: Observation) -> bool:
    """Whether it lies on the patient, not in the patient: leads of a monitor."""
    return one.kind in ("pacemaker", "line", "sternal wires", "hardware") and bool(_EXTERNAL.search(one.plain))


def is_removed(one: Observation) -> bool:
    """Whether a device is named because it is gone."""
    return one.kind in DEVICES and bool(_REMOVED.match(one.plain, one.end))


def names_it_again(sentence: str) -> bool:
    """Whether a sentence goes on about a line named before: "The catheter …"."""
    return bool(_AGAIN.match(sentence))


def without_parts(named: Sequence[Observation]) -> list[Observation]:
    """The observations without tips, ports and leads of a device that the same statement names."""
    whole = {one.plain for one in named if one.kind in DEVICES and not _is_part(one)}
    return [one for one in named if one.plain not in whole or not _is_part(one)]


def _is_part(one: Observation) -> bool:
    return one.kind in DEVICES and bool(_PART.fullmatch(one.plain, one.start, one.end))


def _named(words: str) -> str:
    return next((name for name, pattern in _TYPE.items() if pattern.search(words)), "")


def _all_of_it(one: Observation, text: str) -> str:
    """The statement of a device, and the sentence after it if that goes on about it: "It should be retracted"."""
    rest = text.partition(one.sentence)[2].strip()
    goes_on = _GOES_ON.match(rest)
    return f"{one.plain} {goes_on.group().lower()}" if goes_on else one.plain


def _misplaced(words: str, name: str) -> bool | None:
    if name == "airway" and (measured := _CARINA.search(words)):
        low, high = SAFE_MILLIMETRES
        return not low <= float(measured["length"]) * (10.0 if measured["unit"] == "cm" else 1.0) <= high
    if _BAD.search(words):
        return True
    return False if _GOOD.search(words) else None

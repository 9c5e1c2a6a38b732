"""Where a finding is: sides and zones in words, and which place belongs to which finding."""

import re
from typing import NamedTuple

_ON_BOTH = ("both", "bilateral", "bilaterally", "biapical", "bibasal", "bibasilar", "either", "each")
SIDE_WORDS = {
    **dict.fromkeys(("left", "l", "lingula", "lingular", "retrocardiac"), ("left",)),
    **dict.fromkeys(("right", "r"), ("right",)),
    **dict.fromkeys(_ON_BOTH, ("left", "right")),
}
# The lingula and the middle lobe lie beside the heart's lower half: the nearest label is the lower zone.
# A mid zone is neither upper nor lower: it is understood and gives no zone.
_BASAL = ("lower", "base", "bases", "basal", "basilar", "bibasal", "bibasilar", "infrahilar", "retrocardiac")
ZONE_WORDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("upper", "apex", "apical", "apices", "biapical", "suprahilar"), ("upper",)),
    **dict.fromkeys((*_BASAL, "lingula", "lingular"), ("lower",)),
    **dict.fromkeys(("mid", "middle", "perihilar"), ()),
    **dict.fromkeys(("entire", "whole", "throughout", "diffuse", "diffusely", "all"), ("upper", "lower")),
}
REWRITES = {
    r"\brul\b": "right upper lobe",
    r"\brml\b": "right lower lobe",
    r"\brll\b": "right lower lobe",
    r"\blul\b": "left upper lobe",
    r"\blll\b": "left lower lobe",
    r"\b(?:right )?middle lobe\b": "right lower lobe",
    r"\bmiddle and lower lobes?\b": "lower lobe",
}
PLURAL = re.compile(
    r"\b(?:bases|apices|zones|lobes|fields|regions|lungs|sides|effusions|pneumothoraces|pneumothoraxes|angles|sulci|recesses)\b"
)
_FILLER = (
    r"(?:and|or|of|the|in|lungs?|zones?|lobes?|fields?|sides?|sided|hemi ?thorax|hemithoraces|regions?|areas?|aspects?|"
    r"portions?|parts?|patient s|lateral|medial|posterior|anterior|more than|greater than|than|on|at|to|segments?)"
)
_WORD = rf"(?:{'|'.join(sorted(set(SIDE_WORDS) | set(ZONE_WORDS), key=len, reverse=True))})"
_PLACE = re.compile(
    rf"\b{_WORD}\b(?:(?:,? {_FILLER}|,)*,? {_WORD}\b)*"
    r"(?: (?:lungs?|zones?|lobes?|fields?|sides?|sided|hemi ?thorax|regions?)\b)*"
)
_OTHER_LEFT = re.compile(
    r"\bleft (?:in place|in situ)|\bright now|\b(?:left|right) (?:sided )?(?:ventric\w+|atri\w+|heart)|"
    r"\b(?:upper|lower) (?:limits?|abdom\w+|chest wall)|"
    r"\b(?:shift\w*|deviat\w+|displace\w+|pushed)(?: \w+){0,4} to(?:wards)? the (?:left|right)(?: side)?"
)


class Location(NamedTuple):
    """A place expression: [start, end) in the sentence, and its groups of (sides, zones)."""

    start: int
    end: int
    groups: tuple[tuple[frozenset[str], frozenset[str]], ...]

    @property
    def sides(self) -> frozenset[str]:
        """Every side it names."""
        return frozenset(side for sides, _ in self.groups for side in sides)

    def spots(self, default_sides: frozenset[str]) -> set[tuple[str, str]]:
        """(side, zone) pairs; a group without a side takes the default."""
        return {(side, zone) for sides, zones in self.groups for side in (sides or default_sides) for zone in zones}


def find_locations(sentence: str) -> list[Location]:
    """All place expressions of a lower-case sentence, in order."""
    masked = _OTHER_LEFT.sub(lambda match: "~" * len(match.group()), sentence)
    return [Location(m.start(), m.end(), _groups(m.group())) for m in _PLACE.finditer(masked)]


def _groups(words: str) -> tuple[tuple[frozenset[str], frozenset[str]], ...]:
    """Sides and zones that belong together.

    "left upper and right lower" are two groups; "right upper and lower", "left and right upper", "upper zones of both
    lungs" are one each.
    """
    groups: list[tuple[set[str], set[str]]] = [(set(), set())]
    zone_words = 0  # in the current group, also those that give no zone
    for word in re.findall(r"[a-z]+", words):
        sides = groups[-1][0]
        if word in SIDE_WORDS:
            if sides and zone_words and word not in ZONE_WORDS:
                groups.append((set(), set()))
                zone_words = 0
            groups[-1][0].update(SIDE_WORDS[word])
        if word in ZONE_WORDS:
            groups[-1][1].update(ZONE_WORDS[word])
            zone_words += 1
    if PLURAL.search(words) and not groups[-1][0]:
        groups[-1][0].update(("left", "right"))
    return tuple((frozenset(sides), frozenset(zones)) for sides, zones in groups)

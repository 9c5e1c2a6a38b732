"""Read findings back from report text: which labels of the vocabulary does a report assert?

General rules over sentences, not the phantoms' templates turned round: terms, negation and uncertainty scopes, sides
and zones, lists and ellipses. Decisions that a reader of the scores must know:

- A finding that is only possible ("may represent pneumonia", "cannot be excluded") is not asserted; a probable one is.
- Effusion and pneumothorax need a side and consolidation a side and a zone; without them there is no label, except that
  an unsided plural ("pleural effusions") means both sides.
- The mid zone has no label and gives none; middle lobe and lingula count as lower zone; a bare "opacity" in a zone
  counts as consolidation.
- One assertion anywhere in findings or impression is enough. Indication, history and technique are not read.
"""

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from xraygpt_core.phantoms.findings import LABELS, View
from xraygpt_core.report.locations import PLURAL, REWRITES, Location, find_locations
from xraygpt_core.report.negation import Assertion, Finder, mask_pseudo, status_of
from xraygpt_core.report.sections import described_part
from xraygpt_core.report.vocabulary import find_terms

_SENTENCE = re.compile(r"(?<!\bno)(?<!\bdr)[.!\n]+(?=\s|$)|\?(?=\s|$)|\n")
_STOP = (
    r"(?:in|on|at|of|with|and|or|nor|is|are|was|were|shows?|but|the|an?|no|not|without|there|by|from|has|have|which|seen|"
    r"present|noted)"
)
_ATTRIBUTE = re.compile(rf"^(?: (?!{_STOP}\b)[\w/]+){{0,5}} ?$")
# "moderate left and small right effusions": one of them on each side.
_AND_THE_OTHER = re.compile(
    r"^,? (?:and|greater than|larger than|more than|smaller than|less than|plus) (?:(?!pleural|and|or)\w+ ){0,3}"
    r"(?:left|right)(?: sided)?(?: pleural)? $"
)
_LINK = re.compile(
    r"^[ ,]*(?:(?:and|or|with|plus|associated|accompanying|an?|the|small|large|moderate|mild|trace|pleural|adjacent|"
    r"overlying|underlying|concomitant|"
    r"consistent with|compatible with|representing|suggesting|in keeping with|is|blunted|by|due to)[ ,]*)*$"
)
_CLAUSE = re.compile(r"[;:]|\b(?:but|however|while|whereas|although|there (?:is|are))\b")
_ELLIPSIS = re.compile(
    r"\b(left|right)(?: sided)?,? (but|and) (no|not|without)(?: an?)? (left|right)"
    r"((?: sided)?(?: pleural)? (?:effusion|pneumothorax|consolidation))"
)
_ELSEWHERE = re.compile(r"\b(?:none|not|nil|no|never)(?: seen| present)?(?: on| at| in)?(?: the)? $")
_QUERY = re.compile(r"\?\s*(?=\w)")
_ASKED = re.compile(r"(?<=\w)\s?\?")


@dataclass(frozen=True)
class Mention:
    """One finding named in one sentence: [start, end) there, what it says and where it is."""

    start: int
    end: int
    kind: str
    status: Assertion
    locations: tuple[Location, ...] = ()
    plural: bool = False

    @property
    def sides(self) -> frozenset[str]:
        """Every side it is placed on."""
        return frozenset(side for place in self.locations for side in place.sides)

    def labels(self) -> frozenset[str]:
        """What it adds to the truth if it is asserted."""
        sides = self.sides
        if self.kind == "consolidation":
            spots = {spot for place in self.locations for spot in place.spots(sides)}
            return frozenset(f"consolidation_{side}_{zone}" for side, zone in spots)
        if self.kind in ("effusion", "pneumothorax"):
            if not sides and self.plural:
                sides = frozenset(("left", "right"))
            return frozenset(f"{self.kind}_{side}" for side in sides)
        return frozenset((self.kind,))


def sentences_of(text: str) -> list[str]:
    """Lower-case sentences with hyphens and slashes opened, contractions and abbreviations spelled out."""
    text = _QUERY.sub(" questionable ", text.lower().replace("’", "'").replace("n't", " not"))
    text = _ASKED.sub(" questionable.", text)
    sentences = []
    for raw in _SENTENCE.split(text):
        sentence = re.sub(
            r"(?<=\w)[-–/](?=\w)", " ", raw.replace("r/o", "rule out").replace("(", ", ").replace(")", ", ")
        )
        sentence = " ".join(re.sub(r"[\"*_']", " ", sentence).split())
        for pattern, words in REWRITES.items():
            sentence = re.sub(pattern, words, sentence)
        sentence = _ELLIPSIS.sub(r"\1\5 \2 \3 \4\5", sentence)
        if sentence:
            sentences.append(sentence)
    return sentences


def mentions(text: str) -> list[Mention]:
    """Every finding the report names, asserted or not, with its place, in the order of the text."""
    return [mention for sentence in sentences_of(described_part(text)) for mention in mentions_in(sentence)]


def mentions_in(sentence: str, find: Finder = find_terms) -> list[Mention]:
    """Every finding that one sentence of :func:`sentences_of` names; ``find`` says what is one."""
    return list(_mentions_in(sentence, find))


@lru_cache(maxsize=8192)
def _mentions_in(sentence: str, find: Finder) -> tuple[Mention, ...]:
    """The same, once for a sentence: a draft's are read for its labels, its contradictions and its scores."""
    masked = mask_pseudo(sentence)
    named = [
        Mention(start, end, kind, status_of(masked, start, end, find), plural=bool(PLURAL.search(sentence[start:end])))
        for start, end, kind in find(masked)
    ]
    return tuple(_placed(sentence, named))


def label_report(text: str) -> frozenset[str]:
    """The labels that a report's findings and impression assert, out of ``LABELS``."""
    asserted = {
        label for mention in mentions(text) if mention.status is Assertion.ASSERTED for label in mention.labels()
    }
    return frozenset(asserted & set(LABELS))


def _split_between(sentence: str, place: Location, named: list[Mention]) -> list[Location]:
    """ "consolidation in the left upper zone, right effusion": the words are two locations, not one."""
    before = [m for m in named if m.end <= place.start]
    after = [m for m in named if m.start >= place.end]
    if not (before and after and _ATTRIBUTE.match(sentence[place.end : after[0].start])):
        return [place]
    if not re.search(r"\b(?:in|on|at|of|involving|within|to|over)\b", sentence[before[-1].end : place.start]):
        return [place]
    connectors = list(re.finditer(r", (?:and )?| and ", sentence[place.start : place.end]))
    if not connectors:
        return [place]
    cut = place.start + connectors[-1].end()
    head = find_locations(sentence[: place.start + connectors[-1].start()])[-1]
    tail = find_locations(" " * cut + sentence[cut : place.end])[0]
    return [head, tail]


def _placed(sentence: str, named: list[Mention]) -> list[Mention]:
    """Give every mention its locations: in front of it, behind it, or shared with its neighbours."""
    own: list[list[Location]] = [[] for _ in named]
    leading: list[tuple[int, Location]] = []  # (from which mention on, place)
    for whole in find_locations(sentence):
        if _is_elsewhere(sentence, whole, named):
            continue
        for place in _split_between(sentence, whole, named):
            index, leads = _owner(sentence, place, named)
            if index is None:
                continue
            if leads:
                leading.append((index, place))
            else:
                own[index].append(place)
    placed = [replace(mention, locations=tuple(locations)) for mention, locations in zip(named, own, strict=True)]
    for i in range(1, len(placed)):
        if placed[i].sides or not _LINK.match(_without_locations(sentence, placed[i - 1].end, placed[i].start)):
            continue
        if not placed[i].locations:
            placed[i] = replace(placed[i], locations=placed[i - 1].locations)
        elif not placed[i].plural and not PLURAL.search(sentence[placed[i].locations[0].start : placed[i].end]):
            sides = Location(placed[i].start, placed[i].start, ((placed[i - 1].sides, frozenset()),))
            placed[i] = replace(placed[i], locations=(*placed[i].locations, sides))
    for i in range(len(placed) - 2, -1, -1):
        behind = any(place.start >= placed[i + 1].end for place in placed[i + 1].locations)
        if not placed[i].locations and behind and _LINK.match(sentence[placed[i].end : placed[i + 1].start]):
            placed[i] = replace(placed[i], locations=placed[i + 1].locations)
    for first, place in leading:
        for i in range(first, len(placed)):
            if not placed[i].sides:
                placed[i] = replace(placed[i], locations=(*placed[i].locations, place))
    return placed


def _is_elsewhere(sentence: str, place: Location, named: list[Mention]) -> bool:
    """ "effusion on the right, none on the left": the second place denies itself, not the finding."""
    after = next((mention for mention in named if mention.start >= place.end), None)
    if after is not None and _ATTRIBUTE.match(sentence[place.end : after.start]):
        return False
    return bool(_ELSEWHERE.search(sentence[: place.start])) and any(m.end <= place.start for m in named)


def _without_locations(sentence: str, start: int, end: int) -> str:
    """What stands between two mentions, the first one's place left out: "effusion [on the left] and pneumothorax"."""
    text = sentence[start:end]
    for place in reversed(find_locations(text)):
        text = text[: place.start] + text[place.end :]
    return re.sub(r"\b(?:on|in|at) (?:the )?(?=[ ,]|$)|\b(?:seen|present) ", "", text)


def _owner(sentence: str, place: Location, named: list[Mention]) -> tuple[int | None, bool]:
    """Index of the mention a place belongs to, and whether it leads the clause ("on the right, …")."""
    for i, mention in enumerate(named):
        if mention.start < place.end and place.start < mention.end:
            return i, False
    after = next((i for i, mention in enumerate(named) if mention.start >= place.end), None)
    if after is not None:
        between = sentence[place.end : named[after].start]
        if _ATTRIBUTE.match(between) or (named[after].plural and _AND_THE_OTHER.match(between)):
            return after, False
    before = next((i for i in range(len(named) - 1, -1, -1) if named[i].end <= place.start), None)
    if before is not None and not _CLAUSE.search(sentence[named[before].end : place.start].lstrip(": ")):
        return before, False
    return after, True


_VIEW = re.compile(
    r"\b(?P<ap>A-?P\b(?! window| diameter)|A\.P\.|[Aa]p(?= (?:chest|view|film|projection|radiograph)\b)|"
    r"[Aa]nter(?:o|ior)[-–]?\s?posterior\b|[Pp]ortable\b|[Ss]upine\b)|"
    r"\b(?P<pa>P-?A\b(?! catheter| pressure| line)|P\.A\.|"
    r"[Pp]a(?= (?:chest|view|film|projection|radiograph|and lateral)\b)|[Pp]oster(?:o|ior)[-–]?\s?anterior\b)"
)


def view_of(text: str) -> View | None:
    """The projection a report states ("AP chest radiograph", "Portable film", "PA and lateral views"), or None."""
    match = _VIEW.search(text)
    if match is None:
        return None
    return "AP" if match["ap"] else "PA"

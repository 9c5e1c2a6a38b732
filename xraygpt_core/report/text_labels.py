"""The findings that a text names, each with its side, its zone, whether it is there, and the words that say so.

Six findings are those of :mod:`.labeller`, as :mod:`.statements` reads them. The others are observations of
:mod:`.observation_terms`, of the kinds whose words leave no doubt; vague ones ("opacity", "lesion") are left out.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, cast

from xraygpt_core.report.consistency import only_defines
from xraygpt_core.report.labeller import Mention, mentions_in
from xraygpt_core.report.negation import Assertion
from xraygpt_core.report.observations import Observation, observations
from xraygpt_core.report.sections import described_spans
from xraygpt_core.report.statements import MOST_LETTERS, plain_sentences, statement_of
from xraygpt_core.report.word_spans import words_in

# To be raised with every change of the rules that changes a label: stored labels are made anew (``xraygpt relabel``).
LABELLER = "1"

Side = Literal["left", "right"]
Zone = Literal["upper", "lower"]
Status = Literal["present", "absent", "uncertain"]

_STATUS: dict[Assertion, Status] = {
    Assertion.ASSERTED: "present",
    Assertion.DENIED: "absent",
    Assertion.OPEN: "uncertain",
}
# What an observation's kind is called; a pattern that its own words must have, one that its sentence must not have.
_FURTHER: dict[str, tuple[str, str | None, str | None]] = {
    "mass": ("mass", r"mass", None),
    "atelectasis": ("atelectasis", None, r"vertebr"),
    "edema": ("edema", None, None),
    "vascular congestion": ("congestion", None, r"\bnormal\b|unremarkable"),
    "emphysema": ("emphysema", None, None),
    "hyperinflation": ("hyperinflation", None, None),
    "fibrosis": ("fibrosis", None, None),
    "bronchiectasis": ("bronchiectasis", None, None),
    "cavity": ("cavity", r"cavit", r"(?:pleural|thoracic|chest|abdominal|peritoneal) cavit"),
    "granuloma": ("granuloma", None, None),
    "pleural thickening": ("pleural_thickening", None, None),
    "elevated diaphragm": ("elevated_diaphragm", None, None),
    "hernia": ("hernia", None, None),
    "wide mediastinum": ("wide_mediastinum", None, None),
    "lymphadenopathy": ("lymphadenopathy", r"adenopath|enlarg", None),
    "tortuous aorta": ("tortuous_aorta", None, None),
    "aortic calcification": ("aortic_calcification", r"aort|arch|athero", None),
    "fracture": ("fracture", None, None),
    "scoliosis": ("scoliosis", r"scolio", None),
    "free air": ("free_air", None, None),
    "subcutaneous air": ("soft_tissue_air", None, None),
}
_OF_THE_LABELLER = ("cardiomegaly", "effusion", "pneumothorax", "consolidation", "nodule", "device")
FINDINGS: tuple[str, ...] = (*_OF_THE_LABELLER, *(code for code, _, _ in _FURTHER.values()))

_MIDLINE = frozenset({
    "cardiomegaly", "congestion", "wide_mediastinum", "tortuous_aorta", "aortic_calcification", "scoliosis",
})  # fmt: skip
_ZONED = frozenset(
    {"consolidation", "nodule", "mass", "atelectasis", "fibrosis", "bronchiectasis", "cavity", "granuloma"}
)
_SENTENCE = re.compile(r"(?<!\b[Nn]o\.)(?<!\b[Dd]r\.)(?<!\bA\.P\.)(?<!\bP\.A\.)(?<=[.!?])\s+")
# A line that begins anew, unless the one before it breaks off: reports are wrapped, or have a finding a line.
_BREAKS_OFF = r"(?:,|\b(?:no|not|nor|without|of|for|the|an?|and|or|with|in|on|at|is|are|by|to|left|right))"
_LINES = re.compile(r"\n\s*")
_BEGINS = re.compile(r"[-*•\dA-Z]")
_UNFINISHED = re.compile(rf"{_BREAKS_OFF}\Z", re.IGNORECASE)
_MOST = 1000  # labels of one text
_Place = tuple[Side | None, Zone | None]


@dataclass(frozen=True)
class TextLabel:
    """One finding that a text names.

    Attributes:
        start, end: its words are ``text[start:end]``.
    """

    finding: str
    side: Side | None
    zone: Zone | None
    status: Status
    start: int
    end: int


@dataclass(frozen=True)
class Named:
    """The findings of a text by what it says of them, each once and sorted: what is there wins over what may be."""

    asserted: tuple[str, ...]
    uncertain: tuple[str, ...]


def labels_of(text: str) -> tuple[TextLabel, ...]:
    """Every finding that findings and impression name, in the order of their words; a finding on both sides is two."""
    found: dict[TextLabel, None] = {}
    for start, end in _sentences(text):
        for label in _in_sentence(text[start:end]):
            found[replace(label, start=start + label.start, end=start + label.end)] = None
    return tuple(sorted(found, key=lambda one: (one.start, one.end)))[:_MOST]


def named_by(labels: Sequence[TextLabel]) -> Named:
    """These labels without their places."""
    present = {one.finding for one in labels if one.status == "present"}
    perhaps = {one.finding for one in labels if one.status == "uncertain"}
    return Named(tuple(sorted(present)), tuple(sorted(perhaps - present)))


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    """[start, end) of each sentence; of one that never ends, its beginning."""
    for start, end in described_spans(text):
        for first, last in _cut(text, start, end):
            if text[first:last].strip():
                yield first, min(last, first + MOST_LETTERS)


def _cut(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    joints = [match.span() for match in _SENTENCE.finditer(text, start, end)]
    for match in _LINES.finditer(text, start, end):
        if match[0].count("\n") > 1 or _BEGINS.match(text, match.end()):
            before = text[max(start, match.start() - 12) : match.start()].rstrip()
            joints += [] if _UNFINISHED.search(before) else [match.span()]
    for first, last in sorted(joints):
        if first >= start:
            yield start, first
            start = max(start, last)
    yield start, end


@lru_cache(maxsize=8192)
def _in_sentence(raw: str) -> tuple[TextLabel, ...]:
    """The labels of one sentence, counted from its first letter: models say the same sentences of many films."""
    written = " ".join(raw.replace("**", " ").split())
    found: list[TextLabel] = []
    for plain in plain_sentences(written):
        if not only_defines(plain):
            for mention in mentions_in(plain):
                found += _of_mention(raw, written, plain, mention)
    for observation in observations(written):
        if not only_defines(observation.plain):
            found += _of_observation(raw, observation)
    return tuple(found)


def _of_mention(raw: str, written: str, plain: str, mention: Mention) -> Iterator[TextLabel]:
    read = statement_of(written, plain, mention)
    finding = read.kind.split()[0]
    if read.status is not mention.status:  # an opacity that is explained, a tube that is advised: neither is there
        return
    sides = read.sides
    if not sides and mention.plural and finding in ("effusion", "pneumothorax"):
        sides = frozenset(("left", "right"))
    zones = frozenset(zone for place in mention.locations for _, group in place.groups for zone in group)
    span = words_in(raw, plain, mention.start, mention.end)
    for side, zone in _places(finding, sides, zones, read.spots):
        yield TextLabel(finding, side, zone, _STATUS[read.status], *span)


def _of_observation(raw: str, one: Observation) -> Iterator[TextLabel]:
    if one.kind not in _FURTHER or one.end <= one.start:
        return
    finding, needs, refuses = _FURTHER[one.kind]
    words = one.plain[one.start : one.end]
    if (needs and not re.search(needs, words)) or (refuses and re.search(refuses, one.plain)):
        return
    span = words_in(raw, one.plain, one.start, one.end)
    for side, zone in _places(finding, one.sides, one.zones, frozenset()):
        yield TextLabel(finding, side, zone, _STATUS[one.status], *span)


def _places(
    finding: str, sides: frozenset[str], zones: frozenset[str], spots: frozenset[tuple[str, str]]
) -> list[_Place]:
    """Where a finding of this kind is: sides and zones that belong together, sides alone, zones alone, or nowhere."""
    if finding in _MIDLINE:
        return [(None, None)]
    if finding not in _ZONED:
        zones, spots = frozenset(), frozenset()
    if not spots and sides and zones:
        spots = frozenset((side, zone) for side in sides for zone in zones)
    placed: list[tuple[str | None, str | None]] = [*sorted(spots)]
    placed += [(side, None) for side in sorted(sides - {side for side, _ in spots})]
    if not placed:
        placed = [(None, zone) for zone in sorted(zones)] or [(None, None)]
    return cast(list[_Place], placed)

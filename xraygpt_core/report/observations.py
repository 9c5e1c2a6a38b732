"""What each sentence of a report observes: which finding, there or not or perhaps, on which side and in which zone.

Wider than :mod:`xraygpt_core.report.statements`: all that :mod:`xraygpt_core.report.observation_terms` has words for,
and parts of the body that are called normal.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from xraygpt_core.report.labeller import mentions_in, sentences_of
from xraygpt_core.report.negation import Assertion
from xraygpt_core.report.observation_terms import find_observations
from xraygpt_core.report.statements import MOST_LETTERS, all_sentences

_PARTS = {
    "heart": r"heart|cardiac|cardio\w*",
    "mediastinum": r"mediastin\w*|cardio ?mediastin\w*",
    "lungs": r"lungs?|lung fields",
    "pleura": r"pleura|pleural spaces?|(?:costo ?phrenic|cp) (?:angles?|sulci|sulcus)",
    "bones": r"bones?|bony|osseous|skelet\w*",
    "vessels": r"vascular\w*|vasculature|vessels",
    "hila": r"hila|hilar|hilum",
    "film": r"chest|film|radiographs?|study|exam(?:ination)?",
}
PARTS = {f"abnormal {part}": re.compile(rf"\b(?:{words})\b") for part, words in _PARTS.items()}
_NORMAL = re.compile(
    r"\b(?P<not>(?:not|nor|neither)(?: \w+)? )?(?:normal|unremarkable|clear(?! of)|intact|sharp|"
    r"within (?:normal )?limits|"
    r"negative(?! for)|free of (?:any )?(?:acute |active )?(?:disease|abnormalit\w+))\b"
)
_QUALIFIED_NORMAL = re.compile(
    r"\b(?:otherwise|upper|borderline|except|near|mildly|remainder|remaining|rest|elsewhere)\b"
)
_CLAUSES = re.compile(
    r"; ?|, (?=(?:the |and the )?[a-z ]{3,40} (?:is|are)\b)| and (?=the [a-z ]{3,30} (?:is|are)\b)| but "
)
_GENERAL = re.compile(
    r"\b(?:(?:(?P<acute>acute|active)|significant|focal|cardio ?pulmonary|pulmonary|intra ?thoracic|thoracic|osseous|"
    r"bony|bone|chest|"
    r"cardiac|radiographic|lung|and|or|of|heart|infectious|pleural) )*"
    r"(?:disease|process(?:es)?|abnormalit(?:y|ies)|findings?|pathology|injur(?:y|ies)|changes?)\b"
)
_OWN_VERB = re.compile(
    r"^[^,]*?\b(?:is|are|was|were|has|have|lies?|ends?|shows?|demonstrates?|overl\w+|projects?|remains?|terminates?)\b"
    r"(?! (?:not )?(?:seen|identified|noted|present|visible|visuali[sz]ed|appreciated|evident|suspected)\b)"
)
# "Atelectasis or scarring": one of them, so neither for certain.
_ALTERNATIVE = re.compile(r"^(?: (?!or\b|and\b)\w+){0,3},? (?:or|and ?/ ?or|and or|versus|vs) (?:\w+ ){0,3}$")
_SIDES = re.compile(r"\b(left|right|bilateral\w*|both|biapical|bibasilar|bibasal)\b")
_BOTH = frozenset({"left", "right"})


@dataclass(frozen=True)
class Observation:
    """One observation of one sentence.

    Attributes:
        sentence: as it was written; ``plain`` in lower case with hyphens opened.
        kind: of ``observation_terms.TERMS``, or ``abnormal heart`` …, ``anything`` or ``anything acute``.
        sides, zones: where it is, if the sentence says so.
        near: every side its sentence names: what a side could also have been said of.
        start, end: where ``plain`` names it; 0 and 0 for a part of the body that is called normal.
    """

    sentence: str
    plain: str
    kind: str
    status: Assertion
    sides: frozenset[str] = frozenset()
    zones: frozenset[str] = frozenset()
    near: frozenset[str] = frozenset()
    start: int = 0
    end: int = 0


def observations(text: str) -> list[Observation]:
    """Everything that a text observes, headings or not; of a sentence that :func:`never_ends`, its beginning."""
    return [
        one
        for raw in all_sentences(text)
        for plain in sentences_of(raw)
        for part in _statements_of(plain)
        for one in _in_sentence(raw, part)
    ]


def never_ends(text: str) -> bool:
    """Whether a sentence of the text is too long to be looked at whole."""
    return any(len(one) >= MOST_LETTERS for one in all_sentences(text))


def _statements_of(plain: str) -> list[str]:
    """The statements of a sentence: what stands before and after a semicolon, or a comma and "and" that end no list.

    "No nodule, and opacity on the right" are two; "no nodule, mass, and opacity" is one, for it has a comma before, and
    "no nodule, heart normal, and a line ends in the vein" are two again, for the last has a verb of its own.
    """
    parts: list[str] = []
    for piece in plain.split("; "):
        first, joint, second = piece.rpartition(", and ")
        two = joint and ("," not in first or _OWN_VERB.match(second)) and _says_something(first)
        parts += [first, second] if two and _says_something(second) else [piece]
    return parts


def _says_something(part: str) -> bool:
    return bool(_findings_and_disease(part) or _NORMAL.search(part))


def _in_sentence(raw: str, plain: str) -> Iterator[Observation]:
    near = sides_in(plain)
    named = mentions_in(plain, _findings_and_disease)
    doubted = {
        index + step
        for index, (one, other) in enumerate(pairwise(named))
        for step in (0, 1)
        if _ALTERNATIVE.match(plain[one.end : other.start])
    }
    for index, mention in enumerate(named):
        if index in doubted and mention.status is Assertion.ASSERTED:
            mention = replace(mention, status=Assertion.OPEN)
        zones = frozenset(zone for place in mention.locations for _, group in place.groups for zone in group)
        yield Observation(
            raw, plain, mention.kind, mention.status, mention.sides, zones, near, mention.start, mention.end
        )
    for clause in _CLAUSES.split(plain):
        normal = _NORMAL.search(clause)
        if normal is None or _QUALIFIED_NORMAL.search(clause):
            continue
        status = Assertion.ASSERTED if normal["not"] else Assertion.DENIED
        for kind, part in PARTS.items():
            if part.search(clause):
                yield Observation(raw, plain, kind, status, near=near)


def _findings_and_disease(sentence: str) -> list[tuple[int, int, str]]:
    """What is observed, and words for anything at all: "no acute disease"."""
    found = find_observations(sentence)
    for match in _GENERAL.finditer(sentence):
        if not any(match.start() < end and start < match.end() for start, end, _ in found):
            found.append((match.start(), match.end(), ACUTE if match["acute"] else ANYTHING))
    return sorted(found)


ACUTE, ANYTHING = "anything acute", "anything"


def sides_in(plain: str) -> frozenset[str]:
    """The sides that a plain sentence names."""
    words = set(_SIDES.findall(plain))
    return _BOTH if words - _BOTH else frozenset(words)

"""Taking out of a report what one film cannot show: comparisons, the view, and the marks of de-identification.

A sentence that names a finding beside a comparison keeps the finding ("stable cardiomegaly" becomes "cardiomegaly");
one that is about the change alone goes. What went, and why, is told.
"""

import re
from dataclasses import dataclass

from xraygpt_core.report.negation import Assertion
from xraygpt_core.report.observations import ACUTE, ANYTHING, observations

MARK = re.compile(r"X{4,}|_{3,}")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9_(\"'])|(?<=[a-z)][.;])\s+|\n+")
_NUMBER = re.compile(r"^\s*\(?\d{1,2}[.)]\s*(?=\D|$)")
_VIEW = re.compile(
    r"(?:.*\b(?:pa|ap|frontal|lateral|portable|upright|supine)\b.*\b(?:views?|radiographs?|projections?|images?|films?|"
    r"examination)\b|.*\b(?:views?|projections?|radiographs?|images?) (?:of the (?:chest|thorax)|(?:was|were|"
    r"are) (?:obtained|"
    r"submitted|provided))|^\W*(?:\d+|two|three|single|one) (?:views?|images?)\W*$|^\W*(?:(?:chest|x-ray|xray|"
    r"radiographs?|pa|ap|lateral|frontal|"
    r"decubitus|views?|and|two|three|single|of|the|portable|upright|supine|examination|exam|films?|images?|X{4,}|"
    r"[0-9]+)\W+)+$)",
    re.IGNORECASE,
)
_VIEWS = r"(?:PA|AP|frontal|lateral|portable|decubitus)(?:(?:,| and|/)? ?(?:PA|AP|lateral|frontal))*"
_FILMS = r"(?:views?|projections?|radiographs?|films?|images?|exam(?:ination)?)"
_VIEW_ASIDE = (
    re.compile(rf"^(?:the )?{_VIEWS} {_FILMS}(?: of the chest)? (?:reveals?|demonstrates?|shows?) (?:that )?", re.I),
    re.compile(
        rf"[,(]?\s*\b(?:as )?(?:best |only )?(?:seen |noted |visuali[sz]ed )?(?:only |best )?(?:on|in) (?:the |"
        rf"this )?{_VIEWS} {_FILMS}\)?",
        re.I,
    ),
)
_KNOWN_MARKS = (
    (re.compile(rf"\bx[- ]?(?:{MARK.pattern})\b", re.I), "x-ray"),
    (re.compile(rf"\blymph (?:{MARK.pattern})", re.I), "lymph nodes"),
    (re.compile(rf"\b(?:the |an? )?aortic (?:{MARK.pattern})(?=[.,;]|$)", re.I), "the aorta"),
    (re.compile(rf"\bhilar (?:{MARK.pattern})(?=[.,;]|$)", re.I), "hila"),
    (re.compile(rf"\bcosto ?phrenic (?:{MARK.pattern})", re.I), "costophrenic angle"),
    (re.compile(rf"\bno (?:{MARK.pattern}) (?:of|for) (?:an? )?", re.I), "no "),
)
# Words that compare and can go without taking anything else with them.
_IN_PLACE = re.compile(r"\bin (?:stable|unchanged) (?:position|location)\b", re.I)
_ASIDE = (
    re.compile(
        r"[,(]?\s*\b(?:(?:as |when )?(?:compared|in comparison|comparing) (?:to|with)|"
        r"(?:since|from|relative to|similar to|in the interval since|over the interval from|than on|as on) (?:the |"
        r"a )?(?:most )?"
        r"(?:recent |immediate )?(?:prior|previous\w*|earlier|last|comparison|preceding|old|outside))\b[^.;]*?(?=[.;]|"
        r"$|, (?:and|with|but)\b)",
        re.I,
    ),
    re.compile(
        r"[,(]?\s*\b(?:in (?:stable|unchanged) (?:appearance|configuration)|stable in (?:appearance|size|position))\b",
        re.I,
    ),
    re.compile(
        r"[,(]?\s*\b(?:is |are |has |have )?(?:again|re) ?-?(?=(?:seen|noted|identified|demonstrated|visuali[sz]ed)\b)",
        re.I,
    ),
    re.compile(
        r"[,(]?\s*\b(?:(?:which|that) )?(?:is|are|has been|have been|appears?|remains?) (?:stable|unchanged|similar|"
        r"the same)"
        r"(?: in (?:appearance|size|position|configuration|extent))?\)?(?=[.;,]|$)",
        re.I,
    ),
    re.compile(r"[,(]\s*(?:stable|unchanged|similar in appearance|as before)\)?(?=[.;,]|$)", re.I),
    re.compile(
        r"\b(?:grossly |relatively |essentially |overall )?(?:stable|unchanged|persistent(?:ly)?|persisting|residual|"
        r"interval"
        r"(?! (?:change|increase|decrease|improvement|worsening|resolution|progression|removal|clearing|growth))|"
        r"newly|new|again|"
        r"recurrent|redemonstrated)\b(?! (?:since|from|compared))\s*(?:and )?",
        re.I,
    ),
    re.compile(r"(?<=\b)(?:remains?) (?=\w)", re.I),
)
_REMAINS = {"remain": "are", "remains": "is"}
_STILL_COMPARES = re.compile(
    r"\b(?:compar\w+|(?:prior|previous\w*)(?! (?:\w+ )?(?:granul\w+|surg\w+|stern\w+|fractur\w+|infect\w+|trauma\w*|"
    r"tubercul\w+|"
    r"cabg|inflam\w+|disease|injur\w+|process\w*|operat\w+|\w+ectomy|histoplasm\w+|bypass|insult|repair|pneumonia))|"
    r"interval|since|unchanged|worsen\w*|improv\w+|no longer|earlier|progress\w*|"
    r"resol(?:v\w+|ution)|developed|development|persist\w*|no (?:\w+ )?changes?|not changed|changed|stable|new|"
    r"(?:has|have) (?:\w+ )?(?:increased|decreased)|(?:increas|decreas|enlarg)ing|(?:increase|decrease) in)\b",
    re.IGNORECASE,
)
# A mark stood where a noun is missed now.
_GAP = re.compile(
    r"\b(?:the|an?|of|in|to|with|and|or|at|on|from|for|by|no|are|is|acute|aortic|pulmonary|hilar|thoracic|"
    r"cardiopulmonary|mediastinal|"
    r"bony|osseous)\s*(?:[.,;]|$)|\b(?:pulmonary|mediastinal|bony|hilar) (?:are|is|appears?|within|normal|"
    r"and mediastinum)\b|^\W*(?:the |an? )?(?:is|are|was|were|has|have|of|and|or)\b|\b(?:the|an?|no)\s+(?:is|are|was|"
    r"were|of|in|may|and|or|with|to)\b",
    re.IGNORECASE,
)
_SAYS_SOMETHING = re.compile(r"[A-Za-z]{3}")


@dataclass(frozen=True)
class Removed:
    """A sentence that went, or lost words, and why."""

    why: str  # comparison, view, mark
    sentence: str


@dataclass(frozen=True)
class Cleaned:
    """The sentences of a section that stay, and what was taken out."""

    sentences: tuple[str, ...]
    removed: tuple[Removed, ...]

    @property
    def text(self) -> str:
        return " ".join(self.sentences)


def sentences_of(text: str) -> list[str]:
    """The sentences of a section, without the numbers of a list."""
    rows = (_NUMBER.sub("", row).strip() for row in _SENTENCE.split(re.sub(r"(?<=\s)(?=\d{1,2}\. [A-Z])", "\n", text)))
    return [row for row in rows if _SAYS_SOMETHING.search(row)]


def clean_section(text: str) -> Cleaned:
    """A section without comparisons, view statements and marks."""
    kept, removed = [], []
    for sentence in sentences_of(text):
        said, why = _clean(sentence)
        if why is not None:
            removed.append(Removed(why, sentence))
        if said:
            kept.append(said)
    return Cleaned(tuple(kept), tuple(removed))


def without_marks(text: str) -> str:
    """A text whose marks are gone, nothing else: what a rewrite is compared with."""
    for pattern, words in _KNOWN_MARKS:
        text = pattern.sub(words, text)
    return _tidy(MARK.sub(" ", text))


def _clean(sentence: str) -> tuple[str, str | None]:
    """What stays of a sentence, and why anything went."""
    if _VIEW.match(sentence) and not _asserts(sentence):
        return "", "view"
    said, why = sentence, None
    for pattern in _VIEW_ASIDE:
        if pattern.search(said):
            said, why = pattern.sub("", said), "view"
    if MARK.search(said):
        said, why = without_marks(said), "mark"
        if _GAP.search(said) or len(said.split()) < 2:
            return "", "mark"
    said = _tidy(said)
    plain = _without_comparison(said)
    if plain != said:
        why = "comparison"
        if _STILL_COMPARES.search(plain) or _GAP.search(plain) or not observations(plain):
            return "", why
    elif _STILL_COMPARES.search(said):
        return "", "comparison"
    return _as_sentence(plain), why


def _asserts(sentence: str) -> bool:
    return any(one.status is Assertion.ASSERTED and one.kind not in (ACUTE, ANYTHING) for one in observations(sentence))


def _without_comparison(said: str) -> str:
    said = _IN_PLACE.sub("in place", said)
    for pattern in _ASIDE[:-1]:
        said = pattern.sub(" ", said)
    said = _ASIDE[-1].sub(lambda found: _REMAINS[found[0].strip().lower()] + " ", said)
    return _tidy(said)


def _tidy(text: str) -> str:
    text = re.sub(r"\(\s*\)", "", " ".join(text.split()))
    text = re.sub(r"\s+([.,;:)])", r"\1", text)
    return re.sub(r"([.,;])(?:\s*[.,;])+", r"\1", text).strip(" ,;")


def _as_sentence(said: str) -> str:
    said = said.strip(" ,;:-")
    return f"{said[:1].upper()}{said[1:].rstrip('.')}." if _SAYS_SOMETHING.search(said) else ""

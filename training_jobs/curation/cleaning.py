"""Taking out of a report what one film cannot show: comparisons, the view, and the marks of de-identification.

A sentence that names a finding beside a comparison keeps the finding ("stable cardiomegaly" becomes "cardiomegaly");
one that is about the change alone goes. What went, and why, is told.
"""

import re
from dataclasses import dataclass

from training_jobs.curation.comparisons import STILL_COMPARES, tidy, without_comparison
from xraygpt_core.report.negation import Assertion
from xraygpt_core.report.observations import ACUTE, ANYTHING, observations

MARK = re.compile(r"X{4,}|_{3,}")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9_(\"'])|(?<=[a-z)][.;])\s+|\n+")
_NUMBER = re.compile(r"^\s*\(?\d{1,2}[.)]\s*(?=\D|$)")
_FILMED = r"(?:views?|radiographs?|projections?|images?|films?|examination)"
_VIEW = re.compile(
    rf".*\b(?:pa|ap|frontal|lateral|portable|upright|supine)\b.*\b{_FILMED}\b|"
    r".*\b(?:views?|projections?|radiographs?|images?) (?:of the (?:chest|thorax)|(?:was|were|are) (?:obtained|"
    r"submitted|provided))|"
    r"^\W*(?:\d+|two|three|single|one) (?:views?|images?)\W*$|"
    r"^\W*(?:(?:chest|x-ray|xray|radiographs?|pa|ap|lateral|frontal|decubitus|views?|and|two|three|single|of|the|portable|"
    r"upright|supine|examination|exam|films?|images?|X{4,}|[0-9]+)\W+)+$",
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
    (re.compile(rf"\baortic (?:{MARK.pattern})(?=[.,;]|$)", re.I), "aorta"),
    (re.compile(rf"\bhilar (?:{MARK.pattern})(?=[.,;]|$)", re.I), "hila"),
    (re.compile(rf"\bcosto ?phrenic (?:{MARK.pattern})", re.I), "costophrenic angle"),
    (re.compile(rf"\bno (?:{MARK.pattern}) (?:of|for) (?:an? )?", re.I), "no "),
)
# A mark stood where a noun is missed now.
_GAP = re.compile(
    r"\b(?:the|an?|of|in|to|with|and|or|at|on|from|for|by|no|are|is|acute|aortic|pulmonary|hilar|thoracic|"
    r"cardiopulmonary|mediastinal|bony|osseous)\s*(?:[.,;]|$)|"
    r"\b(?:pulmonary|mediastinal|bony|hilar) (?:are|is|appears?|within|normal|and mediastinum)\b|"
    r"^\W*(?:the |an? )?(?:is|are|was|were|has|have|of|and|or)\b|"
    r"\b(?:the|an?|no)\s+(?:is|are|was|were|of|in|may|and|or|with|to)\b",
    re.IGNORECASE,
)
_MOST_LETTERS = 1000  # of a sentence that is looked at
_SAYS_SOMETHING = re.compile(r"[A-Za-z]{3}")


@dataclass(frozen=True)
class Removed:
    """A sentence that went, or lost words, and why."""

    why: str  # comparison, view, mark, length
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
    return tidy(MARK.sub(" ", text))


def _clean(sentence: str) -> tuple[str, str | None]:
    """What stays of a sentence, and why anything went."""
    if len(sentence) > _MOST_LETTERS:
        return "", "length"
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
    said = tidy(said)
    plain = without_comparison(said)
    if plain != said:
        why = "comparison"
        if STILL_COMPARES.search(plain) or _GAP.search(plain) or not observations(plain):
            return "", why
    elif STILL_COMPARES.search(said):
        return "", "comparison"
    return _as_sentence(plain), why


def _asserts(sentence: str) -> bool:
    return any(one.status is Assertion.ASSERTED and one.kind not in (ACUTE, ANYTHING) for one in observations(sentence))


def _as_sentence(said: str) -> str:
    said = said.strip(" ,;:-")
    return f"{said[:1].upper()}{said[1:].rstrip('.')}." if _SAYS_SOMETHING.search(said) else ""

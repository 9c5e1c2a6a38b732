"""Another wording of a report by rules: for MAIRA-1's augmentation where nobody has written one.

A rule turns one sentence into another that says the same: it moves and exchanges function words alone, and every word
about the body stays. The labeller reads the sentence before and after; where it reads another finding, place, side or
negation, the sentence stays as it was.
"""

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from xraygpt_core.report.labeller import mentions, view_of

_SENTENCES = re.compile(r"(?<=[.!?])(\s+)")
_SECTION = re.compile(r"^(findings|impression):\s*", re.IGNORECASE)
# A plain noun phrase: nothing in it that could carry the sentence's statement somewhere else.
_WORD = r"(?!(?:but|however|which|that|who|where|is|are|was|were|has|have|seen|noted|present)\b)[\w/-]+"
_THING = rf"(?P<thing>{_WORD}(?: {_WORD})*)"
_SEEN = r"(?:seen|identified|present|visible|noted|detected)"

Rule = tuple[re.Pattern[str], tuple[str, ...]]


def _rule(pattern: str, *forms: str) -> Rule:
    return re.compile(rf"{pattern}\.", re.IGNORECASE), forms


_RULES: tuple[Rule, ...] = (
    _rule(rf"there (?:is|are) no {_THING}", "No {thing}.", "There is no {thing} to be seen.", "No {thing} is seen."),
    _rule(
        rf"no {_THING}(?: (?:is|are) {_SEEN})?",
        "There is no {thing}.",
        "No {thing} is seen.",
        "No {thing} is identified.",
    ),
    _rule(rf"there is (?P<a>an?) {_THING}", "{A} {thing} is present.", "{A} {thing} is seen."),
    _rule(rf"(?P<a>an?) {_THING} is {_SEEN}", "There is {a} {thing}.", "{A} {thing} is noted."),
    _rule(rf"there are {_THING}", "{Thing} are present.", "{Thing} are seen."),
    _rule(rf"(?:the )?{_THING} is normal", "Normal {thing}.", "The {thing} is normal."),
    _rule(rf"(?:the )?{_THING} are normal", "Normal {thing}.", "The {thing} are normal."),
    _rule(rf"normal {_THING}", "Normal {thing} is seen."),
    _rule(rf"(?:the )?{_THING} is unremarkable", "Unremarkable {thing}.", "The {thing} is unremarkable."),
    _rule(rf"(?:the )?{_THING} are unremarkable", "Unremarkable {thing}.", "The {thing} are unremarkable."),
    _rule(r"(?:the )?lungs are clear", "Clear lungs.", "The lungs are clear."),
    _rule(r"clear lungs", "The lungs are clear."),
)
_SYNONYMS = (
    ("chest x-ray", "chest radiograph"),
    ("demonstrates", "shows"),
    ("reveals", "shows"),
    ("shows", "demonstrates"),
    ("is identified", "is seen"),
    ("is noted", "is seen"),
    ("is seen", "is visible"),
)


def paraphrase(text: str, rng: np.random.Generator) -> str:
    """The text with some sentences in other words; the text itself where no rule fits or none keeps its findings.

    Draws from ``rng`` alone.
    """
    parts = _SENTENCES.split(text.strip())
    for index in range(0, len(parts), 2):
        changed = _reworded(parts[index], rng)
        if _reads(changed) == _reads(parts[index]):
            parts[index] = changed
    whole = "".join(parts)
    return whole if _reads(whole) == _reads(text) else text


def _reworded(sentence: str, rng: np.random.Generator) -> str:
    """One sentence by one rule, or with one synonym; a section's name before it stays."""
    heading = _SECTION.match(sentence)
    front = heading[0] if heading else ""
    body = sentence[len(front) :]
    ways = [way for way in (*_by_rules(body), *_by_synonyms(body)) if way != body]
    return front + ways[int(rng.integers(len(ways)))] if ways else sentence


def _by_rules(sentence: str) -> list[str]:
    for pattern, forms in _RULES:
        if found := pattern.fullmatch(sentence):
            return [_filled(form, found.groupdict()) for form in forms]
    return []


def _filled(form: str, words: dict[str, Any]) -> str:
    given = {name: _lower_first(value.strip()) for name, value in words.items()}
    raised = {name[0].upper() + name[1:]: value[:1].upper() + value[1:] for name, value in given.items()}
    filled = form.format(**{**given, **raised})
    return filled[0].upper() + filled[1:]


def _lower_first(words: str) -> str:
    """A sentence's first word inside one; ``AP`` and ``PICC`` stay as they are."""
    return words if words[1:2].isupper() else words[:1].lower() + words[1:]


def _by_synonyms(sentence: str) -> list[str]:
    return [_exchanged(sentence, old, new) for old, new in _SYNONYMS if re.search(rf"\b{old}\b", sentence, re.I)]


def _exchanged(sentence: str, old: str, new: str) -> str:
    keep_case: Callable[[re.Match[str]], str] = lambda hit: new.capitalize() if hit[0][0].isupper() else new  # noqa: E731
    return re.sub(rf"\b{old}\b", keep_case, sentence, flags=re.IGNORECASE)


def _reads(text: str) -> tuple[object, ...]:
    """What the labeller reads: each finding with its status, sides and labels, and the view."""
    found = [
        (one.kind, one.status.value, tuple(sorted(one.sides)), tuple(sorted(one.labels()))) for one in mentions(text)
    ]
    return (*found, view_of(text))

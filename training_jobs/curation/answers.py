"""Is a model's answer a summary at all?"""

import re

from training_jobs.curation.cleaning import MARK
from xraygpt_core.plain_text import plain_text
from xraygpt_core.report.observations import never_ends

_LEAST_WORDS, _MOST_LETTERS = 5, 4000
_LEAD = re.compile(
    r"^\W*(?:here is|here's|sure|certainly|of course)\b[^\n:]*:\s*|^\W*(?:summary|rewritten (?:report|summary))\W*:\s*",
    re.I,
)
_CHATTER = re.compile(
    r"\b(?:as an ai|language model|i (?:cannot|can't|am unable|apologi[sz]e)|i'm sorry|let me know|###|</?s>|<\|)", re.I
)


def tidy_answer(text: str) -> str:
    """The answer on one line, without quotes around it or a lead before it."""
    said = _LEAD.sub("", plain_text(text, lines=False).replace("\N{REPLACEMENT CHARACTER}", " ").strip())
    return " ".join(said.strip(' "`*').split())


def no_summary(text: str) -> str | None:
    """Why a tidy answer cannot be a summary; None if it may be one."""
    if len(text.split()) < _LEAST_WORDS:
        return "it has fewer than five words"
    if len(text) > _MOST_LETTERS:
        return "it is too long for a summary"
    if never_ends(text):
        return "a sentence of it is too long"
    if MARK.search(text):
        return "it still has marks of de-identification"
    if _CHATTER.search(text):
        return "it talks to the reader"
    return None

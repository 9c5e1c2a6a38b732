"""Questions that no model can answer from the films it is shown: about a body part that is not on a chest film, and
about an earlier film where there was none.

A model answers them all the same, and with assurance. So a rule answers first, but only where every clause of the
question is of a known form; whatever is in doubt goes to the model. English alone, as the models' own texts.
"""

import re
from collections.abc import Iterator

from xraygpt_core.report.comparing import asks_for_an_earlier_film
from xraygpt_core.report.elsewhere import parts_not_shown
from xraygpt_core.report.phrases import any_of

NO_EARLIER_FILM = "The model was shown no earlier film, so nothing can be said about a change since then."
_LONGEST = 16  # words of a clause; a longer one is a story, and it may be about anything

# "And" begins a clause before a verb or an article, unless it joins two films: "between this and the last".
_BEGINS = any_of("is, are, was, were, does, do, did, has, have, can, could, any, an?, the, no, compare, wh[a-z]+, how")
_ENDS = re.compile(
    rf"[.?!;,:](?:\s+|$)|[\n/&]|\s(?:and|or|but) (?={_BEGINS}\b)(?!the (?:last|prior|previous|earlier)\b)"
)
_POLITE = re.compile(rf"\b{any_of('please, pls, kindly, thanks, thank you, hello, hi')}\b")


def rule_answer(question: str, *, prior_shown: bool) -> str | None:
    """Our own sentence in the place of a model's answer; None: the model is to be asked.

    Args:
        prior_shown: the model is shown the earlier film that the summary was written with.
    """
    parts: dict[str, None] = {}
    compares = False
    for clause in _clauses(question):
        if found := parts_not_shown(clause):
            parts.update(dict.fromkeys(found))
        elif not prior_shown and asks_for_an_earlier_film(clause):
            compares = True
        else:
            return None
    said = [f"This is a chest X-ray: it does not show the {' or the '.join(parts)}."] if parts else []
    return " ".join([*said, *([NO_EARLIER_FILM] if compares else [])]) or None


def _clauses(question: str) -> Iterator[str]:
    """Each in lower case, its words one space apart, without politeness; "?" stands for one that is too long."""
    for clause in _ENDS.split(question.lower().replace("’", "'")):
        words = _POLITE.sub(" ", re.sub(r"[^\w\s'.-]", " ", clause)).split()
        if words:
            yield " ".join(words) if len(words) <= _LONGEST else "?"

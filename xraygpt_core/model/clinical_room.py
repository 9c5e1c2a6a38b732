"""The hospital's words in a prompt that has not enough room for all of them: shortened, and said to be."""

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

from xraygpt_core.clinical_text import UNKNOWN, Clinical
from xraygpt_core.errors import InvalidRequest
from xraygpt_core.model.control_words import Tokenizer
from xraygpt_core.model.prompt import FRONTAL, Prompt, Template, fit_turns, render, tokenise
from xraygpt_core.states import ImageRole

_SHORTENED_FIRST = ("prior_report", "comparison", "technique", "indication")
_UNSPACED = "\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef"  # scripts without spaces: each letter counts as a word
_WORD = re.compile(rf"\s*(?:[{_UNSPACED}]|[^\s{_UNSPACED}]+)")


def fit_prompt(
    template: Template,
    question: str,
    turns: Sequence[tuple[str, str]],
    tokenizer: Tokenizer,
    room: int,
    images: Sequence[ImageRole] = FRONTAL,
    clinical: Clinical = UNKNOWN,
) -> Prompt:
    """As :func:`fit_turns`; where the hospital's words leave no room for the question, they are shortened.

    One section after the other loses words from its end, the reason for the film last, until the rest fits beside the
    latest turn.

    Raises:
        InvalidRequest: the question alone does not fit.
    """
    try:
        return fit_turns(template, question, turns, tokenizer, room, images, clinical)
    except InvalidRequest:
        if clinical == UNKNOWN:
            raise
    form = _Form(template, question, tuple(turns[-1:]), tokenizer, room, tuple(images))
    if not form.fits(UNKNOWN):
        form = replace(form, turns=())
    left, shortened = clinical, []
    for section in _SHORTENED_FIRST:
        if section in form.written(left).clinical and not form.fits(left):
            left = form.shortened(left, section)
            shortened.append(section)
    if not form.fits(left):
        raise InvalidRequest(f"the question does not fit into {room} tokens")
    return replace(form.written(left), shortened=tuple(shortened))


@dataclass(frozen=True)
class _Form:
    """A prompt in which only the hospital's words are open."""

    template: Template
    question: str
    turns: tuple[tuple[str, str], ...]
    tokenizer: Tokenizer
    room: int
    images: tuple[ImageRole, ...]

    def written(self, clinical: Clinical) -> Prompt:
        return render(self.template, self.question, self.turns, self.images, clinical)

    def fits(self, clinical: Clinical) -> bool:
        try:
            return sum(map(len, tokenise(self.written(clinical), self.tokenizer))) <= self.room
        except InvalidRequest:  # a word that only the tokenizer makes a control word
            return False

    def shortened(self, clinical: Clinical, section: str) -> Clinical:
        """With as many of the section's first words as fit; without it where not even one does."""
        words = _WORD.findall(getattr(clinical, section))

        def first(count: int) -> Clinical:
            return replace(clinical, **{section: "".join(words[:count]).strip() or None})

        too_many = bisect_left(range(len(words)), True, key=lambda count: not self.fits(first(count)))
        return first(max(too_many - 1, 0))

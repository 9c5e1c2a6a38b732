"""A dialogue as token ids with a mask: only what the assistant says, and what ends it, is learned."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from training_jobs.learning.objective import NO_LABEL, Passage
from xraygpt_core.errors import TrainingError
from xraygpt_core.model.control_words import Span, cuts
from xraygpt_core.model.dialogue import speak


def passage_of(
    tokenizer: Any, template: str, turns: Sequence[tuple[str, str]], max_tokens: int, name: str = ""
) -> Passage:
    """The dialogue in the layout of a prompt template, cut after ``max_tokens``; BOS first where there is one.

    The text is tokenised as one, as FastChat does, so that a word has the ids it has inside a text. It is cut only
    inside of control words that stand in the dialogue itself: there they are text. What stands before the first
    question is the passage's beginning, which a batch reads once.

    Raises:
        TrainingError: a word of the dialogue would become a control token of the model.
    """
    dialogue = speak(template, turns)
    bos = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    ids, labels, opening = [*bos], [NO_LABEL] * len(bos), len(bos)
    control = tokenizer.get_added_vocab()
    control_ids = set(control.values())
    common = len(dialogue.text[: dialogue.given[0][0]].rstrip())  # a space may belong to the question's first token
    ends = [*cuts(dialogue.text, dialogue.given, control), len(dialogue.text)]
    for start, end in zip([0, *ends], ends, strict=False):
        encoded = tokenizer(dialogue.text[start:end], add_special_tokens=False, return_offsets_mapping=True)
        for one, (first, last) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True):
            at = max(start + first, start + last - 1)  # where the token ends; byte pieces of a letter have no width
            if one in control_ids and _inside(dialogue.given, at):
                raise TrainingError(f"{name or 'a dialogue'} holds a control word of the model")
            ids.append(one)
            labels.append(one if _inside(dialogue.said, at) else NO_LABEL)
            opening += start + last <= common
    ids, labels, opening = ids[:max_tokens], labels[:max_tokens], min(opening, max_tokens - 1)
    return Passage(tuple(ids[:opening]), None, ids[opening:], labels[opening:], name)


def _inside(spans: Sequence[Span], at: int) -> bool:
    """Is this place in one of the spans, which are in ascending order?"""
    index = bisect_right(spans, at, key=lambda span: span[0]) - 1
    return index >= 0 and at < spans[index][1]

"""The loss of every stage: how likely the language model finds the right text after a prompt, with image or without."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from training_jobs.learning.head import summed_cross_entropy
from training_jobs.learning.loss import Loss
from training_jobs.learning.packed import Sequences, last_states
from xraygpt_core.errors import InvalidRequest
from xraygpt_core.model.control_words import encode_with_given
from xraygpt_core.model.llm import Llm
from xraygpt_core.model.prompt import Template, render, tokenise

NO_LABEL = -100
MOST_TOKENS = 160  # of a text, without its end symbol
_LETTERS = 64  # of a token at most: what lies behind is not even tokenised
_PROMPTS = 1024  # kept in tokens


@dataclass(frozen=True)
class Exchange:
    """A question about an image, its answer, and the turns before it. Without a question the text follows the image."""

    question: str | None
    answer: str
    turns: tuple[tuple[str, str], ...] = ()
    pair_id: str = ""  # opaque
    ends: bool = True  # False: the answer is a beginning, and that it ends there is not to be learned


@dataclass(frozen=True)
class Passage:
    """One sequence to learn from.

    Attributes:
        before: ids before the image. What all passages of a batch have here is read once.
        image: (tokens, hidden), or None.
        after: ids after it.
        labels: for each of ``after`` its id where it is to be learned, else ``NO_LABEL``.
    """

    before: tuple[int, ...]
    image: Tensor | None
    after: list[int]
    labels: list[int]
    pair_id: str = ""

    def __len__(self) -> int:
        return len(self.before) + (0 if self.image is None else len(self.image)) + len(self.after)


def answer_ids(llm: Llm, answer: str, stop: str, most: int = MOST_TOKENS, *, ends: bool = True) -> list[int]:
    """The answer as the LLM shall write it: a space, the text and, if it ``ends``, the stop sequence.

    A text of more than ``most`` tokens is cut there, before its end. Control words in it are text, and so is what would
    end it too early.

    Raises:
        InvalidRequest: a control word cannot be made text, or it is no text that can be written.
    """
    answer = _without_end(answer[: most * _LETTERS].strip(), stop)
    if not answer.isascii() and any("\ud800" <= letter <= "\udfff" for letter in answer):
        raise InvalidRequest("the text holds half a character")
    ids = encode_with_given(llm.tokenizer, f" {answer} {stop}", [(1, 1 + len(answer))])
    end = _end_tokens(llm.tokenizer, stop)
    text, stopping = ids[: len(ids) - end][:most], ids[len(ids) - end :]
    return [*text, *stopping] if ends else text


def _without_end(answer: str, stop: str) -> str:
    """The stop sequence broken up, as prompts break it up inside questions and answers."""
    while stop and stop in answer:
        answer = answer.replace(stop, f"{stop[0]} {stop[1:]}" if len(stop) > 1 else " ")
    return answer


@lru_cache(maxsize=16)
def _end_tokens(tokenizer: Any, stop: str) -> int:
    """How many tokens the end of a text has."""
    return len(tokenizer.encode(f" x {stop}", add_special_tokens=False)) - len(
        tokenizer.encode(" x", add_special_tokens=False)
    )


@lru_cache(maxsize=_PROMPTS)
def _prompt_ids(
    tokenizer: Any, template: Template, question: str | None, turns: tuple[tuple[str, str], ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Ids before and after the image."""
    if question is None:
        return (() if tokenizer.bos_token_id is None else (tokenizer.bos_token_id,)), ()
    before, after = tokenise(render(template, question, turns), tokenizer)
    return tuple(before), tuple(after)


def answer_loss(
    llm: Llm,
    template: Template,
    stop: str,
    exchanges: Sequence[Exchange],
    image_tokens: Tensor,
    *,
    most: int = MOST_TOKENS,
) -> Loss:
    """The summed cross-entropy over the tokens of the answers, their ends included.

    ``image_tokens`` is (batch, tokens, hidden); gradients flow into it and into the LLM's trainable parameters. An
    exchange without an answer, or one that no text can stand for, is skipped.
    """
    passages, skipped = [], []
    for exchange, image in zip(exchanges, image_tokens, strict=True):
        passage = _passage(llm, template, stop, exchange, image, most)
        if passage is None:
            skipped.append(exchange.pair_id)
        else:
            passages.append(passage)
    loss = passage_loss(llm, passages)
    return Loss(loss.total, loss.count, loss.samples, (*skipped, *loss.skipped))


def _passage(llm: Llm, template: Template, stop: str, exchange: Exchange, image: Tensor, most: int) -> Passage | None:
    if not exchange.answer.strip():
        return None
    try:
        answer = answer_ids(llm, exchange.answer, stop, most, ends=exchange.ends)
        before, after = _prompt_ids(llm.tokenizer, template, exchange.question, exchange.turns)
    except (InvalidRequest, TypeError):  # TypeError: what a tokenizer makes of half a character in a question
        return None
    return Passage(before, image, [*after, *answer], [NO_LABEL] * len(after) + answer, exchange.pair_id)


def passage_loss(llm: Llm, passages: Sequence[Passage]) -> Loss:
    """The summed cross-entropy over the labels. A passage without any, or longer than the LLM reads, is skipped."""
    most = llm.model.config.max_position_embeddings
    usable: list[Passage] = []
    skipped = []
    for one in passages:
        if len(one) <= most and any(label != NO_LABEL for label in _following(one)):
            usable.append(one)
        else:
            skipped.append(one.pair_id)
    if not usable:
        return Loss(torch.zeros((), device=llm.device), 0, (), tuple(skipped))
    shared = _shared(usable)
    own = _embedded(llm, usable, len(shared))
    states = last_states(llm, Sequences(shared, own))
    places, labels = _labelled(usable, [len(one) for one in own], llm.device)
    total = summed_cross_entropy(llm.model.get_output_embeddings(), states.index_select(0, places), labels)
    return Loss(total, len(labels), tuple(one.pair_id for one in usable), tuple(skipped))


def _following(passage: Passage) -> list[int]:
    """Labels that some token stands before; the first token of all is nobody's next."""
    return passage.labels if passage.before or passage.image is not None else passage.labels[1:]


def _shared(passages: Sequence[Passage]) -> tuple[int, ...]:
    """What all of them begin with, but for a last token of it that a label may follow."""
    beginning = passages[0].before
    if any(one.before != beginning for one in passages):
        return ()
    return beginning[:-1] if any(one.image is None for one in passages) else beginning


def _embedded(llm: Llm, passages: Sequence[Passage], shared: int) -> list[Tensor]:
    """Each passage's embeddings without what they share, all of the text looked up at once."""
    texts = [ids for one in passages for ids in (list(one.before[shared:]), one.after)]
    embedded = llm.embed([token for ids in texts for token in ids])
    looked_up = iter(torch.split(embedded, [len(ids) for ids in texts]))
    rows = []
    for one, before, after in zip(passages, looked_up, looked_up, strict=False):
        image = () if one.image is None else (one.image.to(after.dtype),)
        rows.append(torch.cat([before, *image, after]))
    return rows


def _labelled(passages: Sequence[Passage], lengths: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Places in the row whose next token is a label, and these labels."""
    places, labels, start = [], [], 0
    for one, length in zip(passages, lengths, strict=True):
        first = start + length - len(one.labels) - 1  # stands before the first of ``after``
        for offset, label in enumerate(one.labels):
            if label != NO_LABEL and first + offset >= start:
                places.append(first + offset)
                labels.append(label)
        start += length
    return torch.tensor(places, device=device), torch.tensor(labels, device=device)

"""A dialogue as token ids with a mask: only what the assistant says, and what ends it, is learned."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from xraygpt_core.errors import TrainingError
from xraygpt_core.model.control_words import Span, cuts
from xraygpt_core.model.dialogue import speak

IGNORED = -100  # a position nothing is learned at


@dataclass(frozen=True)
class Sample:
    """Token ids, and for each the id to be learned there or -100."""

    ids: list[int]
    labels: list[int]

    @property
    def teaches(self) -> bool:
        """Is there anything to learn? Not where the first question alone fills the room."""
        return any(label != IGNORED for label in self.labels[1:])


@dataclass(frozen=True)
class Batch:
    """Samples side by side, padded on the right as FastChat pads; ids, mask and labels are (samples, tokens)."""

    ids: Tensor
    mask: Tensor
    labels: Tensor

    @property
    def learned(self) -> int:
        """Positions with a label; the first of a row follows nothing and is none."""
        return int((self.labels[:, 1:] != IGNORED).sum())

    def to(self, device: torch.device) -> "Batch":
        """The same on another device."""
        return Batch(self.ids.to(device), self.mask.to(device), self.labels.to(device))


def sample_of(tokenizer: Any, template: str, turns: Sequence[tuple[str, str]], max_tokens: int) -> Sample:
    """The dialogue in the layout of a prompt template, cut after ``max_tokens``; BOS first where there is one.

    The text is tokenised as one, as FastChat does, so that a word has the ids it has inside a text. It is cut only
    inside of control words that stand in the dialogue itself: there they are text.

    Raises:
        TrainingError: a word of the dialogue would become a control token of the model.
    """
    dialogue = speak(template, turns)
    bos = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    ids, labels = [*bos], [IGNORED] * len(bos)
    control = tokenizer.get_added_vocab()
    control_ids = set(control.values())
    ends = [*cuts(dialogue.text, dialogue.given, control), len(dialogue.text)]
    for start, end in zip([0, *ends], ends, strict=False):
        encoded = tokenizer(dialogue.text[start:end], add_special_tokens=False, return_offsets_mapping=True)
        for one, (first, last) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True):
            if one in control_ids and _inside(dialogue.given, start + first, start + last):
                raise TrainingError("a dialogue holds a control word of the model")
            ids.append(one)
            labels.append(one if _inside(dialogue.said, start + first, start + last) else IGNORED)
    return Sample(ids[:max_tokens], labels[:max_tokens])


def _inside(spans: Sequence[Span], first: int, last: int) -> bool:
    """Does the token end in one of these spans, which are in ascending order?

    A token of no width, as byte pieces of one character have, stands where it begins.
    """
    at = max(first, last - 1)
    index = bisect_right(spans, at, key=lambda span: span[0]) - 1
    return index >= 0 and at < spans[index][1]


def collate(samples: Sequence[Sample], pad: int) -> Batch:
    """Samples side by side."""
    longest = max(len(sample.ids) for sample in samples)
    shape = (len(samples), longest)
    ids, mask = torch.full(shape, pad), torch.zeros(shape, dtype=torch.long)
    labels = torch.full(shape, IGNORED)
    for row, sample in enumerate(samples):
        length = len(sample.ids)
        ids[row, :length] = torch.tensor(sample.ids)
        labels[row, :length] = torch.tensor(sample.labels)
        mask[row, :length] = 1
    return Batch(ids, mask, labels)

"""One image token per thing a film can show: what the token should mean, in the LLM's own embeddings.

Used only to train: the text stage puts these embeddings where image tokens will stand, and stage 1 starts the projector
by aligning images to them. When a film is summarised, nothing but the projector fills the tokens.
"""

from collections.abc import Mapping, Sequence, Set

import torch
from torch import Tensor

from xraygpt_core.model.llm import Llm
from xraygpt_core.phantoms.findings import View
from xraygpt_core.report.concise import ABNORMAL, TRUTHS, with_kinds

# What sets a slot apart from the others counts twice as much as what they share.
_WORDS: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {
    ABNORMAL: ((" abnormal",), ()),
    "effusion": ((" effusion",), ()),
    "pneumothorax": ((" pneumothorax",), ()),
    "opacity": ((" opacity",), ()),
    "cardiomegaly": ((" cardiomegaly",), ()),
    "effusion_left": ((" left",), (" effusion",)),
    "effusion_right": ((" right",), (" effusion",)),
    "pneumothorax_left": ((" left",), (" pneumothorax",)),
    "pneumothorax_right": ((" right",), (" pneumothorax",)),
    "consolidation_right_upper": ((" right", " upper"), (" consolidation",)),
    "consolidation_right_lower": ((" right", " lower"), (" consolidation",)),
    "consolidation_left_upper": ((" left", " upper"), (" consolidation",)),
    "consolidation_left_lower": ((" left", " lower"), (" consolidation",)),
    "nodule": ((" nodule",), ()),
    "device": ((" device",), ()),
}
_SHARED_WEIGHT = 0.5
_SPREAD, _MOST_ERROR = 0.2, 0.42  # of what an unsure reader would give, in units of presence
_NOT_THERE = {ABNORMAL: " normal"}  # of all others: " no"
SLOTS = ("view", *TRUTHS)  # the order of the image tokens


class Codebook:
    """The embedding of "there" and "not there" for every slot, (slots, hidden) each; for the view, AP and PA."""

    def __init__(self, llm: Llm) -> None:
        with torch.no_grad():
            usual = llm.model.get_input_embeddings().weight.float().norm(dim=1).mean()
            words = [((" AP",), ()), *(_WORDS[label] for label in TRUTHS)]
            self.present = torch.stack([_meaning(llm, own, shared) for own, shared in words])
            absent = [" PA", *(_NOT_THERE.get(label, " no") for label in TRUTHS)]
            self.absent = torch.stack([_meaning(llm, (word,), ()) for word in absent])
            self.present *= usual / self.present.norm(dim=1, keepdim=True)

    def blend(self, presence: Tensor) -> Tensor:
        """Presence (batch, slots), 0 … 1 and a little beyond, to embeddings (batch, slots, hidden)."""
        return self.absent + presence[..., None] * (self.present - self.absent)


def _meaning(llm: Llm, own: Sequence[str], shared: Sequence[str]) -> Tensor:
    """The weighted sum of words' embeddings; a word of several tokens is their mean. (hidden,)"""

    def word(text: str) -> Tensor:
        return llm.embed(llm.tokenizer.encode(text, add_special_tokens=False)).float().mean(0)

    return torch.stack([*map(word, own), *(_SHARED_WEIGHT * word(text) for text in shared)]).sum(0)


def presences(truths: Sequence[tuple[Set[str], View]]) -> Tensor:
    """(batch, slots)."""
    return torch.tensor([presence(labels, view) for labels, view in truths])


def presence(labels: Set[str], view: View) -> tuple[float, ...]:
    """1 for what is there, 0 for what is not, in the order of the slots; AP counts as there.

    ``labels`` may name places, or kinds where a film's places are unknown.
    """
    there = with_kinds(labels)
    return (float(view == "AP"), *(float(label in there) for label in TRUTHS))


def blur(exact: Tensor, generator: torch.Generator) -> Tensor:
    """Presence as an unsure reader would give it: it errs, but stays on its side of one half."""
    error = torch.randn(exact.shape, generator=generator) * _SPREAD
    return exact + torch.where(exact > 0.5, error.clamp(min=-_MOST_ERROR), error.clamp(max=_MOST_ERROR))

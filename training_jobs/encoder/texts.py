"""Report texts as vectors, by a frozen language model: the mean of its last hidden states, sentence by sentence.

MedCLIP's text tower is a clinical BERT; here it is the bundle's own LLM, which is there anyway. Sentences come again
and again, so each is read once and kept.
"""

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from xraygpt_core.model.llm import Llm

_MOST = 50_000  # sentences that are kept
_TOKENS = 64  # of a sentence that are read
_AT_ONCE = 32
_SENTENCE = re.compile(r"(?<=[.:])\s+")


class Texts:
    """Vectors of texts, (texts, width), float32."""

    def __init__(self, llm: Llm) -> None:
        self._llm, self.width = llm, llm.hidden
        self._known: dict[str, Tensor] = {}

    @torch.no_grad()
    def vectors(self, texts: Sequence[str]) -> Tensor:
        """The mean over the sentences of each text."""
        cut = [[part for part in _SENTENCE.split(text.strip()) if part] or [""] for text in texts]
        new = sorted({part for parts in cut for part in parts} - self._known.keys())
        if len(self._known) + len(new) > _MOST:
            self._known.clear()
            new = sorted({part for parts in cut for part in parts})
        for start in range(0, len(new), _AT_ONCE):
            self._read(new[start : start + _AT_ONCE])
        return torch.stack([torch.stack([self._known[part] for part in parts]).mean(0) for parts in cut])

    def _read(self, sentences: Sequence[str]) -> None:
        tokens = [self._llm.tokenizer.encode(one, add_special_tokens=False)[:_TOKENS] or [0] for one in sentences]
        longest = max(map(len, tokens))
        ids = torch.tensor([one + [0] * (longest - len(one)) for one in tokens], device=self._llm.device)
        mask = torch.tensor([[1] * len(one) + [0] * (longest - len(one)) for one in tokens], device=self._llm.device)
        states = self._llm.model(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states[-1]
        means = (states.float() * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        self._known.update(zip(sentences, means.cpu(), strict=True))

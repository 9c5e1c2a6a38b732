"""Batched text generation by transformers: one batch to its end, for evaluation. The worker has :mod:`engine`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

from xraygpt_core.model.bundle import Decoding
from xraygpt_core.model.engine.text import cut
from xraygpt_core.model.llm import Llm

# The row's text so far in, True out where the row shall end.
OnText = Callable[[int, str], bool]


@dataclass(frozen=True)
class Row:
    """What one row of a batch said. ``tokens`` counts generated tokens, the stop sequence included."""

    text: str
    tokens: int


class _Watcher(StoppingCriteria):  # type: ignore[misc]  # transformers is not typed
    """Ends each row at its own stop sequence, or when ``on_text`` says so, and remembers where."""

    def __init__(self, llm: Llm, rows: int, stop: Sequence[str], on_text: OnText) -> None:
        self._llm, self._stop, self._on_text = llm, stop, on_text
        self._ends = set(llm.ends)
        self.done: list[Row | None] = [None] * rows

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:  # noqa: ARG002  # transformers calls it so
        for index, ids in enumerate(input_ids.tolist()):
            if self.done[index] is None:
                self._look(index, ids)
        return torch.tensor([row is not None for row in self.done], device=input_ids.device)

    def _look(self, index: int, ids: list[int]) -> None:
        ended = ids[-1] in self._ends
        text, stopped = cut(self._llm.tokenizer.decode(ids, skip_special_tokens=True), self._stop)
        if self._on_text(index, text) or stopped or ended:
            self.done[index] = Row(text, len(ids))


def pad_left(rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Rows (tokens_i, hidden) to embeddings (batch, tokens, hidden) and mask (batch, tokens), zeros on the left."""
    longest = max(len(row) for row in rows)
    embeddings = rows[0].new_zeros(len(rows), longest, rows[0].shape[-1])
    mask = torch.zeros(len(rows), longest, dtype=torch.long, device=rows[0].device)
    for index, row in enumerate(rows):
        embeddings[index, longest - len(row) :] = row
        mask[index, longest - len(row) :] = 1
    return embeddings, mask


@torch.inference_mode()
def generate(llm: Llm, rows: Sequence[Tensor], decoding: Decoding, stop: Sequence[str], on_text: OnText) -> list[Row]:
    """Continue every row (tokens_i, hidden) until its stop sequence, its end token, or ``max_new_tokens``.

    ``on_text(row, text_so_far)`` is called for each open row after each token; returning True ends that row.
    """
    embeddings, mask = pad_left(rows)
    watcher = _Watcher(llm, len(rows), stop, on_text)
    if decoding.seed is not None:
        torch.manual_seed(decoding.seed)
    ids = llm.model.generate(
        inputs_embeds=embeddings,
        attention_mask=mask,
        generation_config=_config(llm, decoding),
        stopping_criteria=StoppingCriteriaList([watcher]),
    )
    return [row or _unfinished(llm, ids[index].tolist(), stop) for index, row in enumerate(watcher.done)]


def _unfinished(llm: Llm, ids: list[int], stop: Sequence[str]) -> Row:
    return Row(cut(llm.tokenizer.decode(ids, skip_special_tokens=True), stop)[0], len(ids))


def _config(llm: Llm, decoding: Decoding) -> GenerationConfig:
    ends = llm.ends
    pad = llm.tokenizer.pad_token_id
    sampling = {"temperature": decoding.temperature, "top_p": decoding.top_p} if decoding.do_sample else {}
    return GenerationConfig(
        max_new_tokens=decoding.max_new_tokens,
        do_sample=decoding.do_sample,
        eos_token_id=ends,
        pad_token_id=pad if pad is not None else ends[0],
        **sampling,
    )

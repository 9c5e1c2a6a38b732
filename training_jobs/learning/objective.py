"""The loss of all three stages: how likely the LLM finds the right answer after a prompt with image tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from training_jobs.learning.loss import Loss
from xraygpt_core.model.llm import Llm
from xraygpt_core.model.prompt import Template, render, tokenise

_IGNORED = -100


@dataclass(frozen=True)
class Exchange:
    """A question about an image, its answer, and the turns before it."""

    question: str
    answer: str
    turns: tuple[tuple[str, str], ...] = ()
    pair_id: str = ""  # opaque


def answer_ids(llm: Llm, answer: str, stop: str) -> list[int]:
    """The answer as the LLM shall write it: a space, the text, the stop sequence."""
    ids: list[int] = llm.tokenizer.encode(f" {answer} {stop}", add_special_tokens=False)
    return ids


def answer_loss(llm: Llm, template: Template, stop: str, exchanges: Sequence[Exchange], image_tokens: Tensor) -> Loss:
    """The summed cross-entropy over the tokens of the answers.

    ``image_tokens`` is (batch, tokens, hidden); gradients flow into it and into the LLM's trainable parameters. The
    head is applied only where there is a label, which saves about a third of the time.
    """
    rows, labels = [], []
    for exchange, image in zip(exchanges, image_tokens, strict=True):
        before, after = tokenise(render(template, exchange.question, exchange.turns), llm.tokenizer)
        answer = answer_ids(llm, exchange.answer, stop)
        rows.append(torch.cat([llm.embed(before), image, llm.embed(after + answer)]))
        silent = len(before) + len(image) + len(after)
        labels.append(torch.tensor([_IGNORED] * silent + answer))
    embeddings = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    wanted = torch.nn.utils.rnn.pad_sequence(labels, batch_first=True, padding_value=_IGNORED).to(embeddings.device)
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones(len(row), dtype=torch.long) for row in rows], batch_first=True)
    hidden = _hidden_states(llm, embeddings, mask.to(embeddings.device))
    following = wanted[:, 1:]
    logits = llm.model.get_output_embeddings()(hidden[:, :-1][following != _IGNORED])
    wanted = following[following != _IGNORED]
    total = functional.cross_entropy(logits.float(), wanted, reduction="sum")
    return Loss(total, len(wanted), tuple(exchange.pair_id for exchange in exchanges))


def _hidden_states(llm: Llm, embeddings: Tensor, mask: Tensor) -> Tensor:
    model = llm.model.get_base_model() if hasattr(llm.model, "get_base_model") else llm.model
    states: Tensor = model.model(inputs_embeds=embeddings, attention_mask=mask, use_cache=False).last_hidden_state
    return states

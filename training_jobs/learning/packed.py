"""Sequences of different lengths through a LLaMA in one row: no padding is computed, a shared beginning only once.

Every layer sees the tokens of all sequences behind one another. Only attention takes them apart, through transformers'
own hook for attention functions, so that adapters, gradient checkpointing and every model of the family work as they
are. What all sequences begin with is read once: beside them, or, where the language model is frozen, once for a run.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.nn import functional

from xraygpt_core.model.llm import Llm

_NAME = "xraygpt_packed"
KeyValue = tuple[Tensor, Tensor]  # of one layer, each (1, heads, tokens, width of a head)


@dataclass
class _Layout:
    """How the row is made up, for attention.

    Attributes:
        lengths: of the sequences, in order; with a prefix in the row, that first.
        prefix: whether the first of them is what the others begin with.
        cached: keys and values of a prefix that is not in the row, by layer.
        masks: which keys each query of a sequence of this length sees, where a prefix stands before them.
        kept: takes keys and values of every layer, if it is there.
    """

    lengths: list[int]
    prefix: bool = False
    cached: list[KeyValue] | None = None
    masks: dict[int, Tensor] = field(default_factory=dict)
    kept: list[KeyValue] | None = None


@dataclass(frozen=True)
class Sequences:
    """What is to be read: one beginning for all, then each sequence's own embeddings (tokens, hidden)."""

    beginning: tuple[int, ...]
    own: Sequence[Tensor]


_frozen_beginnings: "WeakKeyDictionary[Any, dict[tuple[int, ...], list[KeyValue]]]" = WeakKeyDictionary()


def last_states(llm: Llm, sequences: Sequences) -> Tensor:
    """The last layer's normalised states of the sequences' own tokens, one behind the other: (tokens, hidden)."""
    _use_packed(llm.model)
    frozen = not any(parameter.requires_grad for parameter in llm.model.parameters())
    beginning, start = sequences.beginning, len(sequences.beginning)
    lengths = [len(own) for own in sequences.own]
    if frozen or not start:
        cached = _frozen_beginning(llm, beginning) if start else None
        layout = _Layout(lengths, cached=cached)
        embeddings = torch.cat(list(sequences.own))
    else:
        layout = _Layout([start, *lengths], prefix=True)
        embeddings = torch.cat([llm.embed(list(beginning)).to(sequences.own[0].dtype), *sequences.own])
    layout.masks = {length: _mask(length, start, embeddings.device) for length in set(lengths) if start}
    positions = torch.cat([torch.arange(start, start + length) for length in lengths])
    if layout.prefix:
        positions = torch.cat([torch.arange(start), positions])
    states = _read(llm.model, embeddings, positions, layout)
    return states[start:] if layout.prefix else states


def _frozen_beginning(llm: Llm, ids: tuple[int, ...]) -> list[KeyValue]:
    """Keys and values of what every sequence begins with, kept as long as the model is."""
    known = _frozen_beginnings.setdefault(llm.model, {})
    key = (*ids, torch.is_autocast_enabled(llm.device.type))  # kept in the precision they are used in
    if key not in known:
        layout = _Layout([len(ids)], kept=[])
        with torch.inference_mode(False), torch.no_grad():
            _read(llm.model, llm.embed(list(ids)), torch.arange(len(ids)), layout)
        assert layout.kept is not None
        known.clear()  # a run has one beginning, or two
        known[key] = layout.kept
    return known[key]


def _read(model: Any, embeddings: Tensor, positions: Tensor, layout: _Layout) -> Tensor:
    inner = (model.get_base_model() if hasattr(model, "get_base_model") else model).model
    out = inner(
        inputs_embeds=embeddings[None],
        position_ids=positions[None].to(embeddings.device),
        attention_mask=embeddings.new_zeros(1, 1, 1, 1),  # transformers hands a mask of four dimensions on as it is
        use_cache=False,
        layout=layout,
    )
    states: Tensor = out.last_hidden_state[0]
    return states


def _mask(length: int, before: int, device: torch.device) -> Tensor:
    return torch.ones(length, before + length, dtype=torch.bool, device=device).tril(before)


def _use_packed(model: Any) -> None:
    """Register our attention with transformers, and have the model use it; calls that are not ours go to its own."""
    if model.config._attn_implementation == _NAME:
        return
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(_NAME, _attend)
    AttentionMaskInterface.register(_NAME, sdpa_mask)
    model.set_attn_implementation(_NAME)


def _attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    """Attention within each sequence of the row, and to what they all begin with.

    query: (1, heads, tokens, width); key, value: (1, groups, tokens, width). Returns (1, tokens, heads, width).
    """
    layout: _Layout | None = options.pop("layout", None)
    if layout is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        out: tuple[Tensor, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **options)
        return out
    if layout.kept is not None:
        layout.kept.append((key, value))
    before = None if layout.cached is None else layout.cached[module.layer_idx]
    repeats = query.shape[1] // key.shape[1]
    parts = [torch.split(one, layout.lengths, 2) for one in (query, _repeated(key, repeats), _repeated(value, repeats))]
    outputs = []
    shared = None if before is None else (_repeated(before[0], repeats), _repeated(before[1], repeats))
    for q, k, v in zip(*parts, strict=True):
        if shared is None:
            outputs.append(functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=options["scaling"]))
            shared = (k, v) if layout.prefix else None
            continue
        together = torch.cat([shared[0], k], 2), torch.cat([shared[1], v], 2)
        mask = layout.masks[q.shape[2]]
        outputs.append(functional.scaled_dot_product_attention(q, *together, attn_mask=mask, scale=options["scaling"]))
    return torch.cat(outputs, 2).transpose(1, 2), None


def _repeated(heads: Tensor, times: int) -> Tensor:
    return heads if times == 1 else heads.repeat_interleave(times, 1)

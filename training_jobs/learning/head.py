"""Cross-entropy of the language model's head without keeping its logits: the gradient is made beside the loss.

A vocabulary has tens of thousands of entries, so logits, their log-softmax and its gradient for a batch would be the
largest tensors of a step. Here they exist for a few hundred tokens at a time, and are gone before the backward pass.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_CHUNK = 256  # tokens


def summed_cross_entropy(head: nn.Module, hidden: Tensor, labels: Tensor) -> Tensor:
    """The sum over tokens of the head's cross-entropy, a float32 scalar.

    hidden: (tokens, width); labels: (tokens,). A head that is no plain matrix (an adapter on it, a bias, weights
    sharded over processes) is called as it is.
    """
    plain = type(head) is nn.Linear and type(head.weight) is nn.Parameter and getattr(head, "bias", None) is None
    if not plain:
        return functional.cross_entropy(head(hidden).float(), labels, reduction="sum")
    total: Tensor = _Summed.apply(hidden, head.weight, labels)  # type: ignore[no-untyped-call]  # untyped in torch
    return total


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, labels: Tensor) -> Tensor:
        of_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        of_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        total = hidden.new_zeros((), dtype=torch.float32)
        for start in range(0, len(labels), _CHUNK):
            rows = slice(start, start + _CHUNK)
            logits = functional.linear(hidden[rows], weight)
            logs = functional.log_softmax(logits, 1, dtype=torch.float32)
            wanted = labels[rows, None]
            total -= logs.gather(1, wanted).sum()
            if of_hidden is None and of_weight is None:
                continue
            difference = logs.exp_().scatter_add_(1, wanted, logs.new_full(wanted.shape, -1.0)).to(logits.dtype)
            if of_hidden is not None:
                of_hidden[rows] = difference @ weight
            if of_weight is not None:
                of_weight += difference.T @ hidden[rows]
        ctx.gradients = of_hidden, of_weight
        return total

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        of_hidden, of_weight = (None if one is None else one.mul_(upstream[0]) for one in ctx.gradients)
        ctx.gradients = None, None
        return of_hidden, of_weight, None

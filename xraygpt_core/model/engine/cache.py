"""Keys and values of rows, side by side in slots of one length; several lengths may share one piece of memory."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

IDLE = -1  # the length of a row that is computed only because it lies between others: its step leaves nothing


@dataclass(frozen=True)
class Shape:
    """Sizes of attention, all in numbers of values."""

    layers: int
    heads: int
    groups: int  # heads of keys and values
    width: int  # of one head
    eps: float

    @property
    def token_values(self) -> int:
        """Values the cache keeps for one token: keys and values of every layer."""
        return 2 * self.layers * self.groups * self.width


class Cache:
    """Keys, values, last token and length of ``slots`` rows of at most ``length`` tokens.

    ``memory`` is (layers, tokens + 1, 2 · groups, width): keys in the first ``groups`` heads, values in the others.
    The slots lie in it from its beginning on, ``kv`` is (layers, slots, length, 2 · groups, width); another cache may
    have slots of another length in the same memory. Its last token takes what rows of length :data:`IDLE` write.
    It starts as zeros: what lies behind a row's end is masked, and only a finite number times zero is zero.
    """

    def __init__(self, memory: Tensor, length: int) -> None:
        self.spare = memory.shape[1] - 1
        self.slots, self.length = self.spare // length, length
        self.memory = memory
        self.kv = memory[:, : self.slots * length].view(len(memory), self.slots, length, *memory.shape[2:])
        self.ids = torch.zeros(self.slots, dtype=torch.long, device=memory.device)
        self.lengths = torch.full_like(self.ids, IDLE)
        self.rows = torch.arange(self.slots, device=memory.device)
        self.read = [0] * self.slots  # tokens of the longest prompt ever read in one batch with one in this slot

    def move(self, source: int, target: int, tokens: int) -> None:
        """Copy a row of so many tokens."""
        self.kv[:, target, :tokens] = self.kv[:, source, :tokens]
        self.ids[target], self.lengths[target] = self.ids[source], self.lengths[source]

    def scrub(self, slot: int, tokens: int) -> None:
        """Forget a row that may hold infinities: masked, they would still spoil the next row of this slot.

        Args:
            tokens: how many steps have written; the cache keeps what prompts have.
        """
        self.kv[:, slot, : max(tokens, self.read[slot])] = 0
        self.ids[slot], self.lengths[slot] = 0, IDLE


@dataclass(frozen=True)
class Span:
    """Rows that take a step: those in the slots ``first`` … ``last`` - 1 of a cache, none longer than ``longest``."""

    cache: Cache
    first: int
    last: int
    longest: int


def zeros(shape: Shape, tokens: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Memory for the keys and values of so many tokens, and of one more: see :class:`Cache`.

    On a CPU it is only taken where something is written: most long slots stay empty.
    """
    sizes = (shape.layers, tokens + 1, 2 * shape.groups, shape.width)
    if device.type != "cpu":
        return torch.zeros(sizes, device=device, dtype=dtype)
    return torch.from_numpy(np.zeros(math.prod(sizes) * dtype.itemsize, np.uint8)).view(dtype).view(sizes)

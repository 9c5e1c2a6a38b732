"""In which order a stream draws its pairs: a function of the seed and the position alone. No torch, no file.

The endless sequence of positions is cut into blocks of as many as there are pairs. A block draws from each set its
share; each set is gone through in passes of its own, in which every pair comes once. So pairs of equal weight come
once in a block, and of a set with twice the weight twice as often. A pass goes through the shards in a drawn order, a
window of them at a time, and shuffles inside the window: whatever the size of the corpus, reads stay within a window.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

WINDOW = 16  # shards that are shuffled together
GROUP = 32  # steps whose pairs are sorted by length together
_TOGETHER = 1024  # pairs: passes of a smaller set are drawn together
_PASS, _MERGE, _BUCKET = 11, 12, 13  # streams of random numbers

Indices = NDArray[np.int32]


@dataclass(frozen=True)
class SetRows:
    """The pairs of one set: their numbers in the stream, and the shard of each, in the shards' order."""

    pairs: Indices
    shards: NDArray[Any]
    weight: float


class Order:
    """The order of pairs in a stream of batches.

    Args:
        sets: those with pairs and a weight above 0.
        lengths: of all pairs; where they are given, batches are made of pairs of like length.
    """

    def __init__(self, sets: Sequence[SetRows], *, batch: int, seed: int, lengths: NDArray[Any] | None = None) -> None:
        self._sets, self._batch, self._seed, self._lengths = sets, batch, seed, lengths
        self.count = sum(len(one.pairs) for one in sets)
        equal = len({one.weight for one in sets}) == 1
        # with unequal weights the largest set makes up for what the others' shares round off: it must have the room
        times = 1 if equal else ceil(max(len(sets) ** 2, _TOGETHER) / max(self.count, 1))
        self.block = self.count * times
        drawn = [Fraction(one.weight) * len(one.pairs) for one in sets]
        self._shares = [one / sum(drawn) for one in drawn] if drawn else []
        self._block_order = lru_cache(3)(self._make_block)
        self._group_order = lru_cache(2)(self._make_group)

    def batch(self, step: int) -> Indices:
        """The pairs of a step, (batch,)."""
        if self._lengths is None:
            return self._positions(step * self._batch, (step + 1) * self._batch)
        block = step * self._batch // self.block
        first, end = (-(-edge * self.block // self._batch) for edge in (block, block + 1))
        start = first + (step - first) // GROUP * GROUP
        pairs: Indices = self._group_order(start, min(start + GROUP, end))[step - start]
        return pairs

    def _make_group(self, start: int, end: int) -> NDArray[np.int32]:
        """The batches of some steps, (steps, batch): sorted by length, and then in a drawn order."""
        assert self._lengths is not None
        pairs = self._positions(start * self._batch, end * self._batch)
        pairs = pairs[np.argsort(self._lengths[pairs], kind="stable")].reshape(end - start, self._batch)
        return self._rng(_BUCKET, start).permutation(pairs)

    def _positions(self, start: int, end: int) -> Indices:
        parts = []
        for block in range(start // self.block, -(-end // self.block)):
            first = block * self.block
            parts.append(self._block_order(block)[max(start - first, 0) : end - first])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _make_block(self, block: int) -> Indices:
        """The pairs of one block: each set in the order of its passes, the sets mixed."""
        before, after = self._drawn(block), self._drawn(block + 1)
        of_set = np.repeat(np.arange(len(self._sets), dtype=np.int16), np.subtract(after, before))
        self._rng(_MERGE, block).shuffle(of_set)
        out = np.empty(self.block, np.int32)
        for number, (start, end) in enumerate(zip(before, after, strict=True)):
            out[of_set == number] = self._passes(number, start, end)
        return out

    def _drawn(self, blocks: int) -> list[int]:
        """How many pairs of each set so many blocks draw: its share rounded down, the largest set takes the rest."""
        total = blocks * self.block
        counts = [int(total * share) for share in self._shares]
        counts[self._shares.index(max(self._shares))] += total - sum(counts)
        return counts

    def _passes(self, number: int, start: int, end: int) -> Indices:
        """The pairs at these positions of a set's own endless sequence."""
        count = len(self._sets[number].pairs)
        together = -(-_TOGETHER // count) * count
        parts = [
            self._pass(number, part, together // count)[max(start - part * together, 0) : end - part * together]
            for part in range(start // together, -(-end // together))
        ]
        return np.concatenate(parts) if parts else np.empty(0, np.int32)

    def _pass(self, number: int, part: int, times: int) -> Indices:
        """Some passes through a set, one after the other: (times * pairs,)."""
        rows, rng = self._sets[number], self._rng(_PASS, number, part)
        _, shard = np.unique(rows.shards, return_inverse=True)
        places = rng.permuted(np.tile(np.arange(shard.max() + 1), (times, 1)), axis=1)
        keys = places[:, shard] // WINDOW + rng.random((times, len(shard)))
        return rows.pairs[np.argsort(keys, axis=1)].ravel()

    def _rng(self, *stream: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, *stream])

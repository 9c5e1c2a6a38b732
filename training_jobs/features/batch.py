"""A batch of pairs and their features, which are read from the shards when they are asked for."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from xraygpt_core.training.pairs import Pair


class Batch:
    """Pairs, and their features (pairs, positions, channels) in float32.

    Features are read at their first use, so that a process's share of a batch, or a part of it, costs what it holds.
    """

    def __init__(self, pairs: Sequence[Pair], features: Tensor | Callable[[Sequence[int]], Tensor]) -> None:
        self.pairs = list(pairs)
        self._read = features if callable(features) and not isinstance(features, Tensor) else None
        self._features = features if isinstance(features, Tensor) else None
        self._places: Sequence[int] = range(len(self.pairs))

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def features(self) -> Tensor:
        """(pairs, positions, channels), float32, on the CPU.

        Raises:
            TrainingError: a shard cannot be read.
        """
        if self._features is None:
            assert self._read is not None
            self._features = self._read(self._places)
        return self._features

    def take(self, places: Sequence[int]) -> "Batch":
        """The pairs at these places of the batch, in this order."""
        pairs = [self.pairs[place] for place in places]
        if self._features is not None:
            return Batch(pairs, self._features[torch.tensor(list(places), dtype=torch.long)])
        assert self._read is not None
        part = Batch(pairs, self._read)
        part._places = [self._places[place] for place in places]
        return part

    def parts(self, size: int) -> "Iterator[Batch]":
        """The batch in pieces of at most ``size`` pairs, in their order: the micro-batches of a step.

        One is made when it is asked for, so the features of one piece are in memory.
        """
        for start in range(0, len(self), size):
            yield self.take(range(start, min(start + size, len(self))))

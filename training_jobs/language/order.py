"""Which dialogues a step sees: shuffled anew in each epoch, and dialogues of like length side by side."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_WINDOW = 64  # batches whose dialogues are sorted by length together; wide enough to leave little padding


class LengthBuckets:
    """A function of seed and step alone, so that a resumed run goes on where it was.

    Args:
        sizes: how long each dialogue is, in any unit.
    """

    def __init__(self, sizes: Sequence[int] | NDArray[np.integer], batch: int, seed: int) -> None:
        self._sizes, self._batch, self._seed = np.asarray(sizes), batch, seed
        self.steps = max(len(self._sizes) // batch, 1)  # of an epoch; what is left over is left out of that epoch
        self._epoch, self._batches = -1, np.empty((0, batch), np.int64)

    def batch(self, step: int) -> list[int]:
        """The numbers of a step's dialogues. Where there are fewer than a batch, some come more than once."""
        epoch, at = divmod(step, self.steps)
        if epoch != self._epoch:
            self._epoch, self._batches = epoch, self._shuffled(epoch)
        return [int(index) for index in self._batches[at]]

    def _shuffled(self, epoch: int) -> NDArray[np.int64]:
        rng = np.random.default_rng([self._seed, epoch])
        order = np.resize(rng.permutation(len(self._sizes)), self.steps * self._batch)
        window = _WINDOW * self._batch
        parts = [order[start : start + window] for start in range(0, len(order), window)]
        ordered = np.concatenate([part[np.argsort(self._sizes[part], kind="stable")] for part in parts])
        batches: NDArray[np.int64] = rng.permutation(ordered.reshape(self.steps, self._batch))
        return batches

"""Which dialogues a step sees: all of them once in an epoch, in another order in each."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class Shuffled:
    """A function of seed and step alone, so that a resumed run goes on where it was.

    Args:
        sizes: how long each dialogue is, in any unit.
    """

    def __init__(self, sizes: Sequence[int] | NDArray[np.integer], batch: int, seed: int) -> None:
        self._sizes, self._batch, self._seed = np.asarray(sizes), batch, seed
        self.steps = max(len(self._sizes) // batch, 1)  # of an epoch; what is left over is left out of that epoch
        self._epoch, self._order = -1, np.empty(0, np.int64)

    def batch(self, step: int) -> list[int]:
        """The numbers of a step's dialogues, the shortest first: every n-th of them is as much work as any other.

        Where there are fewer than a batch, some come more than once.
        """
        epoch, at = divmod(step, self.steps)
        if epoch != self._epoch:
            order = np.random.default_rng([self._seed, epoch]).permutation(len(self._sizes))
            self._epoch, self._order = epoch, np.resize(order, self.steps * self._batch)
        drawn = self._order[at * self._batch : (at + 1) * self._batch]
        return [int(index) for index in drawn[np.argsort(self._sizes[drawn], kind="stable")]]

"""What a stage hands to the loop for each micro-batch."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Loss:
    """A sum over labelled tokens, and how many they are: sums add up over micro-batches and processes, means do not.

    Attributes:
        total: scalar, with a gradient unless ``count`` is 0.
        count: labelled tokens (or whatever the mean is taken over) in ``total``.
        samples: opaque ids of the pairs in it, for the message about a step that fails.
        skipped: opaque ids of the pairs that could not be trained on.
    """

    total: Tensor
    count: int
    samples: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()

    @property
    def mean(self) -> Tensor:
        """``total / count``."""
        return self.total / max(self.count, 1)

"""The processes of a run: alone, or several of torchrun that hold the same weights and share each step's samples."""

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

T = TypeVar("T")


class World:
    """A run's only process; the base of what several of them do together.

    What is called here is called by every process, in the same order. ``sharded`` weights override :meth:`whole` and
    :meth:`part`, and whatever of the rest they do in another way.
    """

    rank = 0
    size = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes the run's files."""
        return self.rank == 0

    def begin(self, module: nn.Module) -> None:
        """Give every process the weights of the first."""

    def sum(self, values: Tensor) -> Tensor:
        """The sum over the processes, the same in all of them."""
        return values

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace gradients by their sums over the processes."""

    def gather(self, value: T) -> list[T]:
        """One small value of every process, by rank."""
        return [value]

    def norm(self, parameters: Sequence[nn.Parameter]) -> Tensor:
        """The Euclidean norm of all gradients together, a scalar."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        return nn.utils.get_total_norm(gradients) if gradients else torch.zeros(())

    def whole(self, tensor: Tensor) -> Tensor:
        """A whole tensor of what this process may hold a part of."""
        return tensor

    def part(self, whole: Tensor, like: Tensor) -> Tensor:  # noqa: ARG002  (for those that hold parts)
        """This process's part of a whole tensor, laid out as ``like``."""
        return whole


ALONE = World()

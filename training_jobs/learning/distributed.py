"""The processes of a run: alone, or several of torchrun that hold the same weights and share each step's samples."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn

from training_jobs.learning.leaving import several

T = TypeVar("T")

_BUCKET = 16 * 2**20  # numbers that are summed in one message
_PATIENCE = timedelta(minutes=10)  # for the others; the first one writes checkpoints meanwhile


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


class Processes(World):
    """Processes that torchrun started: each has all weights, and its own share of every step's samples."""

    def __init__(self) -> None:
        self.rank, self.size = distributed.get_rank(), distributed.get_world_size()
        on_gpu = distributed.get_backend() == "nccl"
        self._device = torch.device("cuda", torch.cuda.current_device()) if on_gpu else torch.device("cpu")

    def begin(self, module: nn.Module) -> None:
        for tensor in [*(p.data for p in module.parameters() if p.requires_grad), *module.buffers()]:
            distributed.broadcast(tensor, 0)

    def sum(self, values: Tensor) -> Tensor:
        together = values.to(self._device, copy=True)
        distributed.all_reduce(together)
        return together

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        there = self.sum(torch.tensor([float(parameter.grad is not None) for parameter in parameters]))
        gradients = []
        for parameter, count in zip(parameters, there.tolist(), strict=True):
            if count:
                parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                gradients.append(parameter.grad)
        for bucket in _buckets(gradients):
            flat = torch.cat([gradient.reshape(-1) for gradient in bucket])
            distributed.all_reduce(flat)
            for gradient, part in zip(
                bucket, torch.split(flat, [gradient.numel() for gradient in bucket]), strict=True
            ):
                gradient.copy_(part.view_as(gradient))

    def gather(self, value: T) -> list[T]:
        values: list[T | None] = [None] * self.size
        distributed.all_gather_object(values, value)
        return values  # type: ignore[return-value]  # each was replaced


def _buckets(gradients: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Few messages, and no second copy of all gradients at once."""
    bucket: list[Tensor] = []
    for gradient in gradients:
        if bucket and sum(map(Tensor.numel, bucket)) + gradient.numel() > _BUCKET:
            yield bucket
            bucket = []
        bucket.append(gradient)
    if bucket:
        yield bucket


@contextmanager
def join() -> Iterator[World]:
    """The processes that torchrun describes in the environment, over NCCL or, without GPUs, gloo; else :data:`ALONE`.

    A process that dies ends the others: what they wait for raises, at the latest after ten minutes. The process group
    is left standing: end the process by :func:`training_jobs.learning.leaving.leave`.
    """
    if not several():
        yield ALONE
        return
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if on_gpu else "gloo", timeout=_PATIENCE)
    yield Processes()
    distributed.barrier()  # nobody leaves while another still waits for him

"""Weights, gradients and optimizer in parts, one for each process of torchrun: fully sharded data parallelism (FSDP2).

A 7B model learns on cards that could not hold it: of float32 weights, gradients and AdamW's two moments (16 bytes a
parameter), each process keeps its share, and a layer is whole only while it is computed. accelerate cuts the model; on
GPUs the processes talk over NCCL, on CPUs over gloo.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from training_jobs.learning.distributed import World

_COMPUTED_IN = {"bfloat16": torch.bfloat16, "float16": torch.float16}


class ShardedWorld(World):
    """The processes that hold a module's parts together; made by :func:`shard`."""

    def __init__(self, device: torch.device) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self.device = device

    def sum(self, values: Tensor) -> Tensor:
        """The sum over the processes, the same in all of them."""
        together = values.clone()
        dist.all_reduce(together)
        return together

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Backward left each process its part of the mean gradient; the sum is ``size`` times as much."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        torch._foreach_mul_(gradients, float(self.size))

    def gather(self, value: Any) -> list[Any]:
        """One small value of every process, by rank."""
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def norm(self, parameters: Sequence[nn.Parameter]) -> Tensor:
        """The Euclidean norm of all gradients together, a scalar: what no process holds whole is summed up."""
        parts = [_own(parameter.grad) for parameter in parameters if parameter.grad is not None]
        squares = torch.stack([part.double().pow(2).sum() for part in parts]).sum()
        return self.sum(squares).sqrt().float()

    def whole(self, tensor: Tensor) -> Tensor:
        """In the first process the whole tensor, in the CPU's memory; in the others nothing, and they must call too."""
        if not isinstance(tensor, DTensor):
            return tensor
        gathered: Tensor = tensor.full_tensor().detach()
        return gathered.cpu() if self.leads else gathered.new_empty(0)

    def part(self, whole: Tensor, like: Tensor) -> Tensor:
        """This process's part of a tensor that every process has whole."""
        if not isinstance(like, DTensor):
            return whole
        whole = whole.to(like.device, like.dtype)
        return distribute_tensor(whole, like.device_mesh, like.placements, src_data_rank=None)

    def wait(self) -> None:
        """Until every process is here."""
        dist.barrier()


def _own(tensor: Tensor) -> Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


@dataclass(frozen=True)
class _Cutter:
    """What accelerate's FSDP2 asks of an accelerator. Its own class takes no CPU, where our tests run."""

    state: Any
    device: torch.device
    is_main_process: bool
    mixed_precision: str = "no"


def shard(module: nn.Module, device: torch.device, precision: str = "float32") -> ShardedWorld:
    """Cut a module into parts, layer by layer, in place; every process holds the same weights when it calls this.

    Call it before anything holds the module's parameters: they are others afterwards. ``module`` says where to cut by
    ``_no_split_modules``, ``get_input_embeddings`` and ``get_output_embeddings``, as transformers' models do. Its own
    forward must be called, not that of a part. Weights stay in their precision and are cast for computing.
    """
    from accelerate.utils import FullyShardedDataParallelPlugin
    from accelerate.utils.fsdp_utils import fsdp2_prepare_model
    from torch.distributed.fsdp import MixedPrecisionPolicy

    plugin = FullyShardedDataParallelPlugin(
        fsdp_version=2,
        reshard_after_forward=True,
        auto_wrap_policy="transformer_based_wrap",
        cpu_ram_efficient_loading=False,
    )
    plugin.mixed_precision_policy = MixedPrecisionPolicy(
        param_dtype=_COMPUTED_IN.get(precision), reduce_dtype=torch.float32, cast_forward_inputs=False
    )
    world = ShardedWorld(device)
    fsdp2_prepare_model(_Cutter(SimpleNamespace(fsdp_plugin=plugin), device, world.leads), module)
    return world

"""Weights, gradients and optimizer in parts, one for each process of torchrun: fully sharded data parallelism (FSDP2).

A 7B model learns on cards that could not hold it: of float32 weights, gradients and AdamW's two moments (16 bytes a
parameter), each process keeps its share, and a layer is whole only while it is computed. accelerate cuts the model; on
GPUs the processes talk over NCCL, on CPUs over gloo.

A checkpoint is whole: the first process gathers it, tensor by tensor, in the CPU's memory (12 bytes a parameter). So a
run goes on with any number of processes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, distribute_tensor

from training_jobs.learning.distributed import Processes
from xraygpt_core.errors import TrainingError

_COMPUTED_IN = {"float32": None, "bfloat16": torch.bfloat16}


class ShardedProcesses(Processes):
    """Processes that hold a module's parts together; made by :func:`shard`."""

    def begin(self, module: nn.Module) -> None:
        """Nothing: every process cut the same weights."""

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Backward left each process its part of the mean gradient; the sum is ``size`` times as much."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        torch._foreach_mul_(gradients, float(self.size))

    def norm(self, parameters: Sequence[nn.Parameter]) -> Tensor:
        """The Euclidean norm of all gradients together, a scalar: no process holds them whole."""
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


def _own(tensor: Tensor) -> Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


@dataclass(frozen=True)
class _Cutter:
    """What accelerate's FSDP2 asks of an accelerator. Its own class takes no CPU, where our tests run."""

    state: Any
    device: torch.device
    is_main_process: bool
    mixed_precision: str = "no"


def shard(module: nn.Module, device: torch.device, precision: str = "float32") -> ShardedProcesses:
    """Cut a module into parts, layer by layer, in place; every process holds the same weights when it calls this.

    Call it before anything holds the module's parameters: they are others afterwards. ``module`` says where to cut by
    ``_no_split_modules``, ``get_input_embeddings`` and ``get_output_embeddings``, as transformers' models do. Its own
    forward must be called, not that of a part, and as often in each process. Weights stay in their precision and are
    cast for computing.

    Raises:
        TrainingError: float16, whose scaled gradients would have to be looked at in every part.
    """
    from accelerate.utils import FullyShardedDataParallelPlugin
    from accelerate.utils.fsdp_utils import fsdp2_prepare_model
    from torch.distributed.fsdp import MixedPrecisionPolicy

    if precision not in _COMPUTED_IN:
        raise TrainingError("llm.strategy=shard computes in bfloat16 or float32: set precision to one of them")
    plugin = FullyShardedDataParallelPlugin(
        fsdp_version=2,
        reshard_after_forward=True,
        auto_wrap_policy="transformer_based_wrap",
        cpu_ram_efficient_loading=False,
    )
    plugin.mixed_precision_policy = MixedPrecisionPolicy(
        param_dtype=_COMPUTED_IN[precision], reduce_dtype=torch.float32, cast_forward_inputs=False
    )
    world = ShardedProcesses()
    fsdp2_prepare_model(_Cutter(SimpleNamespace(fsdp_plugin=plugin), device, world.leads), module)
    return world


def give_back_parts(module: nn.Module) -> None:
    """Let every process keep its own part alone again: after a forward pass that no backward pass follows."""
    for one in module.modules():
        if isinstance(one, FSDPModule):
            one.reshard()

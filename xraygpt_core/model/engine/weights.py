"""Matrices laid out for the device that multiplies by them, and how much memory it has left."""

import ctypes
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from xraygpt_core.model.llm import cpu_multiplies_bfloat16

_KEEP_FREE = 0.1  # of a GPU's free memory, for what a step needs beside weights and cache
_OF_A_HOST = 0.5  # of the memory free on a CPU machine; the other half is for other programs
_ROWS = 32  # oneDNN lays a matrix out for about so many rows at once; other numbers of rows work as well


class Matrix:
    """``y = x Wᵀ + b`` for one or several fused linear layers: x (…, in) to y (…, out).

    On a CPU the weight is stored once, in the blocked layout of oneDNN. Measured on an Ice Lake core in float32 at 16
    rows: 50 Gflop/s, where the plain layout gives 35 and the transposed one 40.

    Args:
        shared: the weight is kept as it is, because others read it: an embedding table that is the head as well.
        wide: weights are kept and multiplied in float32, whatever the precision of ``x`` and ``y``.
    """

    def __init__(self, layers: list[nn.Linear], *, shared: bool = False, wide: bool = False) -> None:
        weight, self._bias = fused(layers)
        if wide:
            weight, self._bias = weight.float(), None if self._bias is None else self._bias.float()
        self._wide = wide
        self.bytes = weight.numel() * weight.element_size()
        self.flops = 2 * weight.numel()  # per row
        self._by_onednn = _is_for_onednn(weight)
        packs = self._by_onednn and not shared
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS) if packs else weight

    def __call__(self, x: Tensor) -> Tensor:
        return self._times(x.float()).to(x.dtype) if self._wide else self._times(x)

    def _times(self, x: Tensor) -> Tensor:
        if self._by_onednn:
            made: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, "none", [], "")
            return made
        return functional.linear(x, self._weight, self._bias)


def widens(model: nn.Module) -> bool:
    """Should a model's matrices be :class:`Matrix` with ``wide``?

    On a CPU without bfloat16 instructions, where half of the free memory (:func:`free_bytes`) holds them in float32.
    """
    weight = next(model.parameters())
    if weight.device.type != "cpu" or weight.dtype != torch.bfloat16 or cpu_multiplies_bfloat16():
        return False
    wide = sum(one.numel() for one in model.parameters()) * torch.float32.itemsize
    return wide <= free_bytes(weight.device)


def fused(layers: list[nn.Linear]) -> tuple[Tensor, Tensor | None]:
    """Several linear layers of one input as one: weight (out, in) and bias (out), or None."""
    weights = [layer.weight.detach() for layer in layers]
    weight = weights[0] if len(weights) == 1 else torch.cat(weights)
    return weight, None if layers[0].bias is None else torch.cat([layer.bias.detach() for layer in layers])


def _is_for_onednn(weight: Tensor) -> bool:
    return (
        weight.device.type == "cpu"
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and weight.dtype in (torch.float32, torch.bfloat16)
        and min(weight.shape) > 1
    )


def sent(numbers: Sequence[int], device: torch.device) -> Tensor:
    """Whole numbers as a tensor on the device; a GPU fetches them when it gets there, and the host does not wait."""
    on_gpu = device.type == "cuda"
    return torch.tensor(list(numbers), dtype=torch.long, pin_memory=on_gpu).to(device, non_blocking=True)


def give_back() -> None:
    """Return freed memory to device and system: taking a model apart leaves holes all over the heap (malloc_trim(3)),
    and the old matrices in the GPU's allocator, where they would not count as free.
    """
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
    if trim is not None:
        trim(0)


def free_bytes(device: torch.device) -> int:
    """Memory for keys and values, measured: what is free now, less what others and the steps themselves need."""
    if device.type == "cuda":
        free, _total = torch.cuda.mem_get_info(device)
        return int(free * (1 - _KEEP_FREE))
    with open("/proc/meminfo") as file:
        kibibytes = next(int(line.split()[1]) for line in file if line.startswith("MemAvailable:"))
    return int(kibibytes * 1024 * _OF_A_HOST)

"""What this device could do at best, measured: how fast it moves bytes, and how fast it multiplies.

The additive roofline: a step reads every weight and every row's keys and values once, and then multiplies; a device
that does both at once beats it, most engines reach 60 to 80 % of it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from xraygpt_core.model.engine.quantised import product_of

_REPEATS = 5
_COPIED = {"cpu": 64 * 2**20, "cuda": 2**30}  # bytes, well beyond any cache
_SIDE = {"cpu": 1024, "cuda": 8192}  # of the square matrices multiplied


@dataclass(frozen=True)
class Roofline:
    """Measured rates of one device."""

    bytes_per_second: float
    flops_per_second: float

    def seconds(self, bytes_read: float, flops: float) -> float:
        """The least time for so much work."""
        return bytes_read / self.bytes_per_second + flops / self.flops_per_second


def measure(device: torch.device, dtype: torch.dtype, weights: str | None = None) -> Roofline:
    """Copy and multiply for a moment, by weights of this kind; the best of a few tries counts."""
    source = torch.zeros(_COPIED[device.type], dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    side = _SIDE[device.type]
    square = torch.ones(side, side, device=device, dtype=dtype)
    layer = nn.Linear(side, side, bias=False, device=device, dtype=dtype)
    product = product_of(weights)([layer])
    copied = _best(lambda: target.copy_(source), device)
    multiplied = _best(lambda: product(square), device)
    return Roofline(2 * source.numel() / copied, 2 * side**3 / multiplied)


def _best(act: Callable[[], object], device: torch.device) -> float:
    act()
    times = []
    for _ in range(_REPEATS):
        _wait(device)
        started = time.perf_counter()
        act()
        _wait(device)
        times.append(time.perf_counter() - started)
    return min(times)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)

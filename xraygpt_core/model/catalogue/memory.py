"""How much memory a model takes, computed from its shape, and how much this machine has."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xraygpt_core.errors import BundleError

_HALF, _SINGLE = 2, 4  # bytes of a number in 16 and in 32 bits
_CONVERSATION = 2048  # tokens of the slot that is kept for questions (engine/memory.py)
_WORKSPACE = 3 * 2**29  # the device's own, and what lies between two layers: 1.5 GiB


@dataclass(frozen=True)
class LlmShape:
    """Sizes of a decoder with gated MLPs and without biases."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    inner: int
    vocabulary: int
    head_width: int | None = None
    tied: bool = False

    @property
    def weights(self) -> int:
        """How many numbers it has."""
        width = self.head_width or self.hidden // self.heads
        attention = 2 * self.hidden * width * (self.heads + self.kv_heads)
        layer = attention + 3 * self.hidden * self.inner + 2 * self.hidden
        embeddings = self.vocabulary * self.hidden * (1 if self.tied else 2)
        return self.layers * layer + embeddings + self.hidden

    @property
    def token_bytes(self) -> int:
        """Keys and values of one token, in 16 bits."""
        return 2 * self.layers * self.kv_heads * (self.head_width or self.hidden // self.heads) * _HALF


@dataclass(frozen=True)
class MemoryNeed:
    """Bytes: the language model in 16 bits, encoder and projector in 32, the tokens of one study and one chat."""

    weights: int
    parts: int
    tokens: int
    longest: int  # tokens of one study: images, prompt and answer

    @property
    def total(self) -> int:
        """All of it, with a workspace."""
        return self.weights + self.parts + self.tokens + _WORKSPACE


def memory_need(table: Mapping[str, Any]) -> MemoryNeed:
    """What a catalogue's table says. ``weights_bytes``: where the files say more than the decoder's shape."""
    shape = LlmShape(**table["llm"])
    parts = table.get("encoder_weights", 0) + table.get("projector_weights", 0)
    tokens = table["tokens"] + max(table["tokens"], _CONVERSATION)
    weights = table.get("weights_bytes", shape.weights * _HALF)
    return MemoryNeed(weights, parts * _SINGLE, tokens * shape.token_bytes, table["tokens"])


@dataclass(frozen=True)
class DeviceMemory:
    """The memory that a model would be loaded to: of the largest GPU, or of the machine where there is none."""

    total: int
    is_gpu: bool


def device_memory() -> DeviceMemory:
    """What this machine has."""
    gpus = _gpu_bytes()
    if gpus:
        return DeviceMemory(max(gpus), is_gpu=True)
    return DeviceMemory(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), is_gpu=False)


def _gpu_bytes() -> list[int]:
    """Memory of each GPU, by NVIDIA's own library; empty where the package, the driver or a device is missing."""
    try:
        import pynvml
    except ImportError:
        return []
    try:
        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return [int(pynvml.nvmlDeviceGetMemoryInfo(handle).total) for handle in handles]
    except pynvml.NVMLError:
        return []


def check_memory(name: str, need: MemoryNeed, has: DeviceMemory) -> None:
    """Refuse a model that this machine cannot hold.

    Raises:
        BundleError: naming both sizes and the flag that fetches it all the same.
    """
    if need.total > has.total:
        where = "the largest GPU" if has.is_gpu else "this machine, which has no GPU,"
        raise BundleError(
            f"{name} takes {gigabytes(need.total)} of memory and {where} has {gigabytes(has.total)}: run it on a "
            "larger one, or fetch it all the same with --force"
        )


def gigabytes(size: int) -> str:
    """Bytes for people who buy GPUs and disks: powers of ten."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"

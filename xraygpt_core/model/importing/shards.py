"""Tensors that are made on the way, written as a Hugging Face folder of safetensors, a piece of two GiB at a time."""

import json
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from xraygpt_core.errors import BundleError
from xraygpt_core.model.importing.files import Progress
from xraygpt_core.model.importing.tensors import separate

_PIECE_BYTES = 2 * 2**30


class ShardWriter:
    """Takes tensors one by one; what is held is written when it is large enough, and :meth:`close` writes the rest.

    Args:
        total: bytes that are expected, for ``progress``.
        words: what is being done.
    """

    def __init__(self, folder: Path, total: int, progress: Progress, words: str) -> None:
        self._folder, self._total, self._progress, self._words = folder, max(total, 1), progress, words
        self._held: dict[str, Tensor] = {}
        self._places: dict[str, str] = {}
        self._written = self._shards = 0
        folder.mkdir(parents=True)

    def add(self, name: str, tensor: Tensor) -> None:
        """One tensor more."""
        self._held[name] = tensor
        if sum(held.nbytes for held in self._held.values()) >= _PIECE_BYTES:
            self._flush()

    def close(self) -> None:
        """Write what is left, and the index."""
        if self._held:
            self._flush()
        index = {"metadata": {"total_size": self._written}, "weight_map": self._places}
        (self._folder / "model.safetensors.index.json").write_text(json.dumps(index))

    def _flush(self) -> None:
        file = f"model-{self._shards:05d}.safetensors"
        save_file(separate(self._held), self._folder / file, metadata={"format": "pt"})
        self._places |= dict.fromkeys(self._held, file)
        self._written += sum(tensor.nbytes for tensor in self._held.values())
        self._held, self._shards = {}, self._shards + 1
        self._progress(min(self._written, self._total), self._total, self._words)


def write_shards(
    folder: Path, tensors: Iterable[tuple[str, Tensor]], total: int, progress: Progress, words: str
) -> None:
    """All of them, in their order; the arguments are those of :class:`ShardWriter`."""
    writer = ShardWriter(folder, total, progress, words)
    for name, tensor in tensors:
        writer.add(name, tensor)
    writer.close()


def cast(tensor: Tensor, dtype: torch.dtype | None, name: str) -> Tensor:
    """The tensor in another precision; None: in its own.

    Raises:
        BundleError: its numbers are too large for that.
    """
    if dtype is None or tensor.dtype == dtype:
        return tensor
    made = tensor.to(dtype)
    if not torch.isfinite(made).all():
        raise BundleError(f"{name} has numbers that {str(dtype).removeprefix('torch.')} does not hold")
    return made

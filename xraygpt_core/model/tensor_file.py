"""Safetensors with metadata whose bytes depend on what is in them alone: two imports of a model have one hash."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file

_LENGTH = 8  # bytes of the header's length, little-endian


def save_tensors(state: Mapping[str, torch.Tensor], path: Path, metadata: Mapping[str, str]) -> None:
    """Write them; the library puts several lines of metadata into another order each time, which is put right here."""
    save_file(dict(state), path, metadata=dict(metadata))
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(_LENGTH), "little")
        header = json.loads(file.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        settled = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        if len(settled) <= length:  # spaces up to the data, as the library has them
            file.seek(_LENGTH)
            file.write(settled.ljust(length))

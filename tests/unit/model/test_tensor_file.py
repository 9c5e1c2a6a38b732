"""The same tensors with the same metadata are the same bytes, and read as before."""

import hashlib
from pathlib import Path

import torch
from safetensors import safe_open

from xraygpt_core.model.tensor_file import save_tensors

STATE = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.ones(3, dtype=torch.bfloat16)}
METADATA = {"class": "TemporalProjector", "heads": "24", "made": "größer", "sizes": '{"a": 1}'}


def test_the_same_content_has_the_same_hash_each_time(tmp_path: Path) -> None:
    hashes = set()
    for number in range(20):
        save_tensors(STATE, tmp_path / f"{number}.safetensors", METADATA)
        hashes.add(hashlib.sha256((tmp_path / f"{number}.safetensors").read_bytes()).hexdigest())
    assert len(hashes) == 1


def test_tensors_and_metadata_are_read_as_they_were_written(tmp_path: Path) -> None:
    save_tensors(STATE, tmp_path / "a.safetensors", METADATA)
    with safe_open(tmp_path / "a.safetensors", framework="pt") as file:
        assert file.metadata() == METADATA
        assert all(torch.equal(file.get_tensor(name), tensor) for name, tensor in STATE.items())

"""Files made to exhaust whoever reads them are refused in one sentence, at once."""

import json
import struct
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from xraygpt_core.errors import BundleError
from xraygpt_core.model.bundle import read_bundle
from xraygpt_core.model.importing.convert import convert_gguf, gguf_hidden
from xraygpt_core.model.importing.gguf_header import check_header
from xraygpt_core.model.importing.llms import read_llm
from xraygpt_core.model.importing.tensors import TensorFiles, read_json
from xraygpt_core.model.projector import MapProjector, MapSizes, load_projector

SIZES = MapSizes(4, 8, 3, 16, width=8, layers=1, heads=2)


@pytest.fixture(autouse=True)
def _cheap() -> Iterator[None]:
    """Whatever a file announces, it costs no more than a moment and a few MiB."""
    tracemalloc.start()
    began = time.monotonic()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200 * 2**20
    assert time.monotonic() - began < 60


def text(words: bytes) -> bytes:
    return struct.pack("<Q", len(words)) + words


def gguf(*fields: bytes, tensors: tuple[bytes, ...] = (), announced: int | None = None) -> bytes:
    count = len(fields) if announced is None else announced
    return b"GGUF" + struct.pack("<IQQ", 3, len(tensors), count) + b"".join(fields) + b"".join(tensors)


def array(inner: int, count: int, content: bytes = b"") -> bytes:
    return text(b"a") + struct.pack("<IIQ", 9, inner, count) + content


def tensor(*dimensions: int, offset: int = 0) -> bytes:
    shape = struct.pack(f"<{len(dimensions)}Q", *dimensions)
    return text(b"t") + struct.pack("<I", len(dimensions)) + shape + struct.pack("<IQ", 0, offset)


BOMBS = {
    "an endless array of bytes": gguf(array(0, 2**60)),
    "an endless array of texts": gguf(array(8, 2**60)),
    "an array of nothing at the end": gguf(array(8, 2**20)),
    "a long array": gguf(array(0, 3_000_000, bytes(3_000_000))),
    "many empty texts": gguf(array(8, 2_000_001, bytes(8 * 2_000_001))),
    "nested arrays": gguf(text(b"a") + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 5000),
    "an endless text": gguf(text(b"a") + struct.pack("<IQ", 8, 2**63)),
    "an endless name": gguf(struct.pack("<Q", 2**64 - 1)),
    "endless fields": gguf(announced=2**60),
    "no known type": gguf(text(b"a") + struct.pack("<I", 77)),
    "endless weights": gguf(tensors=(tensor(2**40, 2**20),)),
    "the same weights ten thousand times": gguf(tensors=tuple(tensor(64, 64) for _ in range(10_000))),
    "a tensor beyond the end": gguf(tensors=(tensor(4, offset=2**40),)),
    "a tensor without end": gguf(tensors=(text(b"t") + struct.pack("<I", 2**31),)),
    "another version": b"GGUF" + struct.pack("<IQQ", 99, 0, 0),
    "nothing": b"GGUF",
}


@pytest.mark.parametrize("content", BOMBS.values(), ids=BOMBS)
@pytest.mark.parametrize(
    "read", [gguf_hidden, lambda path: convert_gguf(path, path.parent / "out")], ids=["look", "all"]
)
def test_a_gguf_file_is_as_long_as_it_says(tmp_path: Path, content: bytes, read: Callable[[Path], Any]) -> None:
    (tmp_path / "llm.gguf").write_bytes(content)
    with pytest.raises(BundleError, match=r"llm\.gguf is no GGUF file of a llama, or damaged") as told:
        read(tmp_path / "llm.gguf")
    assert "\n" not in str(told.value)


def test_any_cut_of_a_good_header_is_refused(tmp_path: Path) -> None:
    whole = gguf(array(8, 3, text(b"x") * 3), text(b"b") + struct.pack("<If", 6, 0.5), tensors=(tensor(2, 2),)) + bytes(
        16
    )
    path = tmp_path / "llm.gguf"
    path.write_bytes(whole)
    check_header(path)
    for length in range(len(whole) - 16):
        path.write_bytes(whole[:length])
        with pytest.raises(BundleError):
            check_header(path)


def test_a_llama_has_as_many_layers_as_tensors_allow(tmp_path: Path) -> None:
    fields = {"hidden_size": 32, "num_hidden_layers": 10**9, "num_attention_heads": 4, "intermediate_size": 64}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", "vocab_size": 100} | fields))
    with pytest.raises(BundleError, match="no usable num_hidden_layers"):
        read_llm(tmp_path)


@pytest.mark.parametrize("header", [2**63, 2**40, 17 * 2**20], ids=["endless", "long", "beyond reason"])
def test_a_safetensors_header_is_as_long_as_it_says(tmp_path: Path, header: int) -> None:
    with (tmp_path / "w.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", header) + b"{" * 100)
        file.truncate(min(header, 17 * 2**20) + 8)  # sparse
    with pytest.raises(BundleError, match=r"w\.safetensors is truncated or damaged"):
        TensorFiles(tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    "sizes",
    [
        "[" * 10**5,
        "{",
        "[]",
        '{"positions": 1}',
        json.dumps(asdict(SIZES) | {"width": 10**9}),
        json.dumps(asdict(SIZES) | {"layers": 10**9}),
        json.dumps(asdict(SIZES) | {"heads": 0}),
        json.dumps(asdict(SIZES) | {"channels": "8"}),
    ],
    ids=lambda sizes: sizes[:40],
)
def test_a_projector_is_not_built_of_sizes_its_weights_do_not_have(tmp_path: Path, sizes: str) -> None:
    state = {key: value.contiguous() for key, value in MapProjector(SIZES).state_dict().items()}
    save_file(state, tmp_path / "p.safetensors", metadata={"class": "MapProjector", "sizes": sizes})
    with pytest.raises(BundleError, match=r"p\.safetensors"):
        load_projector("MapProjector", tmp_path / "p.safetensors")


def test_a_projector_of_its_own_sizes_is_built(tmp_path: Path) -> None:
    state = {key: torch.ones_like(value).contiguous() for key, value in MapProjector(SIZES).state_dict().items()}
    metadata = {"class": "MapProjector", "sizes": json.dumps(asdict(SIZES))}
    save_file(state, tmp_path / "p.safetensors", metadata=metadata)
    assert load_projector("MapProjector", tmp_path / "p.safetensors").state_dict().keys() == state.keys()


def test_json_that_is_nested_without_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("[" * 10**6)
    with pytest.raises(BundleError, match="not valid JSON"):
        read_json(tmp_path / "config.json")


def test_a_bundle_file_that_is_nested_without_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bundle.toml").write_text("a = " + "[" * 10**5)
    with pytest.raises(BundleError, match=r"bundle\.toml"):
        read_bundle(tmp_path)

"""The makers of published layouts, held against what is known of the published files."""

from math import prod
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.support.layout_files import write_rad_dino
from tests.support.layout_shapes import (
    Sizes,
    connector_shapes,
    dino_shapes,
    llama_shapes,
    mlp_shapes,
    timm_shapes,
)
from tests.support.published_layouts import lora_shapes, write_libra, write_libra_3b, write_llava_rad, write_maira2
from xraygpt_core.model.importing.tensors import TensorFiles

VICUNA = Sizes(4096, 32, 32, 32, 11008, 768, 12, 12, 37, 64)
LLAMA_3B = Sizes(3072, 28, 24, 8, 8192, 768, 12, 12, 37)


def count(shapes: dict[str, tuple[int, ...]]) -> int:
    return sum(map(prod, shapes.values()))


def test_a_llama_has_as_many_weights_as_the_published_ones() -> None:
    assert count(llama_shapes(VICUNA, 32000)) == 6_738_415_616
    assert count(llama_shapes(LLAMA_3B, 128256, tied=True)) == 3_212_749_824


def test_the_encoder_is_as_large_as_rad_dino_s_file() -> None:
    header = 346_345_912 - 4 * count(dino_shapes(VICUNA))
    assert 10_000 < header < 40_000
    assert len(dino_shapes(VICUNA)) == 223


def test_maira_2_has_as_many_tensors_as_published_and_as_many_bytes() -> None:
    parts = [llama_shapes(VICUNA, 32207), dino_shapes(VICUNA), mlp_shapes("layers", 4, 768, 4096)]
    assert sum(map(len, parts)) == 522
    published = 4_955_289_768 + 4_857_207_664 + 3 * 4_857_207_704 + 3_136_688_192
    assert 0 < published - 4 * sum(map(count, parts)) < 200_000


def test_llava_rad_s_adapter_and_projector_are_as_large_as_published() -> None:
    assert len(lora_shapes(VICUNA)) == 448
    assert 0 < 319_971_402 - 2 * count(lora_shapes(VICUNA)) < 500_000
    assert 0 < 39_864_496 - 2 * count(mlp_shapes("mm_projector", 2, 768, 4096)) < 10_000


def test_timm_s_names_hold_the_same_numbers_as_dinov2_s_but_for_the_mask() -> None:
    assert count(timm_shapes(VICUNA)) == count(dino_shapes(VICUNA)) - 768


def test_the_connector_mixes_twelve_layers_into_one() -> None:
    shapes = connector_shapes(VICUNA)
    assert shapes["model.mm_projector.LFE.1.weight"] == (6, 12, 1, 1)
    assert shapes["model.mm_projector.LFE.5.weight"] == (1, 3, 1, 1)
    assert shapes["model.mm_projector.mlp_final.6.weight"] == (4096, 4096)


@pytest.mark.parametrize("write", [write_maira2, write_libra, write_libra_3b, write_rad_dino])
def test_a_written_folder_is_read_whole(write: object, tmp_path: Path) -> None:
    assert callable(write)
    files = TensorFiles(write(tmp_path))
    assert all(torch.isfinite(files.get(name)).all() for name in files)


def test_the_same_layout_has_the_same_bytes(tmp_path: Path) -> None:
    one, two = (write_rad_dino(tmp_path / name) / "model.safetensors" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    assert len(load_file(one)) == 223


def test_llava_rad_s_encoder_lies_in_a_training_checkpoint(tmp_path: Path) -> None:
    content = torch.load(write_llava_rad(tmp_path) / "biomedclipcxr_518_checkpoint.pt", weights_only=True)
    assert set(content) == {"epoch", "name", "state_dict", "optimizer"}
    assert "module.visual.trunk.blocks.0.ls1.gamma" in content["state_dict"]

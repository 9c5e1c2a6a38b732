"""Published projectors: what kind a file holds, and that it computes the same as theirs."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.support.published_parts import write_checkpoint
from xraygpt_core.model.importing.projectors import read_projector
from xraygpt_core.model.projector import MapProjector, MapSizes, MlpProjector, load_projector, save_projector


def test_a_legacy_pickle_is_read(tmp_path: Path) -> None:
    read = read_projector(write_checkpoint(tmp_path / "old.pth", legacy=True))
    assert (read.kind, read.takes, read.gives) == ("LinearProjector", 20, 32)


@pytest.mark.parametrize("prefix", ["mm_projector.", "model.mm_projector.", "multi_modal_projector.layers.", "layers."])
def test_mairas_mlp_is_read_and_computes_the_same(tmp_path: Path, prefix: str) -> None:
    torch.manual_seed(3)
    widths = (24, 16, 16, 16, 32)
    reference = torch.nn.Sequential()
    for index, (inputs, outputs) in enumerate(pairwise(widths)):
        reference.extend([torch.nn.GELU()] if index else [])
        reference.append(torch.nn.Linear(inputs, outputs))
    save_file({f"{prefix}{name}": value for name, value in reference.state_dict().items()}, tmp_path / "m.safetensors")
    read = read_projector(tmp_path / "m.safetensors")
    assert (read.kind, read.takes, read.gives) == ("MlpProjector", 24, 32)
    read.write(tmp_path / "p.safetensors")
    projector = load_projector(read.kind, tmp_path / "p.safetensors")
    assert isinstance(projector, MlpProjector)
    features = torch.randn(2, 5, 24)
    torch.testing.assert_close(projector(features), reference(features))


def test_a_projector_of_our_own_training_is_linked(tmp_path: Path) -> None:
    sizes = MapSizes(positions=49, channels=24, tokens=4, hidden=32, width=16, layers=1, heads=2)
    save_projector(MapProjector(sizes), tmp_path / "ours.safetensors")
    read = read_projector(tmp_path / "ours.safetensors")
    assert (read.kind, read.takes, read.gives, read.positions) == ("MapProjector", 24, 32, 49)
    read.write(tmp_path / "bundle" / "p.safetensors")
    assert (tmp_path / "bundle" / "p.safetensors").samefile(tmp_path / "ours.safetensors")


@pytest.mark.parametrize(
    ("takes", "found"), [(512, "paper"), (768, "Q-Former"), (5632, "without a Q-Former"), (99, "variant of its own")]
)
def test_the_variant_is_told_from_the_shape(tmp_path: Path, takes: int, found: str) -> None:
    assert found in read_projector(write_checkpoint(tmp_path / "p.pth", takes=takes, gives=8)).part.found

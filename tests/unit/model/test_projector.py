"""Projectors: shapes, files, and the start from which nothing has to be unlearned."""

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from xraygpt_core.errors import BundleError
from xraygpt_core.model.projector import LinearProjector, MapProjector, MapSizes, load_projector, save_projector

SIZES = MapSizes(positions=4, channels=10, tokens=3, hidden=8, width=12, layers=1, heads=2)


def test_one_token_a_slot_comes_out() -> None:
    assert MapProjector(SIZES)(torch.randn(5, 4, 10)).shape == (5, 3, 8)


def test_the_papers_projector_maps_each_position() -> None:
    projector = LinearProjector(512, 64)
    assert projector(torch.randn(2, 1, 512)).shape == (2, 1, 64)
    assert sorted(projector.state_dict()) == ["llama_proj.bias", "llama_proj.weight"]


def test_a_saved_projector_is_the_same_in_bfloat16(tmp_path: Path) -> None:
    torch.manual_seed(0)
    projector = MapProjector(SIZES).eval()
    save_projector(projector, tmp_path / "p.safetensors")
    loaded = load_projector("MapProjector", tmp_path / "p.safetensors").eval()
    assert isinstance(loaded, MapProjector)
    assert loaded.sizes == SIZES
    for name, tensor in projector.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor.bfloat16().float())


def test_a_linear_projector_is_rebuilt_from_its_shape(tmp_path: Path) -> None:
    save_projector(LinearProjector(7, 9), tmp_path / "p.safetensors")
    loaded = load_projector("LinearProjector", tmp_path / "p.safetensors")
    assert loaded(torch.zeros(1, 1, 7)).shape == (1, 1, 9)


def test_the_file_says_what_it_holds(tmp_path: Path) -> None:
    save_projector(MapProjector(SIZES), tmp_path / "p.safetensors")
    with safe_open(tmp_path / "p.safetensors", framework="pt") as file:
        assert file.metadata()["class"] == "MapProjector"


def test_a_file_of_another_class_is_refused(tmp_path: Path) -> None:
    save_projector(LinearProjector(7, 9), tmp_path / "p.safetensors")
    with pytest.raises(BundleError, match="is not a MapProjector"):
        load_projector("MapProjector", tmp_path / "p.safetensors")
    with pytest.raises(BundleError, match="no projector named 'Magic'"):
        load_projector("Magic", tmp_path / "p.safetensors")


def test_a_missing_weight_is_named(tmp_path: Path) -> None:
    save_projector(MapProjector(SIZES), tmp_path / "p.safetensors")
    with safe_open(tmp_path / "p.safetensors", framework="pt") as file:
        metadata = file.metadata()
    state = load_file(tmp_path / "p.safetensors")
    del state["queries"]
    save_file(state, tmp_path / "q.safetensors", metadata=metadata)
    with pytest.raises(BundleError, match="queries"):
        load_projector("MapProjector", tmp_path / "q.safetensors")


def test_an_untrained_projector_starts_near_its_base() -> None:
    torch.manual_seed(0)
    projector = MapProjector(SIZES).eval()
    base, directions = torch.randn(3, 8), torch.randn(3, 8)
    features = torch.randn(6, 4, 10) * 5 + 3
    projector.start(features.mean((0, 1)), features.std((0, 1)), base, directions)
    strayed = (projector(features) - base).norm(dim=-1)
    assert strayed.max() < directions.norm() * 1.5
    assert strayed.max() > 0


def test_where_a_thing_is_reaches_the_tokens() -> None:
    """The same vectors in another order are another picture."""
    torch.manual_seed(0)
    projector = MapProjector(SIZES).eval()
    torch.nn.init.normal_(projector.places)
    features = torch.randn(1, 4, 10)
    assert not torch.allclose(projector(features), projector(features.flip(1)))

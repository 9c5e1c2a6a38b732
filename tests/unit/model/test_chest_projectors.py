"""Libra's connector and the MLPs of LLaVA's trainings give the tokens of the published code."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.support.layout_shapes import Sizes, connector_shapes, drawn, mlp_shapes
from tests.support.published_projectors import written_projector
from tests.unit.model.reference.seeded import seeded
from tests.unit.model.test_chest_encoders import REFERENCE
from tests.unit.model.test_encoders_parity import close
from xraygpt_core.errors import BundleError
from xraygpt_core.model.importing.projectors import read_projector
from xraygpt_core.model.projector import MlpProjector, TemporalProjector, image_shape, load_projector, save_projector


@pytest.fixture(scope="module")
def connector(tmp_path_factory: pytest.TempPathFactory) -> TemporalProjector:
    path = tmp_path_factory.mktemp("connector") / "mm_tac_projector.bin"
    torch.save(drawn(connector_shapes(Sizes(width=768, hidden=40))), path)
    made = written_projector(path, 32)
    assert isinstance(made, TemporalProjector)
    return made


def films(name: str) -> Tensor:
    return torch.from_numpy(seeded(name, (2, 12, 9, 768))) * 20


def test_libras_connector_gives_its_own_codes_tokens(connector: TemporalProjector) -> None:
    with torch.inference_mode():
        tokens = connector(films("current"), films("prior"))
    assert tokens.shape == (2, 9, 40)
    close(tokens[:, :, ::4], REFERENCE["connector"]["with"])


def test_without_a_prior_the_current_film_is_its_own(connector: TemporalProjector) -> None:
    with torch.inference_mode():
        alone, itself = connector(films("current")), connector(films("current"), films("current"))
    close(alone[:, :, ::4], REFERENCE["connector"]["without"])
    close(alone, itself)


def test_a_film_has_the_same_tokens_beside_any_other(connector: TemporalProjector) -> None:
    with torch.inference_mode():
        both = connector(films("current"), films("prior"))
        one = connector(films("current")[1:], films("prior")[1:])
    close(both[1:], one)


def test_a_saved_connector_is_the_same_in_bfloat16(connector: TemporalProjector, tmp_path: Path) -> None:
    save_projector(connector, tmp_path / "p.safetensors")
    loaded = load_projector("TemporalProjector", tmp_path / "p.safetensors")
    assert isinstance(loaded, TemporalProjector)
    assert loaded.heads == 32
    for name, tensor in connector.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor.bfloat16().float())


@pytest.mark.parametrize("heads", [0, 5, None])
def test_heads_that_do_not_share_the_channels_are_refused(tmp_path: Path, heads: int | None) -> None:
    torch.save(drawn(connector_shapes(Sizes())), tmp_path / "c.bin")
    with pytest.raises(BundleError, match="heads do not share 24 channels of 12 layers"):
        written_projector(tmp_path / "c.bin", heads)


def test_a_connector_that_lacks_a_tensor_is_refused_by_its_name(tmp_path: Path) -> None:
    state = drawn(connector_shapes(Sizes()))
    del state["model.mm_projector.cros_attention.bias_k"]
    torch.save(state, tmp_path / "c.bin")
    with pytest.raises(BundleError, match=r"cros_attention\.bias_k of the connector missing"):
        read_projector(tmp_path / "c.bin")


@pytest.mark.parametrize(
    ("name", "shape", "says"),
    [
        ("norm4.weight", (), "its connector is not whole: .*norm4.weight.* missing, or of other dimensions"),
        ("LFE.0.fc1.weight", (1, 2, 1, 1), "a connector of 2 layers of 24 numbers does nothing"),
        ("mlp_final.6.bias", (7,), r"mlp_final\.6\.bias of the connector is 7, not 32"),
    ],
)
def test_a_connector_of_other_shapes_is_refused(tmp_path: Path, name: str, shape: tuple[int, ...], says: str) -> None:
    state = drawn({**connector_shapes(Sizes()), f"model.mm_projector.{name}": shape})
    torch.save(state, tmp_path / "c.bin")
    with pytest.raises(BundleError, match=says):
        read_projector(tmp_path / "c.bin")


@pytest.mark.parametrize(
    ("prefix", "layers"),
    [("base_model.model.model.mm_projector", 2), ("model.mm_projector.projector", 4), ("model.mm_projector", 2)],
)
def test_the_mlps_of_llavas_trainings_are_read(tmp_path: Path, prefix: str, layers: int) -> None:
    state = drawn(mlp_shapes(prefix, layers, 24, 32))
    torch.save(state, tmp_path / "p.bin")
    projector = written_projector(tmp_path / "p.bin")
    assert isinstance(projector, MlpProjector)
    features = torch.from_numpy(seeded("features", (2, 5, 24)))
    reference = features
    for index in range(layers):
        reference = nn.functional.gelu(reference) if index else reference
        weight, bias = (state[f"{prefix}.{2 * index}.{kind}"] for kind in ("weight", "bias"))
        reference = reference @ weight.T + bias
    close(projector(features), reference)


def test_a_projector_is_refused_behind_features_of_another_shape(connector: TemporalProjector) -> None:
    assert image_shape(connector, 12, 9, 768) == (9, 40)
    for shape in ((9, 768), (11, 9, 768), (12, 9, 24)):
        with pytest.raises(BundleError, match=f"does not take the encoder's {' x '.join(map(str, shape))} features"):
            image_shape(connector, *shape)
    with pytest.raises(BundleError, match="does not take the encoder's 12 x 9 x 24 features"):
        image_shape(MlpProjector((24, 32, 32)), 12, 9, 24)

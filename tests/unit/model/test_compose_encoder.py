"""Another encoder in a bundle: what is written, what goes with the old one, and what has to fit the new one."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.support.tiny_bundle import make_tiny_bundle
from xraygpt_core.errors import BundleError
from xraygpt_core.model.bundle import Bundle, file_sha256, verify
from xraygpt_core.model.chest_check import ChestCheck, save_chest_check
from xraygpt_core.model.compose import CHEST_CHECK_FILE, ENCODER_FILE, compose_bundle
from xraygpt_core.model.encoders.delta import save_delta, state_digest
from xraygpt_core.model.encoders.digest import encoder_digest
from xraygpt_core.model.projector import MapProjector, MapSizes, save_projector
from xraygpt_core.scope import Figure, MadeFor, Scope

KIND, OPTIONS = "EfficientNetLite0Maps", {"layers": ["head"], "size": 96}
POSITIONS, CHANNELS = 9, 1280  # of these options


def a_delta(base: Bundle, file: Path, kind: str = KIND, options: dict[str, object] = OPTIONS, by: float = 1e-3) -> Path:
    state = load_file(base.encoder_weights)
    tuned = state | {"_conv_head.weight": state["_conv_head.weight"] + by}
    save_delta(file, state, tuned, kind=kind, options=options)
    return file


def a_projector(file: Path, channels: int = CHANNELS) -> Path:
    save_projector(MapProjector(MapSizes(POSITIONS, channels, 4, 32, width=8, layers=1, heads=2)), file)
    return file


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle with a projector, a chest check and figures, all of its encoder."""
    models = tmp_path_factory.mktemp("models")
    check = models / "check.safetensors"
    save_chest_check(ChestCheck(torch.zeros(1, 1728), 0.0, 0.0, 1.0), check)
    scope = Scope(MadeFor.SYNTHETIC, "Drawn films.", validated_on=(Figure("drawn", 9, "F1", 0.5, (0.4, 0.6)),))
    tiny = make_tiny_bundle(models)
    return compose_bundle(tiny, models, "checked", projector=None, adapter=None, chest_check=check, scope=scope)


@pytest.fixture
def delta(base: Bundle, tmp_path: Path) -> Path:
    return a_delta(base, tmp_path / "delta.safetensors")


def with_encoder(base: Bundle, models: Path, encoder: Path, name: str = "tuned", **parts: Path) -> Bundle:
    return compose_bundle(
        base, models, name, projector=parts.pop("projector", None), adapter=None, encoder=encoder, **parts
    )


def test_a_delta_becomes_a_whole_encoder_with_its_options(base: Bundle, delta: Path, tmp_path: Path) -> None:
    made = with_encoder(base, tmp_path, delta)
    verify(made)
    state = load_file(made.encoder_weights)
    assert {value.dtype for value in state.values()} == {torch.float32}
    before = load_file(base.encoder_weights)
    torch.testing.assert_close(state["_conv_head.weight"], before["_conv_head.weight"] + 1e-3, atol=1e-6, rtol=0)
    assert (made.encoder, made.encoder_options) == (KIND, OPTIONS)
    assert (made.encoder_delta, base.encoder_delta) == (file_sha256(delta), None)
    assert encoder_digest(made) != encoder_digest(base)


def test_what_read_the_old_encoder_goes_with_it(base: Bundle, delta: Path, tmp_path: Path) -> None:
    made = with_encoder(base, tmp_path, delta)
    assert (made.projector, made.chest_check, made.scope.validated_on) == (None, None, ())
    assert ENCODER_FILE in made.files
    assert CHEST_CHECK_FILE not in made.files
    verify(base)


def test_new_parts_for_the_new_encoder_come_along(base: Bundle, delta: Path, tmp_path: Path) -> None:
    save_chest_check(ChestCheck(torch.zeros(6, CHANNELS), 0.0, 0.0, 1.0), tmp_path / "check")
    made = with_encoder(base, tmp_path, delta, projector=a_projector(tmp_path / "p"), chest_check=tmp_path / "check")
    assert made.projector == "MapProjector"
    assert made.chest_check is not None
    verify(made)


def test_a_projector_of_other_sizes_is_refused(base: Bundle, delta: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="does not take the encoder's 9 x 1280 features"):
        with_encoder(base, tmp_path / "models", delta, projector=a_projector(tmp_path / "p", channels=1728))
    assert list((tmp_path / "models").iterdir()) == []


def test_a_chest_check_of_other_sizes_is_refused(base: Bundle, delta: Path, tmp_path: Path) -> None:
    assert base.chest_check is not None
    with pytest.raises(BundleError, match="made for another encoder"):
        with_encoder(base, tmp_path, delta, chest_check=base.chest_check)


def test_the_same_delta_twice_is_the_same_bundle_and_another_one_another(
    base: Bundle, delta: Path, tmp_path: Path
) -> None:
    one = with_encoder(base, tmp_path, delta)
    assert with_encoder(base, tmp_path, delta).sha256 == one.sha256
    other = with_encoder(base, tmp_path, a_delta(base, tmp_path / "more.safetensors", by=2e-3), "other")
    assert other.files[ENCODER_FILE] != one.files[ENCODER_FILE]


def test_a_delta_remains_noted_when_other_parts_change(base: Bundle, delta: Path, tmp_path: Path) -> None:
    made = with_encoder(base, tmp_path, delta)
    trained = compose_bundle(made, tmp_path, "trained", projector=a_projector(tmp_path / "p"), adapter=None)
    assert (trained.encoder_delta, trained.encoder_options) == (made.encoder_delta, OPTIONS)
    assert encoder_digest(trained) == encoder_digest(made)


def test_a_delta_can_be_made_on_a_tuned_encoder(base: Bundle, delta: Path, tmp_path: Path) -> None:
    made = with_encoder(base, tmp_path, delta)
    with pytest.raises(BundleError, match="made for another encoder"):
        with_encoder(made, tmp_path, delta, "twice")
    again = with_encoder(made, tmp_path, a_delta(made, tmp_path / "second.safetensors"), "again")
    assert state_digest(load_file(again.encoder_weights)) != state_digest(load_file(made.encoder_weights))


def test_a_whole_encoder_keeps_the_options_of_the_base(base: Bundle, delta: Path, tmp_path: Path) -> None:
    tuned = with_encoder(base, tmp_path, delta)
    whole = with_encoder(base, tmp_path, tuned.encoder_weights, "whole")
    assert (whole.encoder_options, whole.encoder_delta) == (base.encoder_options, None)
    assert whole.files[ENCODER_FILE] == tuned.files[ENCODER_FILE]


def test_an_encoder_that_does_not_fit_is_refused(base: Bundle, delta: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="does not fit"):
        with_encoder(base, tmp_path, base.llm / "model.safetensors")
    with pytest.raises(BundleError, match="d1 is a RadDino"):
        with_encoder(base, tmp_path, a_delta(base, tmp_path / "d1", kind="RadDino"))
    with pytest.raises(BundleError, match="it has no 'block99'"):
        with_encoder(base, tmp_path, a_delta(base, tmp_path / "d2", options={"layers": ["block99"]}))
    with pytest.raises(BundleError, match="encoder weights"):
        with_encoder(replace(base, encoder_weights=tmp_path / "gone"), tmp_path, delta)

"""The encoder: robust preprocessing, maps that keep location, and strict loading."""

import inspect
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from xraygpt_core.errors import BundleError, InvalidRequest
from xraygpt_core.model import fetch
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.encoders.efficientnet import (
    EfficientNetLite0,
    EfficientNetLite0Maps,
    fold_norms,
    layer_channels,
    normalise_exposure,
)
from xraygpt_core.model.encoders.encoder import ENCODERS, Encoder, load_encoder
from xraygpt_core.model.encoders.preprocess import read_grey
from xraygpt_core.model.importing.recipes import RECIPES
from xraygpt_core.model.loading import load_strictly


def encoder_of(bundle: Bundle) -> EfficientNetLite0Maps:
    layers = bundle.encoder_options["layers"]
    assert isinstance(layers, list)
    return EfficientNetLite0Maps(bundle.encoder_weights, tuple(layers), 64)


def test_each_layers_map_has_its_channels_and_stride() -> None:
    layers = (*(f"block{i}" for i in range(16)), "head")
    with torch.inference_mode():
        maps = EfficientNetLite0().eval()(torch.zeros(1, 3, 64, 64), layers)
    assert [m.shape[1] for m in maps] == [layer_channels(layer) for layer in layers]
    assert [m.shape[-1] for m in maps] == [32, 16, 16, 8, 8, 4, 4, 4, 4, 4, 4, 2, 2, 2, 2, 2, 2]


def test_folding_the_norms_changes_no_number() -> None:
    torch.manual_seed(0)
    net = EfficientNetLite0().eval()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
            torch.nn.init.normal_(module.running_mean, std=0.2)
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        before = net(images, ("block4", "head"))
        fold_norms(net)
        after = net(images, ("block4", "head"))
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in net.modules())
    for one, two in zip(before, after, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-4)


def test_features_have_one_vector_per_position(tiny: Bundle, noise_png: Callable[[int], bytes]) -> None:
    encoder = encoder_of(tiny)
    features = encoder.encode(torch.stack([encoder.preprocess(noise_png(i)) for i in range(3)]))
    assert features.shape == (3, encoder.positions, encoder.channels) == (3, 4, 112 * 4 + 1280)
    assert features.dtype == torch.float32


def test_location_survives_the_encoder(tiny: Bundle) -> None:
    """A change in one quarter of the picture moves that quarter's vector most."""
    encoder = encoder_of(tiny)
    plain = torch.zeros(1, 3, 64, 64)
    changed = plain.clone()
    changed[:, :, 36:60, 4:28] = 1.0
    moved = (encoder.encode(changed) - encoder.encode(plain)).abs().mean(-1)[0]
    assert int(moved.argmax()) == 2


def test_a_features_row_does_not_depend_on_its_batch(tiny: Bundle, noise_png: Callable[[int], bytes]) -> None:
    encoder = encoder_of(tiny)
    images = torch.stack([encoder.preprocess(noise_png(i)) for i in range(3)])
    torch.testing.assert_close(encoder.encode(images)[1:2], encoder.encode(images[1:2]), rtol=1e-4, atol=1e-4)


def as_png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_picture_is_resized_and_scaled_to_one() -> None:
    grey = read_grey(as_png(np.full((30, 50), 255, dtype=np.uint8)), 16)
    assert grey.shape == (16, 16)
    assert grey.min() == pytest.approx(1.0)


@pytest.mark.parametrize("data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_bytes_that_are_no_picture_are_an_invalid_request(data: bytes) -> None:
    with pytest.raises(InvalidRequest, match="cannot be read"):
        read_grey(data, 16)


def test_a_truncated_picture_is_an_invalid_request() -> None:
    data = as_png(np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8))
    with pytest.raises(InvalidRequest, match="cannot be read"):
        read_grey(data[: len(data) // 2], 16)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_exposure_hardly_changes_what_the_encoder_sees(gamma: float) -> None:
    y, x = np.mgrid[0:64, 0:64] / 63
    grey = (0.1 + 0.6 * (0.5 * y + 0.5 * np.sin(3 * x) ** 2)).astype(np.float32)
    other = (0.2 + 0.5 * grey**gamma).astype(np.float32)
    seen, seen_other = normalise_exposure(grey), normalise_exposure(other)
    assert np.abs(seen - seen_other).mean() < 0.12
    assert np.corrcoef(seen.ravel(), seen_other.ravel())[0, 1] > 0.97


def test_normalising_keeps_the_order_of_brightness() -> None:
    ramp = np.linspace(0.2, 0.7, 4096, dtype=np.float32).reshape(64, 64) ** 2
    seen = normalise_exposure(ramp).ravel()
    assert (np.diff(seen) >= 0).all()
    assert seen.min() >= 0
    assert seen.max() <= 1


def test_a_blank_picture_does_not_divide_by_zero() -> None:
    assert np.isfinite(normalise_exposure(np.full((8, 8), 0.3, dtype=np.float32))).all()


def test_missing_and_unknown_weights_are_named(tiny: Bundle, tmp_path: Path) -> None:
    state = load_file(tiny.encoder_weights)
    state["_new.weight"] = state.pop("_conv_stem.weight")
    save_file(state, tmp_path / "e.safetensors")
    with pytest.raises(BundleError, match=r"missing \['_conv_stem.weight'\], unknown \['_new.weight'\]"):
        EfficientNetLite0Maps(tmp_path / "e.safetensors")


def test_weights_of_another_shape_are_named() -> None:
    with pytest.raises(BundleError, match=r"other shape \['weight'\]"):
        load_strictly(torch.nn.Linear(2, 3), {"weight": torch.zeros(3, 5), "bias": torch.zeros(3)}, "x")


def test_an_unknown_encoder_is_a_bundle_error(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no encoder named 'Oracle'"):
        load_encoder("Oracle", tmp_path, {})


@pytest.mark.parametrize("options", [{"layers": "head"}, {"size": "big"}])
def test_wrong_encoder_options_are_a_bundle_error(tiny: Bundle, options: dict[str, object]) -> None:
    with pytest.raises(BundleError, match="encoder"):
        load_encoder(tiny.encoder, tiny.encoder_weights, options)


@pytest.mark.parametrize("build", ENCODERS, ids=lambda build: build.__name__)
def test_an_encoder_is_importable_and_documented(build: Callable[..., Encoder]) -> None:
    """The demo's encoder is fetched instead of imported."""
    titles = {recipe.build: recipe.title for recipe in RECIPES}
    documented = (Path(__file__).parents[3] / "docs/models.md").read_text()
    if build.__name__ in inspect.getsource(fetch):
        assert f'class = "{build.__name__}"' in documented
    else:
        assert any(word.strip("()") in documented for word in titles[build].split())


def test_an_encoder_that_can_be_imported_can_be_loaded() -> None:
    assert {recipe.build for recipe in RECIPES} <= set(ENCODERS)

"""The encoders of MAIRA-2, LLaVA-Rad and Libra give the numbers of the published code."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from tests.support.layout_shapes import Sizes, drawn, timm_shapes
from tests.support.published_projectors import written_projector
from tests.unit.model.reference.seeded import picture, picture_png, seeded
from tests.unit.model.test_encoders_parity import close, dinov2, fill
from xraygpt_core.errors import BundleError
from xraygpt_core.model.encoders.biomedclip import BiomedClipCxr
from xraygpt_core.model.encoders.encoder import Encoder, feature_shape, load_encoder
from xraygpt_core.model.encoders.raddino import RadDino
from xraygpt_core.model.importing.encoders import convert_encoder
from xraygpt_core.model.importing.recipes import Use

REFERENCE: dict[str, Any] = json.loads((Path(__file__).parent / "reference" / "chest_models.json").read_text())
WHOLE = {"hidden_size": 768, "num_attention_heads": 12}
MAIRA = Use(layer=-1, norm=True, stretched=True)
LIBRA = Use(layer="all", padded=True)


def imported(source: Path, use: Use) -> Encoder:
    read = convert_encoder(source, source.parent / "encoder.safetensors", use=use)
    return load_encoder(read.kind, source.parent / "encoder.safetensors", read.options)


def maira_2(folder: Path, layers: int, side: int, hidden: int) -> None:
    """Encoder and projector against transformers' Dinov2Backbone and four linear maps."""
    from transformers import Dinov2Backbone, Dinov2Config

    sizes = {**WHOLE, "num_hidden_layers": layers, "image_size": side}
    whole = dinov2(folder / "model.safetensors", **sizes)
    more = {"out_features": [f"stage{layers}"], "apply_layernorm": True, "reshape_hidden_states": False}
    backbone = Dinov2Backbone(Dinov2Config(patch_size=14, mlp_ratio=4, **sizes, **more)).eval()
    backbone.load_state_dict(whole.state_dict())
    linear = [nn.Linear(768, hidden), *(nn.Linear(hidden, hidden) for _ in range(3))]
    adapter = nn.Sequential(linear[0], nn.GELU(), linear[1], nn.GELU(), linear[2], nn.GELU(), linear[3])
    fill(adapter, "multi_modal_projector.layers.")
    state = {f"multi_modal_projector.layers.{name}": value for name, value in adapter.state_dict().items()}
    save_file(state, folder / "p.safetensors")
    encoder = imported(folder / "model.safetensors", MAIRA)
    pixels = encoder.preprocess(picture_png(700, 530))[None]
    with torch.inference_mode():
        reference = adapter(backbone(pixels).feature_maps[-1][:, 1:])
        ours = written_projector(folder / "p.safetensors")(encoder.encode(pixels))
    assert ours.shape == (1, (side // 14) ** 2, hidden)
    close(ours, reference)


def test_maira_2_sees_as_its_backbone_and_adapter_do(tmp_path: Path) -> None:
    maira_2(tmp_path, 2, 70, 1024)


@pytest.mark.long
def test_the_whole_of_maira_2_sees_as_its_backbone_and_adapter_do(tmp_path: Path) -> None:
    maira_2(tmp_path, 12, 518, 4096)


def all_layers(folder: Path, layers: int, side: int) -> None:
    whole = dinov2(folder / "model.safetensors", **WHOLE, num_hidden_layers=layers, image_size=side)
    encoder = imported(folder / "model.safetensors", LIBRA)
    pixels = encoder.preprocess(picture_png())[None]
    with torch.inference_mode():
        states = whole(pixels, output_hidden_states=True).hidden_states[1:]
    features = encoder.encode(pixels)
    assert features.shape == (1, *feature_shape(encoder)) == (1, layers, (side // 14) ** 2, 768)
    close(features[0], torch.cat(states)[:, 1:])


def test_libra_is_given_the_patches_of_every_layer_without_the_last_norm(tmp_path: Path) -> None:
    all_layers(tmp_path, 3, 70)


@pytest.mark.long
def test_libra_is_given_all_twelve_layers_at_full_size(tmp_path: Path) -> None:
    all_layers(tmp_path, 12, 518)


def test_llava_like_models_take_a_layer_of_rad_dino_from_the_end(tmp_path: Path) -> None:
    whole = dinov2(tmp_path / "model.safetensors", **WHOLE, num_hidden_layers=3, image_size=42)
    encoder = imported(tmp_path / "model.safetensors", Use(layer=-2))
    pixels = encoder.preprocess(picture_png())[None]
    with torch.inference_mode():
        reference = whole(pixels, output_hidden_states=True).hidden_states[-2][:, 1:]
    close(encoder.encode(pixels), reference)


def biomedclip(path: Path, layers: int, side: int) -> Path:
    """The training checkpoint of open_clip as published, with timm's widths."""
    shapes = timm_shapes(Sizes(width=768, blocks=layers, side=side))
    state = drawn({f"visual.trunk.{name}": shape for name, shape in shapes.items()})
    state |= drawn({"visual.head.proj.weight": (512, 768), "text.proj.0.weight": (8, 8), "logit_scale": ()})
    content = {"epoch": 1, "name": "b", "state_dict": {f"module.{name}": one for name, one in state.items()}}
    torch.save(content, path)
    return path


def test_llava_rad_sees_as_timm_does_before_its_last_block(tmp_path: Path) -> None:
    source = biomedclip(tmp_path / "biomedclipcxr_518_checkpoint.pt", 3, 5)
    read = convert_encoder(source, tmp_path / "e.safetensors")
    encoder = load_encoder(read.kind, tmp_path / "e.safetensors", read.options)
    assert (read.kind, read.options["layers"], read.options["heads"]) == ("BiomedClipCxr", 2, 12)
    features = encoder.encode(torch.from_numpy(seeded("pixels", (1, 3, 70, 70))) * 50)
    close(features[0, :, ::16], REFERENCE["trunk"])
    last = {name for name in read.part.ignored if "blocks.2." in name}
    assert len(last) == 14
    assert set(read.part.ignored) - last == {
        *("visual.trunk.norm.weight", "visual.trunk.norm.bias", "visual.head.proj.weight"),
        *("text.proj.0.weight", "logit_scale", "entry epoch", "entry name"),
    }


@pytest.mark.parametrize("size", REFERENCE["pictures"])
def test_llava_rads_picture_is_open_clips(size: str) -> None:
    encoder = BiomedClipCxr(None, width=32, layers=1, heads=1, inner=32)
    pixels = encoder.preprocess(picture_png(*map(int, size.split("x"))))
    assert pixels.shape == (3, 518, 518)
    close(pixels[1].diagonal()[::37], REFERENCE["pictures"][size]["diagonal"])
    assert pixels.double().sum((1, 2)).tolist() == pytest.approx(REFERENCE["pictures"][size]["sums"], abs=0.05)


def published_picture(image: Image.Image) -> Tensor:
    """preprocessor_config.json of microsoft/rad-dino and microsoft/maira-2, read by transformers' own processor."""
    from transformers import BitImageProcessorPil

    processor = BitImageProcessorPil(
        size={"shortest_edge": 518},
        crop_size={"height": 518, "width": 518},
        resample=3,
        image_mean=[0.5307] * 3,
        image_std=[0.2583] * 3,
        do_convert_rgb=True,
    )
    pixels: Tensor = processor(image, return_tensors="pt")["pixel_values"][0]
    return pixels


@pytest.mark.parametrize(("width", "height"), [(700, 530), (530, 701)])
@pytest.mark.parametrize("levels", [(0, 255), (40, 171)])
def test_maira_2s_picture_is_stretched_as_its_processor_does(width: int, height: int, levels: tuple[int, int]) -> None:
    low, high = levels
    grey = np.clip(np.asarray(picture(width, height)), low, high)
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "PNG")
    wide = grey.astype(float)
    wide -= wide.min()
    wide /= wide.max()
    wide *= 255
    theirs = published_picture(Image.fromarray(wide.astype(np.uint8)))
    encoder = RadDino(None, width=32, layers=1, heads=4, inner=128, stretched=True)
    close(encoder.preprocess(buffer.getvalue()), theirs)


def test_a_picture_of_one_grey_is_black_when_stretched() -> None:
    buffer = io.BytesIO()
    Image.new("L", (530, 530), 90).save(buffer, "PNG")
    encoder = RadDino(None, width=32, layers=1, heads=4, inner=128, stretched=True)
    close(encoder.preprocess(buffer.getvalue()), torch.full((3, 518, 518), -0.5307 / 0.2583))


@pytest.mark.parametrize(("width", "height"), [(700, 530), (530, 701), (600, 600)])
def test_libras_picture_is_padded_with_the_mean_to_a_square(width: int, height: int) -> None:
    side = max(width, height)
    square = Image.new("RGB", (side, side), (135, 135, 135))
    square.paste(picture(width, height).convert("RGB"), ((side - width) // 2, (side - height) // 2))
    encoder = RadDino(None, width=32, layers=1, heads=4, inner=128, padded=True)
    close(encoder.preprocess(picture_png(width, height)), published_picture(square))


@pytest.mark.parametrize(
    ("use", "says"),
    [
        (Use(layer=-4), "the encoder has 3 layers: there is none at -4"),
        (Use(layer="all"), "BiomedCLIP-CXR is read as LLaVA-Rad uses it"),
    ],
)
def test_a_use_that_the_encoder_has_not_is_refused(tmp_path: Path, use: Use, says: str) -> None:
    source = biomedclip(tmp_path / "b.pt", 3, 3)
    with pytest.raises(BundleError, match=says):
        imported(source, use)


def test_an_encoder_with_all_its_layers_is_not_cut() -> None:
    with pytest.raises(BundleError, match="gives all its layers has no until"):
        RadDino(None, width=32, layers=2, heads=4, inner=128, until=1, all_layers=True)


def test_heads_that_do_not_share_an_encoders_channels_are_refused() -> None:
    with pytest.raises(BundleError, match="5 heads do not share 32 channels"):
        BiomedClipCxr(None, width=32, layers=1, heads=5, inner=32)

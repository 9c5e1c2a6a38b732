"""The published encoders give the numbers of the reference code, from files in the published key layout."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from tests.unit.model.reference.seeded import picture_png, seeded, seeded_state
from xraygpt_core.model.encoders.encoder import Encoder, load_encoder
from xraygpt_core.model.importing.encoders import ReadEncoder, convert_encoder

REFERENCE: dict[str, Any] = json.loads((Path(__file__).parent / "reference" / "medclip.json").read_text())
# What stands in a MedCLIP file beside the vision model.
OTHERS = {
    "logit_scale": (),
    "text_model.model.embeddings.word_embeddings.weight": (50, 8),
    "text_model.projection_head.weight": (512, 8),
}


def medclip_file(path: Path, shapes: Mapping[str, Sequence[int]]) -> Path:
    """A ``pytorch_model.bin`` as MedCLIP publishes it, with seeded numbers."""
    state: dict[str, Tensor] = {}
    for name, shape in {**shapes, **OTHERS}.items():
        if name.endswith(("relative_position_index", "num_batches_tracked")):
            state[name] = torch.zeros(tuple(shape), dtype=torch.long)
        else:
            state[name] = torch.from_numpy(seeded(name, shape))
    state["text_model.model.embeddings.position_ids"] = torch.arange(512)[None]
    torch.save(state, path)
    return path


def imported(source: Path, folder: Path, features: int | None = None) -> tuple[ReadEncoder, Encoder]:
    read = convert_encoder(source, folder / "encoder.safetensors", features)
    return read, load_encoder(read.kind, folder / "encoder.safetensors", read.options)


def close(ours: Tensor, reference: Any) -> None:
    torch.testing.assert_close(ours, torch.as_tensor(reference), rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def swin_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return medclip_file(tmp_path_factory.mktemp("swin") / "pytorch_model.bin", REFERENCE["swin"]["shapes"])


def test_medclips_pooled_vector_is_its_own_codes(swin_file: Path, tmp_path: Path) -> None:
    read, encoder = imported(swin_file, tmp_path, 512)
    assert (read.kind, read.positions, read.channels) == ("MedClipSwin", 1, 512)
    features = encoder.encode(encoder.preprocess(picture_png())[None])
    assert features.shape == (1, 1, 512)
    close(features[0, 0], REFERENCE["swin"]["pooled"])


def test_medclips_map_is_its_own_codes(swin_file: Path, tmp_path: Path) -> None:
    read, encoder = imported(swin_file, tmp_path, 768)
    features = encoder.encode(encoder.preprocess(picture_png())[None])
    assert features.shape == (1, 49, 768)
    close(features[0, :, ::64], REFERENCE["swin"]["map"])
    assert "vision_model.projection_head.weight" in read.part.ignored


def test_every_tensor_of_the_published_file_is_used_or_named(swin_file: Path, tmp_path: Path) -> None:
    read, _ = imported(swin_file, tmp_path, 512)
    assert read.part.tensors == 220  # 219 of the Swin transformer and the head
    assert read.part.renamed == 12 * 13  # ten of each block's layers moved, three of them twice (weight and bias)
    buffers = [name for name in read.part.ignored if name.endswith("relative_position_index")]
    assert len(buffers) == 12
    assert set(read.part.ignored) - set(buffers) == {*OTHERS, "text_model.model.embeddings.position_ids"}


def test_medclips_resnet_is_its_own_codes(tmp_path: Path) -> None:
    source = medclip_file(tmp_path / "pytorch_model.bin", REFERENCE["resnet"]["shapes"])
    read, encoder = imported(source, tmp_path)
    assert (read.kind, read.positions, read.channels) == ("MedClipResNet", 1, 512)
    close(encoder.encode(encoder.preprocess(picture_png())[None])[0, 0], REFERENCE["resnet"]["pooled"])


@pytest.mark.parametrize(("width", "height"), [(300, 260), (260, 300), (180, 120)])
def test_medclips_picture_is_its_own_feature_extractors(
    swin_file: Path, tmp_path: Path, width: int, height: int
) -> None:
    _, encoder = imported(swin_file, tmp_path)
    pixels = encoder.preprocess(picture_png(width, height))
    reference = REFERENCE[f"picture {width}x{height}"]
    assert pixels.shape == (3, 224, 224)
    close(pixels[1].diagonal()[::7].double(), np.array(reference["diagonal"]))
    assert float(pixels[0].double().sum()) == pytest.approx(reference["sum"], abs=0.05)


def fill(module: nn.Module, prefix: str = "") -> None:
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            tensor.copy_(torch.from_numpy(seeded(prefix + name, tensor.shape)))


def dinov2(path: Path, **sizes: Any) -> nn.Module:
    """transformers' Dinov2Model with seeded weights, and its file under the published (transformers 4) names."""
    from transformers import Dinov2Config, Dinov2Model

    model: nn.Module = Dinov2Model(Dinov2Config(patch_size=14, mlp_ratio=4, **sizes)).eval()
    fill(model)
    old = {}
    for name, tensor in model.state_dict().items():
        for letter, word in (("q", "query"), ("k", "key"), ("v", "value")):
            name = name.replace(f"attention.{letter}_proj", f"attention.attention.{word}")
        old[name.replace("attention.o_proj", "attention.output.dense")] = tensor.contiguous()
    save_file(old, path, metadata={"format": "pt"})
    config = {"num_attention_heads": sizes["num_attention_heads"], "layer_norm_eps": 1e-6}
    (path.parent / "config.json").write_text(json.dumps(config))
    return model


def check_rad_dino(folder: Path, patches: int, **sizes: Any) -> None:
    model = dinov2(folder / "model.safetensors", **sizes)
    read, encoder = imported(folder / "model.safetensors", folder)
    assert read.kind == "RadDino"
    assert read.part.renamed == sizes["num_hidden_layers"] * 8
    pixels = encoder.preprocess(picture_png(700, 530))[None]
    with torch.inference_mode():
        reference = model(pixels).last_hidden_state[:, 1:]
    features = encoder.encode(pixels)
    assert features.shape == (1, patches, sizes["hidden_size"])
    close(features, reference)


def test_a_small_rad_dino_is_transformers_dinov2(tmp_path: Path) -> None:
    check_rad_dino(tmp_path, 9, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, image_size=42)


@pytest.mark.long
def test_rad_dino_is_transformers_dinov2(tmp_path: Path) -> None:
    check_rad_dino(tmp_path, 1369, hidden_size=768, num_hidden_layers=12, num_attention_heads=12, image_size=518)


def test_rad_dinos_picture_is_its_published_processors(tmp_path: Path) -> None:
    """preprocessor_config.json of microsoft/rad-dino, read by transformers' own processor."""
    import io

    from PIL import Image
    from transformers import BitImageProcessorPil

    from xraygpt_core.model.encoders.raddino import RadDino

    processor = BitImageProcessorPil(
        size={"shortest_edge": 518},
        crop_size={"height": 518, "width": 518},
        resample=3,
        image_mean=[0.5307] * 3,
        image_std=[0.2583] * 3,
        do_convert_rgb=True,
    )
    encoder = RadDino(None, width=32, layers=1, heads=4, inner=128)
    for width, height in ((700, 530), (530, 701), (300, 260), (518, 518)):
        png = picture_png(width, height)
        theirs = processor(Image.open(io.BytesIO(png)), return_tensors="pt")["pixel_values"][0]
        close(encoder.preprocess(png), theirs)


def blip2(folder: Path, vision: dict[str, Any], query: dict[str, Any]) -> nn.Module:
    """transformers' whole Blip2Model with seeded weights, and its file in the format of ``Salesforce/blip2-*``."""
    from transformers import Blip2Config, Blip2Model, OPTConfig

    text = OPTConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=1, ffn_dim=16, num_attention_heads=2, word_embed_proj_dim=16
    )
    config = Blip2Config(vision_config=vision, qformer_config=query, text_config=text.to_dict())
    model: nn.Module = Blip2Model(config).eval()
    fill(model)
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items() if "lm_head" not in name}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    parts = {"vision_config": vision, "qformer_config": query}
    (folder / "config.json").write_text(json.dumps(parts))
    return model


def check_blip2(folder: Path, vision: dict[str, Any], query: dict[str, Any]) -> None:
    model = blip2(folder, vision, query)
    read, encoder = imported(folder, folder)
    assert (read.kind, read.positions, read.channels) == ("Blip2Encoder", 32, query["hidden_size"])
    assert any(name.startswith("language_model.") for name in read.part.ignored)
    pixels = encoder.preprocess(picture_png())[None]
    with torch.inference_mode():
        reference = model.get_qformer_features(pixel_values=pixels)
    reference = getattr(reference, "last_hidden_state", reference)
    close(encoder.encode(pixels), reference)


SMALL_VIT = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 56,
}
SMALL_QUERY = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "encoder_hidden_size": 32,
}


def test_a_small_q_former_is_transformers_blip2(tmp_path: Path) -> None:
    check_blip2(tmp_path, SMALL_VIT, SMALL_QUERY)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_the_q_former_is_transformers_blip2(tmp_path: Path) -> None:
    vision = {"hidden_size": 1408, "intermediate_size": 6144, "num_hidden_layers": 39, "num_attention_heads": 16}
    query = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
    check_blip2(tmp_path, vision, {**query, "encoder_hidden_size": 1408})


def test_without_q_former_four_neighbouring_patches_are_one_token(tmp_path: Path) -> None:
    model = blip2(tmp_path, SMALL_VIT, SMALL_QUERY)
    read, encoder = imported(tmp_path, tmp_path, 4 * 32)
    assert read.options["mode"] == "patches"
    pixels = encoder.preprocess(picture_png())[None]
    with torch.inference_mode():
        patches = model.vision_model(pixels).last_hidden_state[0, 1:]
    features = encoder.encode(pixels)
    assert features.shape == (1, 4, 128)
    close(features[0, 1], torch.cat([patches[4], patches[5], patches[6], patches[7]]))


def test_xraygpts_picture_is_resized_without_its_aspect_and_normalised_as_clips(tmp_path: Path) -> None:
    import io

    from PIL import Image

    from xraygpt_core.model.encoders.blip2 import Blip2Encoder

    encoder = Blip2Encoder(None, width=32, layers=1, heads=4, inner=32, query_layers=2, query_width=16, query_heads=2)
    png = picture_png(640, 300)
    rgb = np.asarray(Image.open(io.BytesIO(png)).convert("RGB").resize((224, 224), Image.BICUBIC), dtype=np.float64)
    mean, std = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
    reference = ((rgb / 255 - mean) / std).transpose(2, 0, 1)
    close(encoder.preprocess(png).double(), reference)


def test_seeded_numbers_depend_on_the_name_alone() -> None:
    one, other = seeded_state({"a.weight": (2, 3), "b.weight": (2, 3)}).values()
    assert not np.allclose(one, other)
    assert np.array_equal(one, seeded("a.weight", (2, 3)))

"""Published encoders: their names, their shards, and each in a bundle that summarises."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support.published_parts import Parts, quiet, write_checkpoint, write_medclip
from xraygpt_core.errors import BundleError
from xraygpt_core.model.importing.importer import ImportRequest, import_bundle
from xraygpt_core.model.projector import MlpProjector
from xraygpt_core.model.smoke_test import summarise_once


def test_the_map_is_taken_where_the_projector_takes_maps(tmp_path: Path, parts: Parts) -> None:
    projector = write_checkpoint(tmp_path / "p.pth", takes=96)
    wanted = ImportRequest(parts.encoder, projector, parts.llm, template="vicuna-v1.1")
    bundle, (encoder, _, _) = import_bundle(tmp_path / "models", "map", wanted, quiet)
    assert bundle.encoder_options["mode"] == "map"
    assert encoder.shapes == "49 x 96 features at 224 pixels"
    assert bundle.stop == ("</s>",)


def test_a_file_with_todays_names_needs_no_renaming(tmp_path: Path, parts: Parts) -> None:
    from xraygpt_core.model.importing.encoders import convert_encoder

    convert_encoder(parts.encoder, tmp_path / "once.safetensors")
    state = {f"vision_model.{name}": value for name, value in load_file(tmp_path / "once.safetensors").items()}
    save_file(state, tmp_path / "new.safetensors")
    read = convert_encoder(tmp_path / "new.safetensors", tmp_path / "twice.safetensors")
    assert read.part.renamed == 0
    once, twice = load_file(tmp_path / "once.safetensors"), load_file(tmp_path / "twice.safetensors")
    assert all(torch.equal(once[name], twice[name]) for name in once.keys() | twice.keys())


@pytest.mark.parametrize("place", range(0, 60, 7))
def test_one_flipped_key_fails_and_is_named(tmp_path: Path, parts: Parts, place: int) -> None:
    from xraygpt_core.model.importing.encoders import convert_encoder

    state = torch.load(parts.encoder, weights_only=True)
    used = [name for name in state if name.startswith("vision_model.") and not name.endswith("position_index")]
    name = used[place % len(used)]
    state[name.replace("vision_model.", "vision_model.x", 1)] = state.pop(name)
    torch.save(state, tmp_path / "flipped.bin")
    with pytest.raises(BundleError) as caught:
        convert_encoder(tmp_path / "flipped.bin", tmp_path / "e.safetensors")
    assert name.split(".")[-1] in str(caught.value)
    assert name in str(caught.value)
    assert not (tmp_path / "e.safetensors").exists()


def test_a_narrow_resnet_comes_out_of_its_file(tmp_path: Path) -> None:
    from xraygpt_core.model.encoders.medclip import MedClipResNet
    from xraygpt_core.model.importing.encoders import convert_encoder

    model = MedClipResNet(None, depths=(1, 1, 1, 1), width=4, projected=6)
    state = {f"vision_model.{name}": torch.ones_like(value) for name, value in model.state_dict().items()}
    torch.save(state, tmp_path / "pytorch_model.bin")
    read = convert_encoder(tmp_path / "pytorch_model.bin", tmp_path / "e.safetensors")
    assert read.options == {"depths": [1, 1, 1, 1], "width": 4, "projected": 6, "size": 224}


def test_a_published_name_is_found_wherever_its_folder_is(tmp_path: Path) -> None:
    write_medclip(tmp_path / "medclip-vit" / "pytorch_model.bin")
    from xraygpt_core.model.importing.encoders import convert_encoder

    assert convert_encoder(tmp_path / "medclip-vit", tmp_path / "e.safetensors").kind == "MedClipSwin"


def test_shards_of_a_language_model_nobody_needs_may_be_absent(tmp_path: Path, parts: Parts) -> None:
    from xraygpt_core.model.importing.encoders import convert_encoder

    state = torch.load(parts.encoder, weights_only=True)
    needed = {name: value for name, value in state.items() if not name.startswith("text_model.")}
    torch.save(needed, tmp_path / "pytorch_model-00001-of-00002.bin")
    weight_map = dict.fromkeys(needed, "pytorch_model-00001-of-00002.bin")
    weight_map |= dict.fromkeys(state.keys() - needed.keys(), "pytorch_model-00002-of-00002.bin")
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    read = convert_encoder(tmp_path, tmp_path / "e.safetensors")
    assert set(read.part.ignored) >= state.keys() - needed.keys()
    weight_map["logit_scale"] = "pytorch_model-00002-of-00002.bin"
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(BundleError, match=r"pytorch_model-00002-of-00002\.bin missing"):
        convert_encoder(tmp_path, tmp_path / "e.safetensors")


def encoder_of(kind: str, folder: Path) -> tuple[Path, int]:
    """A narrow published encoder, and how many numbers a token it gives."""
    from tests.unit.model.test_encoders_parity import SMALL_QUERY, SMALL_VIT, blip2, dinov2

    folder.mkdir()
    if kind == "RadDino":
        dinov2(folder / "model.safetensors", hidden_size=32, num_hidden_layers=2, num_attention_heads=4, image_size=42)
        return folder, 32
    blip2(folder, SMALL_VIT, SMALL_QUERY)
    return folder, 16 if kind == "queries" else 128


@pytest.mark.parametrize(
    ("kind", "template", "tokens"),
    [("RadDino", "maira-1", 9), ("queries", "xraygpt-demo", 32), ("patches", "vicuna-v0", 4)],
)
def test_each_published_encoder_goes_the_whole_way(
    tmp_path: Path, parts: Parts, noise_png: Callable[[int], bytes], kind: str, template: str, tokens: int
) -> None:
    """MAIRA-1's shape with its MLP, XrayGPT's public code, and MiniGPT-4 without a Q-Former."""
    encoder, width = encoder_of(kind, tmp_path / "encoder")
    projector = write_checkpoint(tmp_path / "p.pth", takes=width)
    if kind == "RadDino":
        torch.manual_seed(0)
        mlp = MlpProjector((32, 24, 24, 24, 32))
        state = {name.replace("layers.", "mm_projector."): 5 * value for name, value in mlp.state_dict().items()}
        projector = tmp_path / "p.safetensors"
        save_file(state, projector)
    wanted = ImportRequest(encoder, projector, parts.llm, template=template, max_new_tokens=5, dtype="float32")
    bundle, (read, _, _) = import_bundle(tmp_path / "models", "b", wanted, quiet)
    assert read.shapes.startswith(f"{tokens} x {width} features")
    one, two = (summarise_once(bundle, noise_png(seed), device="cpu") for seed in (1, 2))
    assert one.template == template
    assert one.text != two.text

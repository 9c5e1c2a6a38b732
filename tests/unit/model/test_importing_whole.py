"""MAIRA-2, Libra and LLaVA-Rad become bundles from the folders that they are published as."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig

from tests.support.layout_files import write_rad_dino
from tests.support.published_layouts import MAIRA_TOKENS, write_libra, write_maira2
from tests.support.published_parts import REFERENCE, VOCABULARY, Parts, quiet
from tests.support.whole_models import LAYOUTS, imported, write_all_of_libra_3b
from xraygpt_core.errors import BundleError
from xraygpt_core.model.bundle import verify
from xraygpt_core.model.importing import shards
from xraygpt_core.model.importing.importer import ImportRequest, import_bundle
from xraygpt_core.model.importing.recipes import Use
from xraygpt_core.model.importing.release import check_downloads, choose, look
from xraygpt_core.model.importing.tensors import TensorFiles
from xraygpt_core.model.llm import load_llm
from xraygpt_core.model.projector import TemporalProjector, load_projector
from xraygpt_core.model.smoke_test import phantom_png, summarise_once
from xraygpt_core.model.summariser import load
from xraygpt_core.model.vllm.export import export_llm


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_published_folder_becomes_a_bundle_that_serves_and_nothing_else_is_left(tmp_path: Path, layout: str) -> None:
    LAYOUTS[layout](tmp_path / "downloads")
    bundle, parts = imported(tmp_path / "downloads", tmp_path / "models")
    verify(bundle)
    assert summarise_once(bundle, phantom_png(), dtype="float32").tokens > 0
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["made"]
    assert [part.part for part in parts] == ["encoder", "projector", "llm"]


@pytest.mark.parametrize(
    ("layout", "template", "images", "encoder", "projector"),
    [
        ("maira-2", "maira-2", ["frontal", "lateral", "prior"], ("RadDino", {"stretched": True}), "MlpProjector"),
        ("llava-rad", "llava-rad", None, ("BiomedClipCxr", {"layers": 1}), "MlpProjector"),
        (
            "libra",
            "libra",
            ["frontal", "prior"],
            ("RadDino", {"all_layers": True, "padded": True}),
            "TemporalProjector",
        ),
    ],
)
def test_a_bundle_says_what_its_model_reads_and_how(
    tmp_path: Path,
    layout: str,
    template: str,
    images: list[str] | None,
    encoder: tuple[str, dict[str, Any]],
    projector: str,
) -> None:
    import tomllib

    LAYOUTS[layout](tmp_path / "downloads")
    assert choose(look(tmp_path / "downloads"), {}).template == template
    bundle, _ = imported(tmp_path / "downloads", tmp_path / "models")
    tables = tomllib.loads((bundle.path / "bundle.toml").read_text())
    assert tables["prompt"].get("images") == images
    assert "findings" in bundle.question
    assert (bundle.encoder, bundle.projector) == (encoder[0], projector)
    assert encoder[1].items() <= bundle.encoder_options.items()


def test_every_tensor_of_a_whole_model_is_used_or_named(tmp_path: Path) -> None:
    folder = write_maira2(tmp_path / "downloads")
    _, parts = imported(folder, tmp_path / "models")
    assert sum(part.tensors for part in parts) == len(list(TensorFiles(folder)))
    assert [name for part in parts for name in part.ignored] == []


def test_the_weights_of_maira_2_are_those_of_its_shards(tmp_path: Path) -> None:
    folder = write_maira2(tmp_path / "downloads")
    bundle, _ = imported(folder, tmp_path / "models")
    theirs, ours = TensorFiles(folder), TensorFiles(bundle.llm)
    for name in ours:
        assert torch.equal(ours.get(name), theirs.get(f"language_model.{name}"))
    assert "lm_head.weight" in ours


def test_the_language_model_is_written_in_the_precision_that_is_asked_for(tmp_path: Path) -> None:
    folder = write_maira2(tmp_path / "downloads")
    bundle, _ = imported(folder, tmp_path / "models", ImportRequest(Path(), Path(), Path(), dtype="bfloat16"))
    ours = TensorFiles(bundle.llm)
    name = "model.layers.0.mlp.up_proj.weight"
    assert torch.equal(ours.get(name), TensorFiles(folder).get(f"language_model.{name}").bfloat16())


def test_maira_2_may_be_as_long_as_its_stretched_positions(tmp_path: Path) -> None:
    bundle, _ = imported(write_maira2(tmp_path / "downloads"), tmp_path / "models")
    llm = load_llm(bundle.llm, None, torch.device("cpu"), torch.float32)
    assert llm.context == 6144
    usual = 10000.0 ** (-torch.arange(0, 8, 2) / 8)
    torch.testing.assert_close(llm.model.model.rotary_emb.inv_freq, usual / 1.5)


def test_a_vllm_server_gets_maira_2s_positions_unstretched_because_it_stretches_them_itself(tmp_path: Path) -> None:
    """``get_and_verify_max_len`` of vLLM multiplies by the factor, as our engine does."""
    bundle, _ = imported(write_maira2(tmp_path / "downloads"), tmp_path / "models")
    export_llm(bundle, tmp_path / "exported", "float32")
    for folder in (bundle.llm, tmp_path / "exported"):
        config = AutoConfig.from_pretrained(folder)
        assert (config.max_position_embeddings, config.rope_parameters["factor"]) == (4096, 1.5)


def test_the_load_check_counts_with_positions_that_are_stretched_once(tmp_path: Path) -> None:
    bundle, _ = imported(write_maira2(tmp_path / "downloads"), tmp_path / "models")
    decoding = replace(bundle.decoding, max_new_tokens=6144)
    with pytest.raises(BundleError, match="do not fit into the LLM's 6144"):
        load(replace(bundle, decoding=decoding), "cpu", torch.float32)


def with_legacy(folder: Path, legacy: bool | None) -> None:
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config if legacy is None else config | {"legacy": legacy}))


@pytest.mark.parametrize(("legacy", "way"), [(None, "legacy"), (True, "legacy"), (False, "new")])
@pytest.mark.parametrize(
    ("layout", "folder"),
    [("llava-rad", "vicuna-7b-v1.5"), ("libra", "libra-v1.0-7b")],
)
def test_follow_up_questions_are_tokenised_in_the_way_that_the_tokenizers_own_file_says(
    tmp_path: Path, layout: str, folder: str, legacy: bool | None, way: str
) -> None:
    LAYOUTS[layout](tmp_path / "downloads")
    with_legacy(tmp_path / "downloads" / folder, legacy)
    bundle, _ = imported(tmp_path / "downloads", tmp_path / "models")
    tokenizer = load_llm(bundle.llm, None, torch.device("cpu"), torch.float32).tokenizer
    for entry in json.loads((REFERENCE / "legacy_texts.json").read_text()):
        assert tokenizer.encode(entry["text"], add_special_tokens=False) == entry[way], entry["text"]


def test_sizes_that_equal_llamas_usual_ones_may_be_left_out_of_a_nested_configuration(tmp_path: Path) -> None:
    from xraygpt_core.model.importing.layouts import MAIRA_2, llm_config

    made = llm_config(MAIRA_2, {"text_config": {"model_type": "llama", "vocab_size": 32207}})
    sizes = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size")
    assert [made[name] for name in sizes] == [4096, 32, 32, 11008, 32207]


def with_spoken_boxes(folder: Path) -> None:
    """``added_tokens_decoder`` as transformers writes it: boxes are text, places of images are not."""
    path = folder / "tokenizer_config.json"
    entries = {
        str(VOCABULARY + place): {"content": text, "special": text.startswith("<image")}
        for place, text in enumerate(MAIRA_TOKENS)
    }
    path.write_text(json.dumps(json.loads(path.read_text()) | {"added_tokens_decoder": entries}))


def test_the_boxes_of_maira_2_are_tokens_of_their_own_and_stay_in_its_text(tmp_path: Path) -> None:
    folder = write_maira2(tmp_path / "downloads")
    with_spoken_boxes(folder)
    bundle, _ = imported(folder, tmp_path / "models")
    llm = load_llm(bundle.llm, None, torch.device("cpu"), torch.float32)
    ids = llm.tokenizer.encode("<obj>a<box><x1><y99></box></obj>", add_special_tokens=False)
    assert {VOCABULARY, VOCABULARY + 1, VOCABULARY + 2, VOCABULARY + 5, VOCABULARY + 203} <= set(ids)
    said = llm.tokenizer.decode([*ids, VOCABULARY + MAIRA_TOKENS.index("<image>")], skip_special_tokens=True)
    assert said.replace(" ", "") == "<obj>a<box><x1><y99></box></obj>"
    assert len(llm.model.get_input_embeddings().weight) == len(llm.tokenizer)


def test_a_tokenizer_with_more_tokens_than_the_embedding_has_rows_is_refused(tmp_path: Path) -> None:
    folder = write_maira2(tmp_path / "downloads")
    added = json.loads((folder / "added_tokens.json").read_text())
    added["<one more>"] = VOCABULARY + len(added)
    (folder / "added_tokens.json").write_text(json.dumps(added))
    with pytest.raises(BundleError, match=r"has ids up to 907, its embedding 907 rows: they belong to two models"):
        imported(folder, tmp_path / "models")


def test_libra_on_llama_3_is_asked_in_that_models_turns(tmp_path: Path) -> None:
    write_all_of_libra_3b(tmp_path)
    assert choose(look(tmp_path), {}).template == "libra-llama-3"


def test_llama_3_ends_with_any_of_its_end_tokens(tmp_path: Path) -> None:
    write_all_of_libra_3b(tmp_path / "downloads")
    bundle, _ = imported(tmp_path / "downloads", tmp_path / "models")
    llm = load_llm(bundle.llm, None, torch.device("cpu"), torch.float32)
    assert [llm.tokenizer.convert_ids_to_tokens(end) for end in llm.ends] == ["<|end_of_text|>", "<|eot_id|>"]


def test_the_encoder_inside_a_libra_folder_goes_before_one_beside_it(tmp_path: Path) -> None:
    folder = write_libra(tmp_path / "downloads")
    rad_dino = write_rad_dino(tmp_path / "downloads")
    state = load_file(rad_dino / "model.safetensors")
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    inside = {f"model.vision_tower.vision_tower.{name}": 2 * value for name, value in state.items()}
    save_file(inside, folder / "tower.safetensors")
    index["weight_map"] |= dict.fromkeys(inside, "tower.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    bundle, parts = imported(tmp_path / "downloads", tmp_path / "models")
    token = load_file(bundle.encoder_weights)["model.embeddings.cls_token"]
    assert torch.equal(token, 2 * state["embeddings.cls_token"])
    assert parts[0].ignored == ["layernorm.bias", "layernorm.weight"]


def test_a_copy_of_maira_2_in_libras_format_takes_the_normed_layer_of_one_film() -> None:
    from xraygpt_core.model.importing.layouts import LIBRA, images_of, use_of

    config = {"mm_projector_type": "mlp4x_gelu", "mm_vision_select_layer": -1, "use_maira_feature_norm": True}
    assert use_of(LIBRA, config) == Use(layer=-1, norm=True)
    assert images_of(LIBRA, config) == ()
    assert use_of(LIBRA, config | {"use_maira_feature_norm": False, "image_aspect_ratio": "pad"}) == Use(
        -1, padded=True
    )


def test_libras_connector_alone_gets_all_layers_and_the_heads_of_its_language_model(
    tmp_path: Path, parts: Parts
) -> None:
    folder, encoder = write_libra(tmp_path), write_rad_dino(tmp_path)
    wanted = ImportRequest(encoder, folder / "mm_tac_projector.bin", parts.llm, template="maira-1", max_new_tokens=3)
    bundle, _ = import_bundle(tmp_path / "models", "loose", wanted, quiet)
    assert (bundle.encoder_options["all_layers"], bundle.encoder_options["padded"]) == (True, True)
    assert bundle.projector_weights is not None
    projector = load_projector("TemporalProjector", bundle.projector_weights)
    assert isinstance(projector, TemporalProjector)
    assert projector.heads == 4


def test_every_shard_of_a_whole_model_is_compared_with_its_hash(tmp_path: Path) -> None:
    folder = write_maira2(tmp_path)
    chosen = choose(look(folder), {})
    assert len(check_downloads(chosen, str).unknown) == 6
    shard = folder / "model-00003-of-00006.safetensors"
    (folder / "SHA256SUMS").write_text(f"{'0' * 64}  {shard.name}\n")
    with pytest.raises(BundleError, match=r"model-00003-of-00006\.safetensors is not the file its download says"):
        check_downloads(chosen, str)


def test_a_large_model_is_written_in_pieces_and_read_back_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "_PIECE_BYTES", 20_000)
    folder = write_maira2(tmp_path / "downloads")
    bundle, _ = imported(folder, tmp_path / "models")
    assert len(list(bundle.llm.glob("*.safetensors"))) > 5
    llm = load_llm(bundle.llm, None, torch.device("cpu"), torch.float32)
    head = TensorFiles(folder).get("language_model.lm_head.weight")
    assert torch.equal(llm.model.lm_head.weight, head)

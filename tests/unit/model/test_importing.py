"""Importing published files: what is found, renamed, ignored and linked, and that nothing is lost on the way."""

import json
import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.published_parts import Parts, llama_state, write_checkpoint, write_llama, write_medclip, write_parts
from xraygpt_core.errors import BundleError
from xraygpt_core.model.bundle import Bundle, load_bundle, verify
from xraygpt_core.model.convert import gguf_hidden
from xraygpt_core.model.engine.engine import Engine
from xraygpt_core.model.engine.requests import SummaryRequest
from xraygpt_core.model.importing.importer import Wanted, import_bundle
from xraygpt_core.model.importing.projector import read_projector
from xraygpt_core.model.importing.report import Part
from xraygpt_core.model.llm import load_base, load_llm
from xraygpt_core.model.projector import MapProjector, MapSizes, MlpProjector, load_projector, save_projector
from xraygpt_core.model.prompt import QUESTIONS
from xraygpt_core.model.trial import summarise_once

CPU = torch.device("cpu")


def quiet(done: int, total: int, words: str) -> None:
    assert 0 <= done <= total
    assert words


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    return write_parts(tmp_path_factory.mktemp("downloads"))


@pytest.fixture(scope="module")
def imported(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, list[Part]]:
    models = tmp_path_factory.mktemp("models")
    wanted = Wanted(parts.encoder, parts.projector, parts.llm, max_new_tokens=6, dtype="float32")
    return import_bundle(models, "narrow", wanted, quiet)


def test_what_is_found_is_said(imported: tuple[Bundle, list[Part]]) -> None:
    encoder, projector, llm = imported[1]
    assert (encoder.found, encoder.shapes) == ("MedCLIP ViT (Swin), pooled", "1 x 20 features at 224 pixels")
    assert (projector.shapes, projector.tensors) == ("20 -> 32", 2)
    assert llm.found == "LLaMA, 2 layers"
    assert llm.shapes.startswith("hidden 32, 700 tokens")
    assert "SentencePiece tokenizer.model with 700 tokens" in llm.notes
    assert [note for note in llm.notes if "converted to" in note] == [
        "pytorch_model-00001-of-00002.bin converted to safetensors",
        "pytorch_model-00002-of-00002.bin converted to safetensors",
    ]
    assert all(line.startswith(f"{part.part}: ") for part in imported[1] for line in part.lines())


def test_what_is_ignored_is_named(imported: tuple[Bundle, list[Part]]) -> None:
    encoder, projector, llm = imported[1]
    assert {"logit_scale", "text_model.projection_head.weight"} < set(encoder.ignored)
    assert projector.ignored == [
        "Qformer.bert.embeddings.position_ids",
        "llama_model.model.layers.0.self_attn.rotary_emb.inv_freq",
        "entry config",
        "entry epoch",
        "entry optimizer",
        "entry scaler",
    ]
    assert llm.ignored == [f"model.layers.{layer}.self_attn.rotary_emb.inv_freq" for layer in range(2)]


def test_the_bundle_says_what_it_is(imported: tuple[Bundle, list[Part]]) -> None:
    bundle = imported[0]
    assert (bundle.encoder, bundle.projector, bundle.template) == ("MedClipSwin", "LinearProjector", "xraygpt-code")
    assert bundle.encoder_options["depths"] == [1, 1, 2, 1]
    assert (bundle.question, bundle.stop, bundle.dtype) == (QUESTIONS[0], ("###",), "float32")
    assert load_bundle(bundle.path.parent, "narrow") == bundle
    verify(bundle)


def test_no_name_of_the_authors_machine_is_carried_along(imported: tuple[Bundle, list[Part]]) -> None:
    config = json.loads((imported[0].llm / "config.json").read_text())
    assert "somebody" not in json.dumps(config)
    assert (config["bos_token_id"], config["eos_token_id"], config["pad_token_id"]) == (1, 2, 2)


def test_every_weight_of_the_llm_arrives_as_it_was(imported: tuple[Bundle, list[Part]]) -> None:
    model, _ = load_base(imported[0].llm, torch.float16)
    own = model.state_dict()
    published = {name: tensor for name, tensor in llama_state().items() if "inv_freq" not in name}
    assert own.keys() == published.keys()
    assert all(torch.equal(own[name], published[name]) for name in own)


def test_the_projector_arrives_in_its_own_precision(imported: tuple[Bundle, list[Part]], parts: Parts) -> None:
    assert imported[0].projector_weights is not None
    ours = load_file(imported[0].projector_weights)
    theirs = torch.load(parts.projector, weights_only=True)["model"]
    assert ours.keys() == {"llama_proj.weight", "llama_proj.bias"}
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_an_imported_bundle_summarises(imported: tuple[Bundle, list[Part]], noise_png: Callable[[int], bytes]) -> None:
    engine = Engine(imported[0], device="cpu")
    try:
        first = engine.submit(SummaryRequest(noise_png(1))).result(timeout=60)
        again = engine.submit(SummaryRequest(noise_png(1))).result(timeout=60)
        other = engine.submit(SummaryRequest(noise_png(2))).result(timeout=60)
    finally:
        engine.close()
    assert first.text == again.text
    assert first.text != other.text
    assert first.software["dtype"] == "float32"


def import_llm(tmp_path: Path, parts: Parts, llm: Path, **more: object) -> tuple[Bundle, list[Part]]:
    wanted = Wanted(parts.encoder, parts.projector, llm, **more)  # type: ignore[arg-type]
    return import_bundle(tmp_path / "models", "b", wanted, quiet)


@pytest.mark.parametrize("shards", [1, 3])
def test_safetensors_are_linked_not_copied(tmp_path: Path, parts: Parts, shards: int) -> None:
    folder = write_llama(tmp_path / "vicuna", shards=shards, safetensors=True)
    bundle, _ = import_llm(tmp_path, parts, folder)
    for path in folder.glob("*.safetensors"):
        assert (bundle.llm / path.name).samefile(path)
    assert (bundle.llm / "model.safetensors.index.json").exists() == (shards > 1)
    load_base(bundle.llm)


def test_a_cache_made_of_symbolic_links_is_followed(tmp_path: Path, parts: Parts) -> None:
    real = write_llama(tmp_path / "blobs", safetensors=True)
    snapshot = tmp_path / "snapshots" / "main"
    snapshot.mkdir(parents=True)
    for path in real.iterdir():
        (snapshot / path.name).symlink_to(Path(os.path.relpath(path, snapshot)))
    bundle, _ = import_llm(tmp_path, parts, snapshot)
    assert not any(path.is_symlink() for path in bundle.path.rglob("*"))
    load_base(bundle.llm)


def test_another_file_system_gets_a_copy(tmp_path: Path, parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_llama(tmp_path / "vicuna", safetensors=True)

    def other_device(*_: object, **__: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", other_device)
    bundle, (_, _, llm) = import_llm(tmp_path, parts, folder)
    shard = "model-00001-of-00002.safetensors"
    assert not (bundle.llm / shard).samefile(folder / shard)
    assert (bundle.llm / shard).read_bytes() == (folder / shard).read_bytes()
    assert any(note in (f"{shard} copied", f"{shard} shared") for note in llm.notes)


def test_vicuna_v0s_added_pad_token_is_kept(tmp_path: Path, parts: Parts) -> None:
    folder = write_llama(tmp_path / "vicuna", shards=1)
    state = torch.load(folder / "pytorch_model.bin", weights_only=True)
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        state[name] = torch.cat([state[name], torch.zeros(1, 32).half()])
    torch.save(state, folder / "pytorch_model.bin")
    config = json.loads((folder / "config.json").read_text()) | {"vocab_size": 701}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "added_tokens.json").write_text('{"[PAD]": 700}')
    bundle, _ = import_llm(tmp_path, parts, folder)
    llm = load_llm(bundle.llm, None, CPU, torch.float32)
    assert llm.tokenizer.encode("[PAD]", add_special_tokens=False) == [700]


def test_a_folder_with_tokenizer_json_alone_is_read(tmp_path: Path, parts: Parts) -> None:
    first, _ = import_llm(tmp_path, parts, parts.llm)
    folder = write_llama(tmp_path / "vicuna")
    (folder / "tokenizer.model").unlink()
    (folder / "tokenizer.json").write_bytes((first.llm / "tokenizer.json").read_bytes())
    wanted = Wanted(parts.encoder, parts.projector, folder)
    bundle, _ = import_bundle(tmp_path / "models", "c", wanted, quiet)
    one, two = (load_llm(each.llm, None, CPU, torch.float32).tokenizer for each in (first, bundle))
    text = "###Patient: <Img>"
    assert one.encode(text, add_special_tokens=False) == two.encode(text, add_special_tokens=False)


def test_the_loaded_tokenizer_gives_the_reference_ids(imported: tuple[Bundle, list[Part]]) -> None:
    reference = json.loads((Path(__file__).parent / "reference" / "llama_tokens.json").read_text())
    tokenizer = load_llm(imported[0].llm, None, CPU, torch.float32).tokenizer
    assert tokenizer.bos_token_id == 1
    for entry in reference["texts"]:
        assert tokenizer.encode(entry["text"], add_special_tokens=False) == entry["ids"], entry["text"]


def test_the_map_is_taken_where_the_projector_takes_maps(tmp_path: Path, parts: Parts) -> None:
    projector = write_checkpoint(tmp_path / "p.pth", takes=96)
    wanted = Wanted(parts.encoder, projector, parts.llm, template="vicuna-v1.1")
    bundle, (encoder, _, _) = import_bundle(tmp_path / "models", "map", wanted, quiet)
    assert bundle.encoder_options["mode"] == "map"
    assert encoder.shapes == "49 x 96 features at 224 pixels"
    assert bundle.stop == ("</s>",)


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


def test_a_file_with_todays_names_needs_no_renaming(tmp_path: Path, parts: Parts) -> None:
    from xraygpt_core.model.importing.encoder import convert_encoder

    convert_encoder(parts.encoder, tmp_path / "once.safetensors")
    state = {f"vision_model.{name}": value for name, value in load_file(tmp_path / "once.safetensors").items()}
    save_file(state, tmp_path / "new.safetensors")
    read = convert_encoder(tmp_path / "new.safetensors", tmp_path / "twice.safetensors")
    assert read.part.renamed == 0
    once, twice = load_file(tmp_path / "once.safetensors"), load_file(tmp_path / "twice.safetensors")
    assert all(torch.equal(once[name], twice[name]) for name in once.keys() | twice.keys())


@pytest.mark.parametrize("place", range(0, 60, 7))
def test_one_flipped_key_fails_and_is_named(tmp_path: Path, parts: Parts, place: int) -> None:
    from xraygpt_core.model.importing.encoder import convert_encoder

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


def test_a_gguf_file_is_converted_once(tmp_path: Path, parts: Parts) -> None:
    """Written by the public converter's own library, in the order of rotary rows that GGUF has."""
    source = write_gguf(tmp_path / "llama.gguf")
    assert gguf_hidden(source) == 32
    bundle, (_, _, llm) = import_llm(tmp_path, parts, source)
    assert llm.found == "LLaMA from GGUF, 2 layers"
    model, tokenizer = load_base(bundle.llm)
    state = llama_state()
    for name in ("model.layers.1.self_attn.q_proj.weight", "lm_head.weight"):
        assert torch.equal(model.state_dict()[name].bfloat16(), state[name].bfloat16())
    reference = json.loads((Path(__file__).parent / "reference" / "llama_tokens.json").read_text())
    for entry in reference["texts"]:
        assert tokenizer.encode(entry["text"], add_special_tokens=False) == entry["ids"], entry["text"]
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (1, 2, 2)


def write_gguf(path: Path) -> Path:
    import gguf

    from xraygpt_core.model.importing.sentencepiece import read_pieces

    state = {name: tensor.float().numpy() for name, tensor in llama_state().items() if "inv_freq" not in name}
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(2048)
    writer.add_embedding_length(32)
    writer.add_block_count(2)
    writer.add_feed_forward_length(64)
    writer.add_head_count(4)
    writer.add_head_count_kv(4)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    pieces = read_pieces(Path(__file__).parent / "reference" / "tokenizer.model")
    writer.add_tokenizer_model("llama")
    writer.add_token_list([piece.text.encode() for piece in pieces])
    writer.add_token_scores([piece.score for piece in pieces])
    writer.add_token_types([int(piece.kind) for piece in pieces])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    renames = {
        "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
        "model.layers.": "blk.", "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
    }  # fmt: skip
    for name, weights in state.items():
        if "q_proj" in name or "k_proj" in name:
            weights = weights.reshape(4, 2, 4, 32).swapaxes(1, 2).reshape(32, 32)
        for ours, theirs in renames.items():
            name = name.replace(ours, theirs)
        writer.add_tensor(name, weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_narrow_resnet_comes_out_of_its_file(tmp_path: Path) -> None:
    from xraygpt_core.model.encoders.medclip import MedClipResNet
    from xraygpt_core.model.importing.encoder import convert_encoder

    model = MedClipResNet(None, depths=(1, 1, 1, 1), width=4, projected=6)
    state = {f"vision_model.{name}": torch.ones_like(value) for name, value in model.state_dict().items()}
    torch.save(state, tmp_path / "pytorch_model.bin")
    read = convert_encoder(tmp_path / "pytorch_model.bin", tmp_path / "e.safetensors")
    assert read.options == {"depths": [1, 1, 1, 1], "width": 4, "projected": 6, "size": 224}


def test_a_published_name_is_found_wherever_its_folder_is(tmp_path: Path) -> None:
    write_medclip(tmp_path / "medclip-vit" / "pytorch_model.bin")
    from xraygpt_core.model.importing.encoder import convert_encoder

    assert convert_encoder(tmp_path / "medclip-vit", tmp_path / "e.safetensors").kind == "MedClipSwin"


def test_shards_of_a_language_model_nobody_needs_may_be_absent(tmp_path: Path, parts: Parts) -> None:
    from xraygpt_core.model.importing.encoder import convert_encoder

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
    wanted = Wanted(encoder, projector, parts.llm, template=template, max_new_tokens=5, dtype="float32")
    bundle, (read, _, _) = import_bundle(tmp_path / "models", "b", wanted, quiet)
    assert read.shapes.startswith(f"{tokens} x {width} features")
    one, two = (summarise_once(bundle, noise_png(seed), device="cpu") for seed in (1, 2))
    assert one.template == template
    assert one.text != two.text


def test_a_large_pickle_is_converted_in_pieces(tmp_path: Path, parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xraygpt_core.model.importing.llm._PIECE_BYTES", 60_000)
    bundle, _ = import_llm(tmp_path, parts, parts.llm)
    written = sorted(path.name for path in bundle.llm.glob("*.safetensors"))
    assert "model-00002-of-00002-1.safetensors" in written
    own = load_base(bundle.llm, torch.float16)[0].state_dict()
    assert all(torch.equal(own[name], tensor) for name, tensor in llama_state().items() if name in own)


def test_one_shard_behind_an_index_is_found_again(tmp_path: Path, parts: Parts) -> None:
    folder = write_llama(tmp_path / "vicuna", shards=1, safetensors=True)
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    weight_map = dict.fromkeys(llama_state(), "model-00001-of-00001.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    load_base(import_llm(tmp_path, parts, folder)[0].llm)


@pytest.mark.parametrize(("template", "warned"), [("xraygpt-code", True), ("vicuna-v1.1", False)])
def test_an_llm_of_another_vicuna_than_the_template_is_told(
    tmp_path: Path, parts: Parts, template: str, warned: bool
) -> None:
    folder = write_llama(tmp_path / "vicuna", shards=1)
    state = torch.load(folder / "pytorch_model.bin", weights_only=True)
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        state[name] = torch.zeros(32000, 32).half()
    torch.save(state, folder / "pytorch_model.bin")
    config = json.loads((folder / "config.json").read_text()) | {"vocab_size": 32000, "max_position_embeddings": 4096}
    (folder / "config.json").write_text(json.dumps(config))
    _, (_, _, llm) = import_llm(tmp_path, parts, folder, template=template)
    assert any("was trained on other prompts" in note for note in llm.notes) == warned

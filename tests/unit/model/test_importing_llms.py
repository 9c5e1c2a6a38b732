"""Published language models: shards, links, caches, GGUF and tokens arrive as they were."""

import json
import os
from pathlib import Path

import pytest
import torch

from tests.support.published_parts import Parts, llama_state, quiet, write_llama
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.importing.convert import gguf_hidden
from xraygpt_core.model.importing.findings import ImportedPart
from xraygpt_core.model.importing.importer import ImportRequest, import_bundle
from xraygpt_core.model.llm import load_base, load_llm

CPU = torch.device("cpu")


def import_llm(tmp_path: Path, parts: Parts, llm: Path, **more: object) -> tuple[Bundle, list[ImportedPart]]:
    wanted = ImportRequest(parts.encoder, parts.projector, llm, **more)  # type: ignore[arg-type]
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
    wanted = ImportRequest(parts.encoder, parts.projector, folder)
    bundle, _ = import_bundle(tmp_path / "models", "c", wanted, quiet)
    one, two = (load_llm(each.llm, None, CPU, torch.float32).tokenizer for each in (first, bundle))
    text = "###Patient: <Img>"
    assert one.encode(text, add_special_tokens=False) == two.encode(text, add_special_tokens=False)


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


def test_a_large_pickle_is_converted_in_pieces(tmp_path: Path, parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xraygpt_core.model.importing.llms._PIECE_BYTES", 60_000)
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

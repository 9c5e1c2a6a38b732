"""Ways in which the folder of a language model can be broken."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from tests.support.broken_parts import Harmful, cut, edit_json, edit_pickle
from tests.support.published_parts import Parts, write_checkpoint, write_llama

SHARD = "pytorch_model-00002-of-00002.bin"


INDEX = "pytorch_model.bin.index.json"


def safe(parts: Parts) -> Path:
    return parts.llm.parent / "safe"


def truncated_bin_shard(parts: Parts) -> None:
    cut(parts.llm / SHARD, 0.6)


def truncated_safetensors_shard(parts: Parts) -> dict[str, Any]:
    cut(safe(parts) / "model-00002-of-00002.safetensors", 0.6)
    return {"llm": safe(parts)}


def missing_shard(parts: Parts) -> None:
    (parts.llm / SHARD).unlink()


def missing_index(parts: Parts) -> None:
    (parts.llm / INDEX).unlink()


def index_of_another_model(parts: Parts) -> None:
    content = json.loads((parts.llm / INDEX).read_text())
    content["weight_map"]["model.layers.7.mlp.up_proj.weight"] = SHARD
    (parts.llm / INDEX).write_text(json.dumps(content))


def index_without_map(parts: Parts) -> None:
    edit_json(parts.llm / INDEX, weight_map=None)


def index_that_is_no_json(parts: Parts) -> None:
    cut(parts.llm / INDEX, 0.5)


def path_traversal_in_the_index(parts: Parts) -> None:
    shutil.copy(parts.llm / SHARD, parts.llm.parent / "outside.bin")
    content = json.loads((parts.llm / INDEX).read_text())
    content["weight_map"]["lm_head.weight"] = "../outside.bin"
    (parts.llm / INDEX).write_text(json.dumps(content))


def absolute_path_in_the_index(parts: Parts) -> None:
    content = json.loads((parts.llm / INDEX).read_text())
    content["weight_map"]["lm_head.weight"] = str(parts.encoder)
    (parts.llm / INDEX).write_text(json.dumps(content))


def symlink_loop(parts: Parts) -> None:
    (parts.llm / SHARD).unlink()
    (parts.llm / SHARD).symlink_to("loop")
    (parts.llm / "loop").symlink_to(SHARD)


def dangling_symlink(parts: Parts) -> None:
    (parts.llm / SHARD).unlink()
    (parts.llm / SHARD).symlink_to("../blobs/gone")


def shard_with_code(parts: Parts) -> None:
    torch.save({"lm_head.weight": Harmful()}, parts.llm / SHARD)


def integers_for_weights(parts: Parts) -> None:
    edit_pickle(parts.llm / SHARD, lambda state: state.update({n: v.to(torch.int8) for n, v in state.items()}))


def nan_in_the_llm(parts: Parts) -> None:
    edit_pickle(parts.llm / SHARD, lambda state: next(iter(state.values())).view(-1)[3:4].fill_(float("nan")))


def nan_in_linked_safetensors(parts: Parts) -> dict[str, Any]:
    path = safe(parts) / "model-00001-of-00002.safetensors"
    state = load_file(path)
    state[sorted(state)[0]].view(-1)[0] = float("nan")
    save_file(state, path, metadata={"format": "pt"})
    return {"llm": safe(parts)}


def projector_of_7b_on_13b(parts: Parts) -> None:
    write_checkpoint(parts.projector, gives=4096)
    config = json.loads((parts.llm / "config.json").read_text())
    for path in parts.llm.glob("pytorch_model*"):
        path.unlink()
    (parts.llm / "config.json").write_text(json.dumps(config | WIDE))
    torch.save(_wide_llama(5120), parts.llm / "pytorch_model.bin")


WIDE = {
    "hidden_size": 5120,
    "intermediate_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 5120 // 8,
    "num_key_value_heads": 1,
    "vocab_size": 4,
}


def _wide_llama(hidden: int) -> dict[str, torch.Tensor]:
    """A LLaMA of another size, whose tensors take no room: one number seen everywhere."""
    from xraygpt_core.model.importing.llms import _expected

    shapes = _expected({"model_type": "llama", **WIDE, "hidden_size": hidden})
    return {name: torch.zeros(1).half().expand(shape) for name, shape in shapes.items()}


def shards_of_two_models(parts: Parts) -> None:
    write_llama(parts.llm.parent / "other", hidden=64)
    shutil.copy(parts.llm.parent / "other" / SHARD, parts.llm / SHARD)


def missing_tokenizer(parts: Parts) -> None:
    (parts.llm / "tokenizer.model").unlink()


def damaged_tokenizer(parts: Parts) -> None:
    cut(parts.llm / "tokenizer.model", 0.5)


def tokenizer_of_a_larger_model(parts: Parts) -> None:
    (parts.llm / "added_tokens.json").write_text('{"[PAD]": 700}')


def added_token_out_of_place(parts: Parts) -> None:
    (parts.llm / "added_tokens.json").write_text('{"[PAD]": 900}')


def missing_config(parts: Parts) -> None:
    (parts.llm / "config.json").unlink()


def config_of_another_architecture(parts: Parts) -> None:
    edit_json(parts.llm / "config.json", model_type="mistral")


def config_of_another_size(parts: Parts) -> None:
    edit_json(parts.llm / "config.json", num_hidden_layers=5)


def config_with_nonsense(parts: Parts) -> None:
    edit_json(parts.llm / "config.json", num_attention_heads=0)


def quantised_folder(parts: Parts) -> None:
    edit_json(parts.llm / "config.json", quantization_config={"bits": 4})


def lora_left_in_the_llm(parts: Parts) -> None:
    name = "model.layers.0.self_attn.q_proj.lora_B.weight"
    edit_pickle(parts.llm / SHARD, lambda state: state.update({name: torch.zeros(2)}))


def damaged_gguf(parts: Parts) -> dict[str, Any]:
    path = parts.llm.parent / "model.gguf"
    path.write_bytes(b"GGUF" + bytes(60))
    return {"llm": path}

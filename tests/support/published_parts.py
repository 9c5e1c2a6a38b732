"""Narrow copies of the published files: their formats, key names and side entries, with small seeded weights."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.unit.model.reference.seeded import seeded

REFERENCE = Path(__file__).parents[1] / "unit" / "model" / "reference"
VOCABULARY = 700  # of reference/tokenizer.model

_OLD_SWIN = (
    ("attention.relative_position_bias.relative_position_bias_table", "attention.self.relative_position_bias_table"),
    ("attention.q_proj", "attention.self.query"),
    ("attention.k_proj", "attention.self.key"),
    ("attention.v_proj", "attention.self.value"),
    ("attention.o_proj", "attention.output.dense"),
    ("mlp.fc1", "intermediate.dense"),
    ("mlp.fc2", "output.dense"),
)


def quiet(done: int, total: int, words: str) -> None:
    """Takes the progress of an import; fails the test where it makes no sense."""
    assert 0 <= done <= total
    assert words


@dataclass(frozen=True)
class Parts:
    """Paths of downloaded files."""

    encoder: Path
    projector: Path
    llm: Path


def write_medclip(path: Path, embed_dim: int = 12, depths: tuple[int, ...] = (1, 1, 2, 1), projected: int = 20) -> Path:
    """MedCLIP's ``pytorch_model.bin`` under transformers 4's names, with its index buffers and its text model."""
    from transformers import SwinConfig, SwinModel

    heads = [2**stage for stage in range(len(depths))]
    model = SwinModel(SwinConfig(embed_dim=embed_dim, depths=list(depths), num_heads=heads))
    state: dict[str, Tensor] = {}
    for name, tensor in model.state_dict().items():
        for new, old in _OLD_SWIN:
            name = name.replace(new, old)
        name = f"vision_model.model.{name}"
        state[name] = torch.from_numpy(seeded(name, tensor.shape))
        if name.endswith("relative_position_bias_table"):
            state[name.replace("bias_table", "index")] = torch.zeros(49, 49, dtype=torch.long)
    width = embed_dim * 2 ** (len(depths) - 1)
    for name, shape in {
        "vision_model.projection_head.weight": (projected, width),
        "text_model.projection_head.weight": (projected, 8),
        "logit_scale": (),
    }.items():
        state[name] = torch.from_numpy(seeded(name, shape))
    state["text_model.model.embeddings.position_ids"] = torch.arange(512)[None]
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path)
    return path


def write_checkpoint(path: Path, takes: int = 20, gives: int = 32, *, legacy: bool = False) -> Path:
    """An XrayGPT checkpoint: the projector among buffers, beside optimizer, scaler, config and epoch."""
    model = {
        "llama_proj.weight": torch.from_numpy(seeded("llama_proj.weight", (gives, takes))),
        "llama_proj.bias": torch.from_numpy(seeded("llama_proj.bias", (gives,))),
        "llama_model.model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4),
        "Qformer.bert.embeddings.position_ids": torch.arange(8)[None],
    }
    optimizer = {"state": {0: {"step": torch.tensor(5.0), "exp_avg": torch.zeros(gives, takes)}}, "param_groups": [{}]}
    config = {"model": {"arch": "mini_gpt4", "prompt_template": "###Patient: {} ###Doctor: "}, "run": {"init_lr": 1e-4}}
    content = {"model": model, "optimizer": optimizer, "config": config, "scaler": {"scale": 65536.0}, "epoch": 3}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


def write_llama(
    folder: Path,
    *,
    hidden: int = 32,
    layers: int = 2,
    inner: int | None = None,
    shards: int = 2,
    safetensors: bool = False,
) -> Path:
    """A Hugging Face folder as Vicuna's: shards with an index, rotary buffers, SentencePiece tokenizer."""
    inner = inner or 2 * hidden
    state = llama_state(hidden, layers, inner)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(llama_config(hidden, layers, inner)))
    (folder / "generation_config.json").write_text(
        '{"_from_model_config": true, "temperature": 0.9, "eos_token_id": 2}'
    )
    shutil.copy(REFERENCE / "tokenizer.model", folder)
    (folder / "tokenizer_config.json").write_text(json.dumps(TOKENIZER_CONFIG))
    stem, suffix = ("model", "safetensors") if safetensors else ("pytorch_model", "bin")
    names = sorted(state)
    weight_map: dict[str, str] = {}
    for number in range(shards):
        file = f"{stem}.{suffix}" if shards == 1 else f"{stem}-{number + 1:05d}-of-{shards:05d}.{suffix}"
        held = {name: state[name] for name in names[number::shards]}
        weight_map |= dict.fromkeys(held, file)
        if safetensors:
            save_file(held, folder / file, metadata={"format": "pt"})
        else:
            torch.save(held, folder / file)
    if shards > 1:
        index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
        (folder / f"{stem}.{suffix}.index.json").write_text(json.dumps(index))
    return folder


TOKENIZER_CONFIG: dict[str, Any] = {
    "tokenizer_class": "LlamaTokenizer",
    "bos_token": {"__type": "AddedToken", "content": "<s>", "lstrip": False},
    "eos_token": {"__type": "AddedToken", "content": "</s>", "lstrip": False},
    "unk_token": "<unk>",
}


def llama_config(hidden: int, layers: int, inner: int) -> dict[str, Any]:
    """``config.json`` with the oddities of early LLaMA conversions."""
    return {
        "_name_or_path": "somebody/private-vicuna",
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": max(hidden // 128, 4),
        "max_position_embeddings": 2048,
        "max_sequence_length": 2048,
        "rms_norm_eps": 1e-6,
        "vocab_size": VOCABULARY,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": -1,
        "tie_word_embeddings": False,
        "torch_dtype": "float16",
        "transformers_version": "4.28.0.dev0",
        "hidden_act": "silu",
        "initializer_range": 0.02,
        "use_cache": True,
    }


def llama_state(hidden: int = 32, layers: int = 2, inner: int = 64) -> dict[str, Tensor]:
    """Every tensor of a LLaMA under its published name, in float16; early files carry the rotary buffer too."""
    square, wide, tall, flat = (hidden, hidden), (inner, hidden), (hidden, inner), (hidden,)
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (VOCABULARY, hidden),
        "model.norm.weight": flat,
        "lm_head.weight": (VOCABULARY, hidden),
    }
    for layer in range(layers):
        for name, shape in {
            **dict.fromkeys((f"self_attn.{letter}_proj" for letter in "qkvo"), square),
            **dict.fromkeys(("mlp.gate_proj", "mlp.up_proj"), wide),
            "mlp.down_proj": tall,
            **dict.fromkeys(("input_layernorm", "post_attention_layernorm"), flat),
        }.items():
            shapes[f"model.layers.{layer}.{name}.weight"] = shape
    state = {name: torch.from_numpy(seeded(name, shape)).half() for name, shape in shapes.items()}
    for layer in range(layers):
        state[f"model.layers.{layer}.self_attn.rotary_emb.inv_freq"] = torch.ones(4)
    return state


def write_parts(folder: Path) -> Parts:
    """All three, which fit together."""
    return Parts(
        write_medclip(folder / "medclip-vit" / "pytorch_model.bin"),
        write_checkpoint(folder / "checkpoint_3.pth"),
        write_llama(folder / "vicuna"),
    )

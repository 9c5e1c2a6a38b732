"""The files that published models share: shards with an index, LLaMA's tokenizer and settings, RAD-DINO's folder."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from tests.support.layout_shapes import PATCH, Sizes, dino_shapes, drawn
from tests.support.published_parts import REFERENCE, TOKENIZER_CONFIG, VOCABULARY

NARROW_LIBRA = Sizes(blocks=12)  # the connector mixes twelve layers


def save_shards(folder: Path, state: Mapping[str, Tensor], shards: int) -> None:
    """Safetensors with an index, the tensors dealt out in the order of their names."""
    names = sorted(state)
    places: dict[str, str] = {}
    for number in range(shards):
        file = f"model-{number + 1:05d}-of-{shards:05d}.safetensors"
        held = {name: state[name].contiguous() for name in names[number::shards]}
        save_file(held, folder / file, metadata={"format": "pt"})
        places |= dict.fromkeys(held, file)
    size = sum(tensor.nbytes for tensor in state.values())
    write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": size}, "weight_map": places})


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """One JSON object as transformers writes it."""
    path.write_text(json.dumps(content, indent=2) + "\n")


def write_sentencepiece(folder: Path, added: tuple[str, ...] = ()) -> None:
    """LLaMA's tokenizer files; ``added`` get the ids behind its vocabulary."""
    shutil.copy(REFERENCE / "tokenizer.model", folder)
    write_json(folder / "tokenizer_config.json", TOKENIZER_CONFIG)
    write_json(folder / "special_tokens_map.json", {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"})
    if added:
        write_json(folder / "added_tokens.json", {text: VOCABULARY + place for place, text in enumerate(added)})


def write_rad_dino(folder: Path, sizes: Sizes = NARROW_LIBRA) -> Path:
    """``folder/rad-dino``: the encoder alone, as microsoft/rad-dino has it."""
    target = folder / "rad-dino"
    target.mkdir(parents=True)
    write_json(target / "config.json", dino_config(sizes) | {"architectures": ["Dinov2Model"]})
    write_json(target / "preprocessor_config.json", PREPROCESSOR)
    save_file(drawn(dino_shapes(sizes)), target / "model.safetensors", metadata={"format": "pt"})
    return target


def dino_config(sizes: Sizes) -> dict[str, Any]:
    """``config.json`` of a Dinov2."""
    return {
        "model_type": "dinov2",
        "hidden_size": sizes.width,
        "num_hidden_layers": sizes.blocks,
        "num_attention_heads": sizes.vit_heads,
        "mlp_ratio": 4,
        "image_size": sizes.side * PATCH,
        "patch_size": PATCH,
        "layer_norm_eps": 1e-06,
        "torch_dtype": "float32",
    }


PREPROCESSOR: dict[str, Any] = {
    "image_processor_type": "BitImageProcessor",
    "crop_size": {"height": 518, "width": 518},
    "size": {"shortest_edge": 518},
    "do_center_crop": True,
    "do_normalize": True,
    "image_mean": [0.5307, 0.5307, 0.5307],
    "image_std": [0.2583, 0.2583, 0.2583],
    "resample": 3,
}


def llama_settings(sizes: Sizes, rows: int) -> dict[str, Any]:
    """What every published LLaMA's ``config.json`` says, but for its scaling."""
    return {
        "hidden_size": sizes.hidden,
        "intermediate_size": sizes.inner,
        "num_hidden_layers": sizes.layers,
        "num_attention_heads": sizes.heads,
        "num_key_value_heads": sizes.kv_heads,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-05,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": False,
        "vocab_size": rows,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }

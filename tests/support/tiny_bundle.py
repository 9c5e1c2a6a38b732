"""A whole bundle of random weights in about a second: for tests of everything around the model.

It has the shape of the real one: the same encoder class, projector, LLaMA folder, adapter format. It writes nonsense.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.compose import PROJECTOR_FILE, new_bundle, write_bundle
from xraygpt_core.model.encoders.efficientnet import EfficientNetLite0
from xraygpt_core.model.projector import MapProjector, MapSizes, save_projector

_LAYERS, _CHANNELS = ["block10", "head"], 112 * 4 + 1280
_SIDE = 64  # pixels; a grid of 2 x 2
_HIDDEN = 32


def make_tiny_bundle(
    models: Path,
    name: str = "tiny",
    *,
    image_tokens: int = 12,
    max_new_tokens: int = 8,
    projector: bool = True,
    prompt: Mapping[str, object] | None = None,
) -> Bundle:
    """``models/name``; the same weights for the same arguments. Without a projector it is a base to train from."""
    with new_bundle(models, name) as (work, commit), torch.random.fork_rng():
        torch.manual_seed(0)
        _write_encoder(work / "encoder.safetensors")
        write_tiny_llm(work / "llm")
        tables: dict[str, Any] = {
            "encoder": {
                "class": "EfficientNetLite0Maps",
                "weights": "encoder.safetensors",
                "layers": _LAYERS,
                "size": _SIDE,
            },
            "llm": {"folder": "llm"},
            "prompt": prompt or {"template": "xraygpt-code", "question": "Describe the film.", "stop": ["###"]},
            "decoding": {"max_new_tokens": max_new_tokens, "do_sample": False},
        }
        if projector:
            sizes = MapSizes((_SIDE // 32) ** 2, _CHANNELS, image_tokens, _HIDDEN, width=16, layers=1, heads=2)
            save_projector(MapProjector(sizes), work / PROJECTOR_FILE)
            tables["projector"] = {"class": "MapProjector", "weights": PROJECTOR_FILE}
        write_bundle(work, name, tables)
        return commit()


def _write_encoder(path: Path) -> None:
    state = EfficientNetLite0().state_dict()
    save_file({key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}, path)


def write_tiny_llm(folder: Path) -> None:
    """A LLaMA folder; its weights are drawn from torch's global state."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = byte_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=_HIDDEN,
        intermediate_size=2 * _HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
        initializer_range=0.5,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def byte_tokenizer() -> Any:
    """One token a byte, and the three special ones."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {character: index for index, character in enumerate(["<s>", "</s>", "<pad>", *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)

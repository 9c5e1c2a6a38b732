"""Two tiny vision models of random weights, as folders a real server loads: a BLIP-2 and an Idefics 3.

They write nonsense. Their parts are transformers' own classes, so the folders have the layout of published models.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tests.support.tiny_bundle import byte_tokenizer

SIDE, _PATCH = 56, 14
_TEXT = {
    "hidden_size": 128,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,  # 64 wide, the least that vLLM's attention on a CPU takes
    "num_key_value_heads": 1,
    "head_dim": 64,
    "max_position_embeddings": 2048,
    "initializer_range": 0.2,
}
_VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": SIDE,
    "patch_size": _PATCH,
}
# A turn is its role, its words and films, and a line's end; the answer begins after the role.
_CHAT = (
    "{{ bos_token }}{% for message in messages %}{{ message['role'] }}: {% if message['content'] is string %}"
    "{{ message['content'] }}{% else %}{% for part in message['content'] %}{% if part['type'] == 'text' %}"
    "{{ part['text'] }}{% else %}IMAGE{% endif %}{% endfor %}{% endif %}\n{% endfor %}assistant:"
)


def write_tiny_blip2(folder: Path) -> None:
    """BLIP's vision transformer, a Q-Former, OPT; an image has 4 tokens, which stand before the text."""
    from transformers import (
        Blip2Config,
        Blip2ForConditionalGeneration,
        Blip2QFormerConfig,
        Blip2VisionConfig,
        OPTConfig,
    )

    tokenizer = _tokenizer("<image>")
    hidden = _TEXT["hidden_size"]
    text = OPTConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        word_embed_proj_dim=hidden,
        ffn_dim=hidden,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=2048,
        init_std=0.2,
        **_ids(tokenizer),
    )
    config = Blip2Config(
        vision_config=Blip2VisionConfig(**_VISION).to_dict(),
        qformer_config=Blip2QFormerConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            encoder_hidden_size=32,
        ).to_dict(),
        text_config=text.to_dict(),
        num_query_tokens=4,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    _write(folder, Blip2ForConditionalGeneration, config, tokenizer, "")
    _json(folder / "processor_config.json", processor_class="Blip2Processor", num_query_tokens=4)
    _json(
        folder / "preprocessor_config.json",
        image_processor_type="BlipImageProcessor",
        processor_class="Blip2Processor",
        size={"height": SIDE, "width": SIDE},
        do_convert_rgb=True,
    )


def write_tiny_idefics3(folder: Path) -> None:
    """SigLIP, shuffled pixels, LLaMA; an image has 4 tokens."""
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration, LlamaConfig

    tokenizer = _tokenizer("<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>")
    config = Idefics3Config(
        vision_config=_VISION,
        text_config=LlamaConfig(vocab_size=len(tokenizer), **_TEXT, **_ids(tokenizer)),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=tokenizer.pad_token_id,
    )
    _write(folder, Idefics3ForConditionalGeneration, config, tokenizer, "<image>")
    _json(folder / "processor_config.json", processor_class="Idefics3Processor", image_seq_len=4)
    _json(
        folder / "preprocessor_config.json",
        image_processor_type="Idefics3ImageProcessor",
        processor_class="Idefics3Processor",
        size={"longest_edge": SIDE},
        max_image_size={"longest_edge": SIDE},
        do_image_splitting=False,
        do_convert_rgb=True,
    )


FAMILIES: dict[str, Callable[[Path], None]] = {"blip2": write_tiny_blip2, "idefics3": write_tiny_idefics3}


def _tokenizer(*special: str) -> Any:
    tokenizer = byte_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": list(special)})
    return tokenizer


def _ids(tokenizer: Any) -> dict[str, int]:
    return {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")}


def _write(folder: Path, kind: Any, config: Any, tokenizer: Any, image: str) -> None:
    """The same weights each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        kind(config).save_pretrained(folder)
    tokenizer.chat_template = _CHAT.replace("IMAGE", image)
    tokenizer.save_pretrained(folder)


def _json(file: Path, **content: Any) -> None:
    file.write_text(json.dumps(content))

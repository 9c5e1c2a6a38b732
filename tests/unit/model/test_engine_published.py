"""The LLaMA engine gives transformers' logits for the language models of MAIRA-2, LLaVA-Rad and Libra, narrow."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.layout_files import llama_settings
from tests.support.layout_shapes import Sizes, drawn, llama_shapes
from xraygpt_core.model.engine.llama import Llama

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
# Of config.json as published: old names of settings, a vocabulary with rows to spare, tied embeddings.
PUBLISHED: dict[str, tuple[Sizes, int, dict[str, Any]]] = {
    "vicuna-7b-v1.5": (Sizes(), 320, {"rope_scaling": None}),
    "maira-2": (Sizes(), 327, {"rope_scaling": {"type": "linear", "factor": 1.5}}),
    "meditron-7b": (Sizes(), 337, {"max_position_embeddings": 2048, "rope_theta": 10000.0, "attention_bias": False}),
    "llama-3.2-3b": (
        Sizes(hidden=96, heads=6, kv_heads=2),
        512,
        {"tie_word_embeddings": True, "rope_theta": 500000.0, "rope_scaling": LLAMA3, "head_dim": 16},
    ),
}
PROMPTS = [[5, 9, 11, 3, 8, 20, 21], [5, 9, 300], [7] * 40]


def model_of(name: str, folder: Path) -> Any:
    """transformers' model from a folder with this configuration and seeded weights."""
    from safetensors.torch import save_file
    from transformers import LlamaForCausalLM

    sizes, rows, settings = PUBLISHED[name]
    config = llama_settings(sizes, rows) | settings | {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}
    (folder / "config.json").write_text(json.dumps(config))
    state = drawn(llama_shapes(sizes, rows, tied=config["tie_word_embeddings"]))
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval().requires_grad_(False)


@pytest.mark.parametrize("name", PUBLISHED)
def test_prompts_and_the_tokens_after_them_have_transformers_logits(name: str, tmp_path: Path) -> None:
    model = model_of(name, tmp_path)
    with torch.inference_mode():
        expected = [model(torch.tensor([[*prompt, 42, 43]])).logits[0, -3:] for prompt in PROMPTS]
    llama = Llama(model)
    cache = llama.cache(len(PROMPTS), 64)
    logits = [llama.prefill(cache, [0, 1, 2], [llama.embed(prompt) for prompt in PROMPTS])]
    for token in (42, 43):
        cache.ids[:] = token
        logits.append(llama.decode(cache, 0, 3, int(cache.lengths.max())))
    for row, theirs in enumerate(expected):
        ours = torch.stack([step[row] for step in logits])
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)


def llama3_frequency(usual: float) -> float:
    """Llama 3.1's rule (Grattafiori et al. 2024, arXiv 2407.21783): long waves are stretched, short ones are not."""
    wave = 2 * math.pi / usual
    if wave < 8192 / 4:
        return usual
    if wave > 8192:
        return usual / 32
    kept = (8192 / wave - 1) / (4 - 1)
    return (1 - kept) * usual / 32 + kept * usual


def test_rotary_positions_are_scaled_as_published(tmp_path: Path) -> None:
    usual = [500000.0 ** (-pair / 8) for pair in range(8)]
    llama = Llama(model_of("llama-3.2-3b", tmp_path))
    wanted = torch.tensor([llama3_frequency(one) for one in usual])
    torch.testing.assert_close(llama._frequencies, wanted)
    assert not torch.allclose(wanted, torch.tensor(usual))
    stretched = Llama(model_of("maira-2", tmp_path))
    torch.testing.assert_close(
        stretched._frequencies, torch.tensor([10000.0 ** (-pair / 4) for pair in range(4)]) / 1.5
    )

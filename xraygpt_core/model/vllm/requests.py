"""What a vLLM server is sent."""

import base64
import io
from typing import Any

import torch
from torch import Tensor

from xraygpt_core.model.bundle import Bundle


def question(bundle: Bundle, row: Tensor, most: int) -> dict[str, Any]:
    """The body of a request for at most so many tokens of text that follow these embeddings (tokens, hidden)."""
    decoding = bundle.decoding
    return {
        "prompt_embeds": encode_embeddings(row),
        "max_tokens": most,
        "temperature": decoding.temperature if decoding.do_sample else 0.0,
        "top_p": decoding.top_p if decoding.do_sample else 1.0,
        "seed": decoding.seed,
        "stop": list(bundle.stop),
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def encode_embeddings(row: Tensor) -> str:
    """Embeddings as vLLM's ``prompt_embeds``: base64 of ``torch.save``."""
    buffer = io.BytesIO()
    torch.save(row.detach().cpu().contiguous().clone(), buffer)
    return base64.b64encode(buffer.getvalue()).decode()

"""A request on its way to a vLLM server, and the body it is sent as."""

import base64
import io
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from xraygpt_core.model.backend import AcceptedRequest
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.remote.engine import RemoteRequest


@dataclass(eq=False, kw_only=True)
class ServerRequest(RemoteRequest, AcceptedRequest):
    """A request with its whole prompt.

    Attributes:
        embeddings: of the prompt (tokens, hidden).
    """

    embeddings: Tensor


def completion_body(bundle: Bundle, embeddings: Tensor, max_tokens: int) -> dict[str, Any]:
    """The body that asks for a text of at most so many tokens to follow these embeddings (tokens, hidden)."""
    decoding = bundle.decoding
    return {
        "prompt_embeds": encode_embeddings(embeddings),
        "max_tokens": max_tokens,
        "temperature": decoding.temperature if decoding.do_sample else 0.0,
        "top_p": decoding.top_p if decoding.do_sample else 1.0,
        "seed": decoding.seed,
        "stop": list(bundle.stop),
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def encode_embeddings(embeddings: Tensor) -> str:
    """Embeddings as vLLM's ``prompt_embeds``: base64 of ``torch.save``."""
    buffer = io.BytesIO()
    torch.save(embeddings.detach().cpu().contiguous().clone(), buffer)
    return base64.b64encode(buffer.getvalue()).decode()

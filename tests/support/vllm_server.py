"""The part of vLLM's server that we use: completions from ``prompt_embeds``, streamed, with its queue in /metrics.

Slow, one token at a time, by transformers itself. How it fails: :class:`ModelServerStandIn`.
"""

import base64
import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch

from tests.support.loopback import LoopbackServer, answering
from tests.support.model_server_standin import Handler, ModelServerStandIn, closed_engines
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.llm import load_base
from xraygpt_core.model.vllm.backend import VllmEngine, VllmServer

# What vLLM 0.32 reports about its queue: all requests that wait, and the same once more by reason.
METRICS = """# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{{engine="0",model_name="m"}} {waiting}.0
# TYPE vllm:num_requests_waiting_by_reason gauge
vllm:num_requests_waiting_by_reason{{engine="0",model_name="m",reason="capacity"}} {waiting}.0
vllm:num_requests_waiting_by_reason{{engine="0",model_name="m",reason="deferred"}} 0.0
"""


def choice(text: str, ended: str | None = None) -> dict[str, Any]:
    """A piece of an answer; the last one says why it is the last."""
    return {"index": 0, "text": text, "logprobs": None, "finish_reason": ended, "stop_reason": None}


@dataclass
class SmallVllm(ModelServerStandIn):
    """One with this model; what it may choke on is a prompt's embeddings, as they are sent."""

    TEXTS: ClassVar[str] = "/v1/completions"

    model: Any
    tokenizer: Any
    lock: threading.Lock = field(default_factory=threading.Lock)

    def page(self, path: str, authorization: str | None) -> tuple[int, bytes]:
        return 200, METRICS.format(waiting=self.waiting).encode()

    def shown(self, body: dict[str, Any]) -> list[str]:
        return [body["prompt_embeds"]]

    def event(self, text: str, ended: str | None = None) -> dict[str, Any]:
        return {"choices": [choice(text, ended)]}

    def pieces(self, body: dict[str, Any]) -> Iterator[tuple[str, str | None]]:
        """Greedy text, one token at a time; nothing after a stop sequence."""
        raw = base64.b64decode(body["prompt_embeds"])
        row = torch.load(io.BytesIO(raw), weights_only=True)[None]
        with self.lock, torch.inference_mode():
            ids = self.model.generate(
                inputs_embeds=row,
                attention_mask=torch.ones(row.shape[:2], dtype=torch.long),
                max_new_tokens=body["max_tokens"],
                do_sample=False,
            )[0].tolist()
        sent = ""
        for count in range(1, len(ids) + 1):
            whole = self.tokenizer.decode(ids[:count], skip_special_tokens=True)
            stop = min((whole.find(word) for word in body["stop"] if word in whole), default=-1)
            text = whole if stop < 0 else whole[:stop]
            cut_short = stop < 0 and count == body["max_tokens"]
            last = stop >= 0 or count == len(ids)
            yield text[len(sent) :], ("length" if cut_short else "stop") if last else None
            sent = text
            if stop >= 0:
                return


@contextmanager
def small_vllm(bundle: Bundle) -> Iterator[SmallVllm]:
    """The server, listening on loopback."""
    model, tokenizer = load_base(bundle.llm)
    small = SmallVllm(model.eval(), tokenizer)
    with answering(LoopbackServer(Handler, small)) as http:
        small.url = http.url
        yield small


@contextmanager
def vllm_engines(bundle: Bundle, server: SmallVllm) -> Iterator[Callable[..., VllmEngine]]:
    """Makes engines that are closed afterwards.

    Patience is also how long an engine waits for a single answer: a test that wants little of it wants that not.
    """
    made: list[VllmEngine]
    with closed_engines(server) as made:

        def make(
            url: str = server.url, key: str | None = None, *, batch_size: int = 1, patience: float = 60.0
        ) -> VllmEngine:
            at = VllmServer(url, key)
            engine = VllmEngine(bundle, at, device="cpu", dtype=torch.float32, batch_size=batch_size, patience=60.0)
            made.append(engine)
            engine._patience = patience
            return engine

        yield make

"""The part of vLLM's server that we use: completions from ``prompt_embeds``, streamed, with its queue in /metrics.

Slow, one token at a time, by transformers itself; it can be told to be away or full, to break off, to refuse, or
what to say.
"""

import base64
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import torch

from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.llm import load_base

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
class SmallVllm:
    """A server and what it has seen.

    Attributes:
        away: answers 503 to so many requests for text.
        breaks: closes so many streams after the first token.
        waiting: what it says about its queue.
        refuses: the status it answers with, by path.
        chokes_on: the embeddings, as they are sent, that it answers with a 500.
        dies_of: the embeddings that kill it. It then breaks off what it was saying, and answers nothing more,
        dead: until this is cleared, as a supervisor would start it again.
        scripts: the next answers, each a list of events, word for word; each waits for ``pause`` first.
    """

    model: Any
    tokenizer: Any
    url: str = ""
    key: str | None = None
    away: int = 0
    breaks: int = 0
    waiting: int = 0
    chokes_on: str | None = None
    dies_of: str | None = None
    dead: threading.Event = field(default_factory=threading.Event)
    pause: threading.Event | None = None  # each stream waits for it, after its first token
    refuses: dict[str, int] = field(default_factory=dict)
    scripts: list[list[str]] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    dropped: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def reset(self) -> None:
        """Work as at the start, without memory of requests."""
        self.away = self.breaks = self.waiting = 0
        self.pause = self.key = self.chokes_on = self.dies_of = None
        for kept in (self.refuses, self.scripts, self.asked, self.dropped, self.dead):
            kept.clear()

    def texts(self, body: dict[str, Any]) -> Iterator[tuple[str, int, str | None]]:
        """Greedy text piece by piece, the number of tokens so far, and why it ends; nothing after a stop sequence."""
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
            yield text[len(sent) :], count, ("length" if cut_short else "stop") if last else None
            sent = text
            if stop >= 0:
                return


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Http"

    def log_message(self, *_: Any) -> None:
        """Quietly."""

    def do_GET(self) -> None:
        small = self.server.small
        if small.dead.is_set():
            return self._hang_up()
        return self._send(small.refuses.get(self.path, 200), METRICS.format(waiting=small.waiting).encode())

    def do_POST(self) -> None:
        small = self.server.small
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if small.key is not None and self.headers.get("Authorization") != f"Bearer {small.key}":
            return self._send(401, b"{}")
        if small.away > 0:
            small.away -= 1
            return self._send(503, b"{}")
        if self.path in small.refuses:
            return self._send(small.refuses[self.path], b"{}")
        small.asked.append(body)
        if body["prompt_embeds"] == small.dies_of:
            small.dead.set()
        if small.dead.is_set():
            return self._hang_up()
        if body["prompt_embeds"] == small.chokes_on:
            return self._send(500, b"{}")
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            self._stream(small, body)
        except OSError:
            small.dropped.set()
        return None

    def _stream(self, small: SmallVllm, body: dict[str, Any]) -> None:
        tokens = 0
        if small.scripts:
            script = small.scripts.pop(0)
            if small.pause is not None:
                small.pause.wait()
            for event in script:
                self.wfile.write(f"data: {event}\n\n".encode())
            return
        for piece, count, ended in small.texts(body):
            tokens = count
            self._event({"choices": [choice(piece, ended)]})
            if small.breaks > 0:
                small.breaks -= 1
                self._hang_up()
                return
            while small.pause is not None and not small.pause.wait(0.01) and not small.dead.is_set():
                self._event({"choices": [choice("")]})
            if small.dead.is_set():
                self._hang_up()
                return
        self._event({"choices": [], "usage": {"completion_tokens": tokens}})
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(2)

    def _event(self, document: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(document)}\n\n".encode())
        self.wfile.flush()

    def _send(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    small: SmallVllm


@contextmanager
def small_vllm(bundle: Bundle) -> Iterator[SmallVllm]:
    """The server, listening on loopback."""
    model, tokenizer = load_base(bundle.llm)
    small = SmallVllm(model.eval(), tokenizer)
    http = _Http(("127.0.0.1", 0), _Handler)
    http.small = small
    small.url = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield small
    finally:
        http.shutdown()
        thread.join()
        http.server_close()

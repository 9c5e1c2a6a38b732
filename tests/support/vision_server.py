"""The part of a chat server that we use: images in, a streamed answer out. It says which picture it was shown.

A test decides what it says, and how it fails. ``python -m tests.support.vision_server PORT`` runs one to be killed.
"""

import base64
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from tests.support.loopback import LoopbackServer, answering
from tests.support.model_server_standin import Handler, ModelServerStandIn, closed_engines, data
from xraygpt.stack.servers.ports import choose
from xraygpt_core.model.server.backend import ServerEngine
from xraygpt_core.model.server.bundle import ServerBundle, write_server_bundle

MODEL = "google/medgemma-1.5-4b-it"


def pictures(body: dict[str, Any]) -> list[str]:
    """SHA-256 of each picture of a request, in its order."""
    parts = [
        part for message in body["messages"] if isinstance(message["content"], list) for part in message["content"]
    ]
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    return [hashlib.sha256(base64.b64decode(url.partition(",")[2])).hexdigest() for url in urls]


def piece(text: str | None = None, ended: str | None = None, **more: Any) -> dict[str, Any]:
    """An event with a piece of an answer; the last one says why it is the last."""
    return {"choices": [{"index": 0, "delta": {"content": text} | more, "finish_reason": ended}]}


def whole(text: str, ended: str = "stop") -> list[str]:
    """The events of this answer, with their end."""
    return data(piece(text), piece("", ended))


@dataclass
class SmallVision(ModelServerStandIn):
    """One with this model; what it may choke on is the SHA-256 of a picture."""

    TEXTS: ClassVar[str] = "/v1/chat/completions"

    model: str = MODEL
    root: str = "/models/medgemma"
    version: str = "0.32.0"
    fingerprint: str | None = "fp-1"

    def page(self, path: str, authorization: str | None) -> tuple[int, bytes]:
        if not self.lets_in(authorization):
            return 401, b"{}"
        entry = {"id": self.model, "object": "model", "root": self.root, "owned_by": "vllm"}
        answers = {
            "/v1/models": json.dumps({"object": "list", "data": [entry]}),
            "/version": json.dumps({"version": self.version}),
            "/metrics": f'vllm:num_requests_waiting{{model_name="m"}} {self.waiting}.0\n',
        }
        return 200 if path in answers else 404, answers.get(path, "{}").encode()

    def shown(self, body: dict[str, Any]) -> list[str]:
        return pictures(body)

    def knows(self, model: str | None) -> bool:
        return model == self.model

    def pieces(self, body: dict[str, Any]) -> Iterator[tuple[str, str | None]]:
        """Which pictures it saw, and how many messages there were."""
        seen = " and ".join(digest[:16] for digest in pictures(body)) or "nothing"
        text = f"Findings: picture {seen} is clear. Impression: {len(body['messages'])} messages."
        words = text.split(" ")[: body["max_tokens"]]
        for count, word in enumerate(words, 1):
            ended = None if count < len(words) else "length" if count == body["max_tokens"] else "stop"
            yield f"{word} ", ended

    def event(self, text: str, ended: str | None = None) -> dict[str, Any]:
        return piece(text, ended)

    def signature(self) -> dict[str, str]:
        return {"model": self.model} | ({"system_fingerprint": self.fingerprint} if self.fingerprint else {})


@contextmanager
def small_vision() -> Iterator[SmallVision]:
    """The server, listening on loopback."""
    small = SmallVision()
    with answering(LoopbackServer(Handler, small)) as http:
        small.url = f"{http.url}/v1"
        yield small


def vision_bundle(models: Path, url: str, name: str = "vision", **given: Any) -> ServerBundle:
    """A bundle that names this server. ``given``: of ``[server]``, and the tables prompt and decoding."""
    prompt = {"question": "What do you see?"} | given.pop("prompt", {})
    decoding = {"max_new_tokens": 64} | given.pop("decoding", {})
    server = {"url": url, "model": MODEL} | given
    return write_server_bundle(models, name, {"server": server, "prompt": prompt, "decoding": decoding})


@contextmanager
def vision_engines(models: Path, server: SmallVision) -> Iterator[Callable[..., ServerEngine]]:
    """Makes engines that are closed afterwards. ``patience`` is not how long one waits for a single answer."""
    made: list[ServerEngine]
    with closed_engines(server) as made:

        def make(
            url: str | None = None, key: str | None = None, *, batch_size: int = 1, patience: float = 60.0, **given: Any
        ) -> ServerEngine:
            bundle = vision_bundle(models / str(len(made)), url or server.url, timeout=60.0, **given)
            engine = ServerEngine(bundle, key, batch_size=batch_size)
            made.append(engine)
            engine._patience = patience
            return engine

        yield make


@dataclass
class VisionProcess:
    """The same as a process of its own, on one port for ever, which can be killed and started again."""

    port: int = field(default_factory=choose)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        """Start it, unless it runs. It is there when its port answers, which nobody has to wait for."""
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen([sys.executable, "-m", "tests.support.vision_server", str(self.port)])

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


if __name__ == "__main__":
    LoopbackServer(Handler, SmallVision(pace=0.02), int(sys.argv[1])).serve_forever(poll_interval=0.05)

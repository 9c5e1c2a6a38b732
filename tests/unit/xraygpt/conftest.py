"""A small gateway of our own: a real HTTP server that answers as told and remembers what it was asked."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from xraygpt.cli import app


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


@dataclass
class FakeGateway:
    """``answers`` maps "METHOD /path" (without query) to a document, an (HTTP status, document) pair, or a function."""

    url: str = ""
    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def answer(self, asked: Asked) -> tuple[int, Any]:
        self.asked.append(asked)
        known = self.answers.get(f"{asked.method} {asked.path.partition('?')[0]}", (404, {"title": "not found"}))
        known = known(asked) if callable(known) else known
        return known if isinstance(known, tuple) else (200, known)

    def bodies(self, path: str) -> list[Any]:
        """The documents that were posted to a path."""
        return [asked.document for asked in self.asked if asked.method == "POST" and asked.path == path]


class Handler(BaseHTTPRequestHandler):
    gateway: FakeGateway

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, document = self.gateway.answer(Asked(self.command, self.path, dict(self.headers), body))
        content = (
            document if isinstance(document, bytes) else b"" if document is None else json.dumps(document).encode()
        )
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = _handle

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def fake_gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGateway]:
    """The gateway that every command of this test finds."""
    gateway = FakeGateway()
    handler = type("HandlerOfThisTest", (Handler,), {"gateway": gateway})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        gateway.url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("XRAYGPT_GATEWAY_URL", gateway.url)
        monkeypatch.setenv("XRAYGPT_API_KEY", "secret-key")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield gateway
        server.shutdown()
        thread.join()


@pytest.fixture
def xraygpt() -> Callable[..., Result]:
    """Run a command line inside this process."""

    def run(*arguments: str, given: str | None = None) -> Result:
        return CliRunner().invoke(app, arguments, input=given)

    return run

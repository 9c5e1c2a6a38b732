"""A small gateway of our own: a real HTTP server that answers as told and remembers what it was asked."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.support.loopback import LoopbackServer, QuietHandler, answering
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
    """``answers`` maps "METHOD /path" (without query) to a document, an (HTTP status, document) pair, or a function.

    ``ids`` are what a handle may lead to, whatever its kind.
    """

    url: str = ""
    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)

    def answer(self, asked: Asked) -> tuple[int, Any]:
        self.asked.append(asked)
        if asked.path.startswith("/v1/handles/") and f"GET {asked.path}" not in self.answers:
            return 200, {"candidates": self.ending_in(asked.path.rpartition("/")[2])}
        known = self.answers.get(f"{asked.method} {asked.path.partition('?')[0]}", (404, {"title": "not found"}))
        known = known(asked) if callable(known) else known
        return known if isinstance(known, tuple) else (200, known)

    def ending_in(self, ends: str) -> list[dict[str, str]]:
        """The candidates of a handle."""
        found = [one for one in self.ids if one.replace("-", "").endswith(ends)]
        return [{"id": one, "state": "summarised", "at": "2026-11-21T08:15:00Z"} for one in found]

    def bodies(self, path: str) -> list[Any]:
        """The documents that were posted to a path."""
        return [asked.document for asked in self.asked if asked.method == "POST" and asked.path == path]


class Handler(QuietHandler):
    def _handle(self) -> None:
        asked = Asked(self.command, self.path, dict(self.headers), self.body())
        status, document = self.server.state.answer(asked)
        self.send(
            status,
            document if isinstance(document, bytes) else b"" if document is None else json.dumps(document).encode(),
        )

    do_GET = do_POST = do_PUT = do_DELETE = _handle


@pytest.fixture(autouse=True)
def _no_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processes of a parallel run have COLUMNS set, which is a terminal's."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def fake_gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGateway]:
    """The gateway that every command of this test finds."""
    gateway = FakeGateway()
    with answering(LoopbackServer(Handler, gateway)) as server:
        gateway.url = server.url
        monkeypatch.setenv("XRAYGPT_GATEWAY_URL", gateway.url)
        monkeypatch.setenv("XRAYGPT_API_KEY", "secret-key")
        yield gateway


@pytest.fixture
def xraygpt() -> Callable[..., Result]:
    """Run a command line inside this process."""

    def run(*arguments: str, given: str | None = None) -> Result:
        return CliRunner().invoke(app, arguments, input=given)

    return run

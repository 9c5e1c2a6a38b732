"""What the stand-ins of model servers share: an answer that is streamed, and the ways in which a server fails."""

import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar, TypeVar

from tests.support.loopback import KeepAliveHandler
from xraygpt_core.model.remote.engine import RemoteEngine


@dataclass(kw_only=True)
class ModelServerStandIn(ABC):
    """A server and what it has seen.

    Attributes:
        away: answers 503 to so many requests for text, with this Retry-After.
        breaks: closes so many streams after the first piece.
        waiting: what it says about its queue.
        refuses: the status it answers with, by path; ``says`` is the body of such an answer.
        chokes_on: the part of a request (see ``shown``) that it answers with a 500.
        dies_of: the part that kills it. It then breaks off what it was saying, and answers nothing more,
        dead: until this is cleared, as a supervisor would start it again.
        pause: each stream waits for it, after its first piece.
        scripts: the next answers, each a list of events, word for word; each waits for ``pause`` first.
        stays_silent: keeps the connection with comments, and says nothing.
        pace: seconds before each piece.
        TEXTS: the path of a request for text.
    """

    TEXTS: ClassVar[str]

    url: str = ""
    key: str | None = None
    away: int = 0
    retry_after: str | None = None
    breaks: int = 0
    waiting: int = 0
    chokes_on: str | None = None
    dies_of: str | None = None
    stays_silent: bool = False
    pace: float = 0.0
    says: bytes = b"{}"
    pause: threading.Event | None = None
    dead: threading.Event = field(default_factory=threading.Event)
    dropped: threading.Event = field(default_factory=threading.Event)
    refuses: dict[str, int] = field(default_factory=dict)
    scripts: list[list[str]] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)

    def reset(self) -> None:
        """Work as at the start, without memory of requests."""
        for one in fields(self):
            if one.default is not MISSING and one.name != "url":
                setattr(self, one.name, one.default)
        for seen in (self.dead, self.dropped, self.refuses, self.scripts, self.asked):
            seen.clear()

    def choke_on_the_last(self) -> None:
        """Fail from now on, on the request that came last, whatever it answers others."""
        (self.chokes_on,) = self.shown(self.asked[-1])

    @abstractmethod
    def page(self, path: str, authorization: str | None) -> tuple[int, bytes]:
        """What it answers to a GET."""

    @abstractmethod
    def shown(self, body: dict[str, Any]) -> list[str]:
        """The parts of a request that it may choke on."""

    @abstractmethod
    def pieces(self, body: dict[str, Any]) -> Iterator[tuple[str, str | None]]:
        """The tokens of the answer, and why the last one is the last."""

    @abstractmethod
    def event(self, text: str, ended: str | None = None) -> dict[str, Any]:
        """A piece of an answer, as this kind of server writes it."""

    def knows(self, model: str | None) -> bool:
        """Whether it has the model of a request."""
        return True

    def signature(self) -> dict[str, str]:
        """What stands in each of its events beside the text."""
        return {}

    def lets_in(self, authorization: str | None) -> bool:
        """Whether the key is right."""
        return self.key is None or authorization == f"Bearer {self.key}"


class Handler(KeepAliveHandler):
    """Answers for a stand-in."""

    @property
    def standin(self) -> ModelServerStandIn:
        """The one it answers for."""
        known: ModelServerStandIn = self.server.state
        return known

    def version_string(self) -> str:
        return f"{type(self.standin).__name__}/1"

    def do_GET(self) -> None:
        if self.standin.dead.is_set():
            return self.hang_up()
        if self.path in self.standin.refuses:
            return self.send(self.standin.refuses[self.path], self.standin.says)
        return self.send(*self.standin.page(self.path, self.headers.get("Authorization")))

    def do_POST(self) -> None:
        standin, body = self.standin, json.loads(self.body())
        if not standin.lets_in(self.headers.get("Authorization")):
            return self.send(401, b"{}")
        if standin.away > 0:
            standin.away -= 1
            return self.send(503, b"{}", {"Retry-After": standin.retry_after} if standin.retry_after else {})
        if self.path in standin.refuses:
            return self.send(standin.refuses[self.path], standin.says)
        if not standin.knows(body.get("model")):
            return self.send(404, b"{}")
        standin.asked.append(body)
        if standin.dies_of in standin.shown(body):
            standin.dead.set()
        if standin.dead.is_set():
            return self.hang_up()
        if standin.chokes_on in standin.shown(body):
            return self.send(500, b"{}")
        return self._answer(body)

    def _answer(self, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            while self.standin.stays_silent:
                self.wfile.write(b": still here\n\n")
                self.wfile.flush()
                threading.Event().wait(0.02)
            if self.standin.scripts:
                self._recite(self.standin.scripts.pop(0))
            else:
                self._write(body)
        except OSError:
            self.standin.dropped.set()

    def _recite(self, script: list[str]) -> None:
        if self.standin.pause is not None:
            self.standin.pause.wait()
        for event in script:
            self.wfile.write(f"data: {event}\n\n".encode())

    def _write(self, body: dict[str, Any]) -> None:
        standin, tokens = self.standin, 0
        for text, ended in standin.pieces(body):
            tokens += 1
            threading.Event().wait(standin.pace)
            self._event(standin.event(text, ended))
            if standin.breaks > 0:
                standin.breaks -= 1
                return self.hang_up()
            while standin.pause is not None and not standin.pause.wait(0.01) and not standin.dead.is_set():
                self._event(standin.event(""))
            if standin.dead.is_set():
                return self.hang_up()
        self._event({"choices": [], "usage": {"completion_tokens": tokens}})
        self.wfile.write(b"data: [DONE]\n\n")
        return None

    def _event(self, document: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(document | self.standin.signature())}\n\n".encode())
        self.wfile.flush()


def data(*events: dict[str, Any]) -> list[str]:
    """An answer of these events, with its end."""
    return [*(json.dumps(event) for event in events), "[DONE]"]


E = TypeVar("E", bound=RemoteEngine[Any])


@contextmanager
def closed_engines(server: ModelServerStandIn) -> Iterator[list[E]]:
    """A list of engines before this server, which are closed afterwards, whatever the server does to them then."""
    made: list[E] = []
    yield made
    if server.pause is not None:
        server.pause.set()
    server.stays_silent = False
    for engine in made:
        engine.close()

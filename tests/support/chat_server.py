"""An OpenAI-compatible endpoint on loopback that answers as a test tells it, and remembers what it was asked."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.loopback import LoopbackServer, QuietHandler, answering


@dataclass
class Reply:
    """What is answered: a status with headers and bytes."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def said(text: str, tokens_in: int = 100, tokens_out: int = 50, finish: str = "stop") -> Reply:
    """A whole answer."""
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": finish}
    usage = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out}
    return Reply(body=json.dumps({"choices": [choice], "usage": usage}).encode())


Answer = Callable[[dict[str, Any]], Reply]  # of what was asked


class ChatServer(LoopbackServer):
    """Answers ``POST …/chat/completions``."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(_Handler)
        self.answer = answer
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"{super().url}/v1"


class _Handler(QuietHandler):
    server: ChatServer

    def do_POST(self) -> None:
        asked = json.loads(self.body())
        with self.server.lock:
            self.server.asked.append(asked)
            self.server.keys.append(self.headers["Authorization"])
        reply = self.server.answer(asked)
        self.send(reply.status, reply.body, reply.headers)


@contextmanager
def chat_server(answer: Answer) -> Iterator[ChatServer]:
    """A running one."""
    server = ChatServer(answer)
    with answering(server):
        yield server


def report_in(asked: dict[str, Any]) -> tuple[str, str]:
    """Findings and impression of the report a prompt is about."""
    prompt = asked["messages"][-1]["content"]
    findings = prompt.partition("Findings: ")[2].partition("\n\n")[0]
    return findings, prompt.partition("Impression: ")[2].partition("\n\n")[0]

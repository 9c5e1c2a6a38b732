"""An OpenAI-compatible endpoint on loopback that answers as a test tells it, and remembers what it was asked."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MAX_BODY = 2**20


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


class ChatServer(ThreadingHTTPServer):
    """Answers ``POST …/chat/completions``."""

    daemon_threads = True

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no error of ours."""


class _Handler(BaseHTTPRequestHandler):
    server: ChatServer

    def do_POST(self) -> None:
        length = min(int(self.headers["Content-Length"]), MAX_BODY)
        asked = json.loads(self.rfile.read(length))
        with self.server.lock:
            self.server.asked.append(asked)
            self.server.keys.append(self.headers["Authorization"])
        reply = self.server.answer(asked)
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, *args: Any) -> None:
        """Quiet."""


@contextmanager
def chat_server(answer: Answer) -> Iterator[ChatServer]:
    """A running one."""
    server = ChatServer(answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def report_in(asked: dict[str, Any]) -> tuple[str, str]:
    """Findings and impression of the report a prompt is about."""
    prompt = asked["messages"][-1]["content"]
    findings = prompt.partition("Findings: ")[2].partition("\n\n")[0]
    return findings, prompt.partition("Impression: ")[2].partition("\n\n")[0]

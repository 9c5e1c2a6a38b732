"""A host that answers every request for a file as a test wants it: too little, too much, or a page."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class OddHost:
    """Where it is, what it answers (the last one again and again), and which ranges it was asked for."""

    url: str
    answers: list[Answer] = field(default_factory=list)
    asked: list[str | None] = field(default_factory=list)


def plain(body: bytes, status: int = 200, **headers: str) -> Answer:
    """An answer with its length, or with the one in ``Content_Length``."""
    stated = {"Content_Length": str(len(body))} | headers

    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in stated.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)
        handler.close_connection = int(stated["Content_Length"]) != len(body)

    return send


def chunked(*chunks: bytes, ends: bool = True) -> Answer:
    """An answer without a length; the last chunk is repeated until the client is gone, unless it ``ends``."""

    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for chunk in chunks:
            _write(handler, chunk)
        while not ends:
            _write(handler, chunks[-1])
        _write(handler, b"")

    return send


def _write(handler: BaseHTTPRequestHandler, chunk: bytes) -> None:
    handler.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))


@contextmanager
def odd_host() -> Iterator[OddHost]:
    """One that listens on this machine."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            host.asked.append(self.headers.get("Range"))
            answer = host.answers.pop(0) if len(host.answers) > 1 else host.answers[0]
            try:
                answer(self)
            except OSError:  # it was not taken to its end
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    host = OddHost(f"http://127.0.0.1:{server.server_address[1]}/weights.bin")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield host
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

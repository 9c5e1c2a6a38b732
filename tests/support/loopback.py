"""HTTP servers of the tests: they listen on loopback in threads of this process, and print nothing."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar


class QuietHandler(BaseHTTPRequestHandler):
    """Answers with a status, headers and bytes. The connection ends with the answer."""

    server: "LoopbackServer"

    def log_message(self, *_: Any) -> None:
        """A test prints nothing."""

    def body(self) -> bytes:
        """What came with the request."""
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def send(self, status: int, content: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """Answer. A length among the headers counts instead of the content's own; an answer to HEAD has no body."""
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | dict(headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def hang_up(self) -> None:
        """End the connection as a process that dies would."""
        self.close_connection = True
        self.connection.shutdown(2)


class KeepAliveHandler(QuietHandler):
    """The same, and the connection stays for the next request."""

    protocol_version = "HTTP/1.1"


class LoopbackServer(ThreadingHTTPServer):
    """A thread for each connection. The handler finds what it answers for as ``self.server.state``."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, handler: type[BaseHTTPRequestHandler], state: Any = None, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), handler)
        self.state = state

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no error of ours."""


S = TypeVar("S", bound=LoopbackServer)


@contextmanager
def answering(server: S) -> Iterator[S]:
    """While the block runs, the server answers."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

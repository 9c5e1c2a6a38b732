"""An HTTP proxy in front of an S3 server that answers as a bucket in trouble does."""

import http.client
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal
from urllib.parse import urlsplit

from tests.support.loopback import KeepAliveHandler, LoopbackServer

Trouble = Literal["none", "busy", "slow", "truncated", "reset", "full", "forbidden"]
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}
_SLOW_SECONDS = 1.0
_REFUSALS = {
    "busy": ("SlowDown", 503),
    "full": ("XMinioStorageFull", 507),
    "forbidden": ("InvalidObjectState", 403),
}


class FaultyS3:
    """Forwards everything; while in trouble, a share of the requests does not get what it asked for.

    ``busy``: 503 SlowDown. ``slow``: the answer comes a second late. ``truncated``: half of a body, then the connection
    ends. ``reset``: the connection ends before the answer. ``full``: a PUT finds the disk full.
    ``forbidden``: 403 InvalidObjectState. Trouble falls only on paths with ``only`` in them.
    """

    def __init__(self, url: str) -> None:
        self.target = urlsplit(url)
        self.trouble: Trouble = "none"
        self.share = 0.0
        self.only = ""
        self.troubled = 0
        self._server = LoopbackServer(_Handler, self)
        self.url = self._server.url
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @contextmanager
    def in_trouble(self, trouble: Trouble, share: float) -> Iterator[None]:
        """While the block runs, this trouble falls on a share (0 to 1) of the requests."""
        self.trouble, self.share, self.troubled = trouble, share, 0
        try:
            yield
        finally:
            self.trouble = "none"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def falls_on(self, method: str, path: str) -> Trouble:
        """What happens to this request; it is counted."""
        fits = method == "PUT" if self.trouble == "full" else self.trouble != "truncated" or method == "GET"
        fits = fits and self.only in path
        if self.trouble == "none" or not fits or random.random() >= self.share:
            return "none"
        self.troubled += 1
        return self.trouble


class _Handler(KeepAliveHandler):
    def forward(self) -> None:
        body = self.body()
        trouble = self.server.state.falls_on(self.command, self.path)
        if trouble == "reset":
            self.hang_up()
            return
        if trouble in _REFUSALS:
            self._refuse(trouble)
            return
        if trouble == "slow":
            time.sleep(_SLOW_SECONDS)
        target = self.server.state.target
        upstream = http.client.HTTPConnection(target.hostname or "", target.port, timeout=30)
        try:
            upstream.request(self.command, self.path, body, dict(self.headers.items()))
            self._answer(upstream.getresponse(), cut=trouble == "truncated")
        finally:
            upstream.close()

    def _answer(self, answer: http.client.HTTPResponse, *, cut: bool) -> None:
        data = answer.read()
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", answer.getheader("Content-Length") or str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if cut else data)
        if cut and data:
            self.hang_up()

    def _refuse(self, trouble: str) -> None:
        code, status = _REFUSALS[trouble]
        data = f"<Error><Code>{code}</Code><Message>in trouble</Message></Error>".encode()
        self.send(status, data, {"Content-Type": "application/xml"})

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = forward

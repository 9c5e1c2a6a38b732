"""Who asks in the background whether a server answers."""

import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

from xraygpt.stack.processes.liveness import Liveness


class Server(BaseHTTPRequestHandler):
    statuses = (503, 200)
    asked = 0

    def do_GET(self) -> None:
        self.send_response(self.statuses[min(Server.asked, 1)])
        self.send_header("Content-Length", "0")
        self.end_headers()
        Server.asked += 1

    def log_message(self, *_: object) -> None:
        pass


def test_it_keeps_in_mind_when_an_address_answered_well() -> None:
    with HTTPServer(("127.0.0.1", 0), Server) as server:
        began = time.monotonic()
        asking = Liveness(f"http://127.0.0.1:{server.server_port}/healthz", every_seconds=0.01)
        assert asking.answered() == 0.0
        for _ in range(2):
            server.handle_request()
        end = time.monotonic() + 20
        while not asking.answered() and time.monotonic() < end:
            threading.Event().wait(0.01)
        asking.close()
        assert began < asking.answered() <= time.monotonic()

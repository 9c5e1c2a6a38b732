"""Small programs that stand in for the gateway and the workers where a test is about the supervisor.

``python stack_standin.py supervisor`` runs the real supervisor, with the real services, on these programs.
"""

import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

KEY_FILE = Path("known-keys")  # in the working directory the supervisor gives us


class Gateway(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        key = self.headers.get("Authorization", "").removeprefix("Bearer ")
        known = KEY_FILE.exists() and key in KEY_FILE.read_text().split()
        if self.path == "/v1/events/s3":
            known = key == os.environ["XRAYGPT_WEBHOOK_TOKEN"]
        self.send_response(200 if self.path == "/readyz" or known else 401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def gateway() -> None:
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["XRAYGPT_GATEWAY_PORT"])), Gateway).serve_forever()


class Stranger(BaseHTTPRequestHandler):
    """Says that it is ready, as SeaweedFS's servers do, and knows nothing of our routes."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/readyz" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def stranger() -> None:
    with ThreadingHTTPServer(("127.0.0.1", int(os.environ["XRAYGPT_GATEWAY_PORT"])), Stranger) as server:
        for _ in range(6):
            server.handle_request()
    sys.exit(3)


def worker() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        signal.pause()


def stubborn() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        signal.pause()


def broken() -> None:
    sys.exit(3)


def migrations() -> None:
    import psycopg

    with psycopg.connect(os.environ["XRAYGPT_DATABASE_URL"], autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'xraygpt_reader'").fetchone():
            connection.execute("CREATE ROLE xraygpt_reader")


def create_key() -> None:
    key = f"key-{os.urandom(4).hex()}"
    with KEY_FILE.open("a") as file:
        file.write(f"{key}\n")
    sys.stdout.write(f"{key}\n")


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def run_supervisor() -> None:
    """Prints the lines of progress and ``ready``; XRAYGPT_STANDINS may replace a program by another of this
    file, or by ``product``: the real one.
    """
    from xraygpt.stack import supervisor
    from xraygpt.stack.processes.child import StackError
    from xraygpt.stack.settings.home import Home
    from xraygpt_core import shutdown

    shutdown.MARGIN_SECONDS = float(os.environ.get("XRAYGPT_STANDIN_MARGIN_SECONDS", shutdown.MARGIN_SECONDS))
    replaced = json.loads(os.environ.get("XRAYGPT_STANDINS", "{}"))
    roles = (
        dict.fromkeys(["ingest", "gpu", "training", "control", "flower"], "worker") | {"gateway": "gateway"} | replaced
    )
    here = [sys.executable, __file__]
    once = {"migrations": [*here, "migrations"], "create-key": [*here, "create_key"]}
    if "XRAYGPT_STANDIN_MIGRATES" in os.environ:
        once["migrations"] = supervisor.ONCE["migrations"]
    programs = {name: supervisor.PROGRAMS[name] if role == "product" else [*here, role] for name, role in roles.items()}
    stack = supervisor.Supervisor(
        Home(Path(os.environ["XRAYGPT_HOME"])),
        os.environ,
        tell,
        once=once,
        programs=programs,
    )
    try:
        stack.run(lambda _: tell("ready"))
    except StackError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    (run_supervisor if sys.argv[1] == "supervisor" else globals()[sys.argv[1]])()

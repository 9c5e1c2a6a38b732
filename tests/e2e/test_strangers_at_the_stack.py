"""Another user of the machine at every port and socket of the running stack: no credential, no answer worth having.

Who serves what is found in /proc, so that a port nobody thought of fails the first test here. The S3 server's own
interfaces are walked more closely in tests/integration/stack/test_strangers.py.
"""

import json
import struct
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.strangers import as_nobody, descendants, listening, needs_another_user, unix_sockets
from xraygpt.stack.servers.s3 import GRPC_OFFSET

pytestmark = [needs_another_user, pytest.mark.timeout(900)]

# What the gateway shows to anybody: that it runs, how it is called, and the page one signs in at.
GATEWAY = {"/", "/healthz", "/readyz", "/metrics", "/docs", "/openapi.json", "/room/", "/assets/"}
OPEN = {"gateway": GATEWAY, "flower": {"/healthcheck"}, "s3": {"/healthz", "/status", "/readyz"}}
OPEN["worker"] = {"/healthz"}
PATHS = [
    *("/", "/healthz", "/readyz", "/metrics", "/docs", "/openapi.json", "/status", "/healthcheck", "/debug/pprof/"),
    *("/v1/me", "/v1/status", "/v1/worklist", "/v1/studies", "/v1/summaries", "/v1/dead", "/v1/backlogs", "/v1/runs"),
    *("/v1/keys", "/v1/audit", "/v1/events/s3", "/api/workers", "/api/tasks", "/dashboard", "/workers", "/tasks"),
    *("/dir/status", "/vol/status", "/col/delete?collection=nothing", "/buckets/", "/ui/index.html"),
]


def served_by(facts: dict[str, Any], home: Path) -> dict[int, str]:
    """Every port of the stack, and who listens there."""
    urls = {"gateway": "gateway_url", "flower": "flower_url", "postgres": "database_url", "broker": "redis_url"}
    known = {urlsplit(facts[url]).port or 0: name for name, url in urls.items()}
    for name, port in json.loads((home / "s3" / "service.json").read_text())["ports"].items():
        known |= {port: "s3" if name == "s3" else "inside s3", port + GRPC_OFFSET: "inside s3"}
    metrics = {urlsplit(url).port or 0: "worker" for url in facts["metrics_urls"].values()}
    return metrics | known  # the gateway shows its own at its own port


def processes(facts: dict[str, Any]) -> list[int]:
    return sorted({one for pid in facts["pids"].values() if pid for one in (pid, *descendants(pid))})


def test_every_port_is_known_and_on_loopback(stack: Any) -> None:
    found = {one for pid in processes(stack.facts) for one in listening(pid)}
    assert {address for address, _ in found} == {"127.0.0.1"}
    assert {port for _, port in found} <= set(served_by(stack.facts, stack.home))


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_requests_without_a_credential_are_given_what_everybody_may_know(stack: Any, scheme: str) -> None:
    for port, name in served_by(stack.facts, stack.home).items():
        urls = [f"{scheme}://127.0.0.1:{port}{path}" for path in PATHS]
        # Who speaks no TLS waits for the rest of what is no request: once is enough.
        command = ["curl", "-skg", "-m", "2", *(["--fail-early"] if scheme == "https" else [])]
        said = as_nobody([*command, "-w", "\n= %{http_code} %{url}\n", *urls], seconds=300)
        given = {urlsplit(line.split()[2]).path for line in said.splitlines() if line.startswith("= 2")}
        assert given <= OPEN.get(name, set()), f"{name} at {port}"


def raw(port: int, request: bytes) -> bytes:
    """What a server answers to these bytes within a second."""
    octal = "".join(f"\\{byte:03o}" for byte in request)
    script = f"exec 3<>/dev/tcp/127.0.0.1/{port} && printf '{octal}' >&3 && timeout 1 cat <&3"
    return as_nobody(["bash", "-c", script]).encode(errors="replace")


def test_the_broker_asks_for_its_password(stack: Any) -> None:
    port = urlsplit(stack.facts["redis_url"]).port or 0
    commands = ("PING", "KEYS *", "CONFIG GET *", "MONITOR", "FLUSHALL", "HELLO 3")
    said = raw(port, "".join(f"{command}\r\n" for command in commands).encode())
    assert [line[:7] for line in said.splitlines()] == [b"-NOAUTH"] * len(commands)


def test_the_database_asks_for_a_password(stack: Any) -> None:
    """PostgreSQL's protocol 3.0: the answer to a startup message is "R", a length and a code; 0 would let us in."""
    port = urlsplit(stack.facts["database_url"]).port or 0
    for user, database in (("xraygpt", "xraygpt"), ("xraygpt_reader", "xraygpt"), ("postgres", "postgres")):
        body = b"".join(word.encode() + b"\0" for word in ("user", user, "database", database)) + b"\0"
        said = raw(port, struct.pack(">II", len(body) + 8, 196608) + body)
        assert said[:1] in (b"R", b"E")
        assert said[:1] == b"E" or said[5:9] != b"\0\0\0\0"


def test_no_socket_takes_a_stranger_s_call(stack: Any) -> None:
    for path in {one for pid in processes(stack.facts) for one in unix_sockets(pid)}:
        said = as_nobody(["curl", "-s", "-m", "5", "-w", "= %{http_code}", "--unix-socket", str(path), "http://x/"])
        assert said == "= 000"


def test_neither_files_nor_environments_are_readable_and_no_argument_is_a_secret(stack: Any) -> None:
    files = [str(path) for path in stack.home.rglob("*")]
    assert "cannot access" in as_nobody(["ls", str(stack.home)]) or "Permission" in as_nobody(["ls", str(stack.home)])
    assert as_nobody(["cat", *files[:500]]).count("Permission denied") == len(files[:500])
    secrets = [value for name, value in stack.facts.items() if name.endswith(("key", "password", "token"))]
    secrets += [urlsplit(stack.facts[url]).password for url in ("database_url", "redis_url", "reader_url")]
    for pid in processes(stack.facts):
        said = as_nobody(["cat", f"/proc/{pid}/environ"])
        assert "Permission denied" in said or not Path(f"/proc/{pid}").exists()  # sessions of the database end
        arguments = as_nobody(["cat", f"/proc/{pid}/cmdline"])
        assert not [secret for secret in secrets if secret and secret in arguments]

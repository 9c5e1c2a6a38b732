"""A small hub of our own, which speaks the protocol as ``huggingface_hub`` uses it, over real connections.

Small files are answered at once, with git's hash of a blob as ETag; weights lead to another host (``localhost`` for
``127.0.0.1``), as those of a hub lead to its content network, with ``X-Linked-ETag`` (SHA-256) and ``X-Linked-Size``.
"""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import unquote

from tests.support.loopback import KeepAliveHandler, LoopbackServer, answering

GOOD_TOKEN, STRANGER = "hf_good", "hf_stranger"  # the second is known, and was never let in
_WEIGHTS = (".safetensors", ".bin", ".pt", ".model")


@dataclass
class Repo:
    """One repository at one commit. ``before``: older commits, and their files."""

    files: dict[str, bytes]
    commit: str
    gated: bool = False
    before: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def moves_on(self, commit: str, **files: bytes) -> None:
        """Put a commit on the branch."""
        self.before[self.commit] = dict(self.files)
        self.commit, self.files = commit, self.files | files


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass
class HubServer:
    """What the hub holds, how it misbehaves, and what it was asked.

    Attributes:
        moved: old name -> new name.
        limits, weight_limits: headers of the next answers 429, one each; the second kind for weights alone.
        broken: how many of the next requests are answered with 500.
        cut: bytes after which the next bodies of weights end, one each.
        stall: bytes after which a body waits until ``go``; then ``stalled`` is set.
        lies: SHA-256 -> the bytes that are served for it.
        promised: file -> a size that is stated instead of its own.
        ranges: whether it answers a part when asked for one.
    """

    repos: dict[str, Repo] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    limits: list[dict[str, str]] = field(default_factory=list)
    broken: int = 0
    weight_limits: list[dict[str, str]] = field(default_factory=list)
    cut: list[int] = field(default_factory=list)
    stall: int | None = None
    go: threading.Event = field(default_factory=threading.Event)
    stalled: threading.Event = field(default_factory=threading.Event)
    lies: dict[str, bytes] = field(default_factory=dict)
    promised: dict[str, int] = field(default_factory=dict)
    ranges: bool = True
    asked: list[Asked] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        """For HF_ENDPOINT."""
        return f"http://127.0.0.1:{self.port}"

    def weights(self, digest: str) -> bytes:
        """What the other host sends for a hash."""
        kept = (files for repo in self.repos.values() for files in (repo.files, *repo.before.values()))
        blobs = (blob for files in kept for blob in files.values())
        return self.lies.get(digest) or next(blob for blob in blobs if sha256(blob) == digest)

    def bodies(self) -> list[Asked]:
        """The requests for bytes of weights."""
        return [one for one in self.asked if one.method == "GET" and one.path.startswith("/cdn/")]


def sha256(blob: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(blob).hexdigest()


def git_hash(blob: bytes) -> str:
    """As git names a blob."""
    return hashlib.sha1(b"blob %d\0" % len(blob) + blob, usedforsecurity=False).hexdigest()


class _Handler(KeepAliveHandler):
    @property
    def hub(self) -> HubServer:
        known: HubServer = self.server.state
        return known

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(self.path.partition("?")[0])
        self.hub.asked.append(Asked(self.command, path, {name.lower(): text for name, text in self.headers.items()}))
        if self.hub.broken:
            self.hub.broken -= 1
            self._send(500, {})
        elif self.hub.limits:
            self._send(429, self.hub.limits.pop(0))
        elif path.startswith("/cdn/") and self.hub.weight_limits:
            self._send(429, self.hub.weight_limits.pop(0))
        elif path.startswith("/cdn/"):
            self._weights(path.removeprefix("/cdn/"))
        elif path.startswith("/api/models/"):
            name, _, revision = path.removeprefix("/api/models/").partition("/revision/")
            self._listing(name, revision)
        else:
            name, _, rest = path.strip("/").partition("/resolve/")
            revision, _, file = rest.partition("/")
            self._file(name, revision, file)

    def _repo(self, name: str, revision: str, *, reading: bool) -> Repo | None:
        """The repository, or None where it was refused or led elsewhere."""
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        repo = self.hub.repos.get(name)
        if token not in ("", GOOD_TOKEN, STRANGER):
            self._send(401, {"X-Error-Message": "Invalid credentials in Authorization header"})
        elif name in self.hub.moved:
            self._send(307, {"Location": self.path.replace(name, self.hub.moved[name], 1)})
        elif repo is None:
            self._send(404 if token else 401, {"X-Error-Code": "RepoNotFound"})
        elif revision not in (repo.commit, "main", *repo.before):
            self._send(404, {"X-Error-Code": "RevisionNotFound"})
        elif reading and repo.gated and token != GOOD_TOKEN:
            self._send(403 if token else 401, {"X-Error-Code": "GatedRepo"})
        else:
            return Repo(repo.before[revision], revision) if revision in repo.before else repo
        return None

    def _listing(self, name: str, revision: str) -> None:
        repo = self._repo(name, revision or "main", reading=False)
        if repo is not None:
            siblings = [{"rfilename": file} for file in sorted(repo.files)]
            content = {
                "id": name,
                "modelId": name,
                "sha": repo.commit,
                "siblings": siblings,
                "tags": [],
                "downloads": 0,
            }
            self._send(200, {"Content-Type": "application/json"}, json.dumps(content).encode())

    def _file(self, name: str, revision: str, file: str) -> None:
        repo = self._repo(name, revision, reading=True)
        if repo is None:
            return
        headers = {"X-Repo-Commit": repo.commit}
        blob = repo.files.get(file)
        if blob is None:
            self._send(404, headers | {"X-Error-Code": "EntryNotFound"})
        elif file.endswith(_WEIGHTS):
            digest, size = sha256(blob), self.hub.promised.get(file, len(blob))
            headers |= {"X-Linked-ETag": f'"{digest}"', "X-Linked-Size": str(size)}
            self._send(302, headers | {"Location": f"http://localhost:{self.hub.port}/cdn/{digest}"})
        else:
            self._send(200, headers | {"ETag": f'"{git_hash(blob)}"'}, blob)

    def _weights(self, digest: str) -> None:
        blob = self.hub.weights(digest)
        begins = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        if begins and self.hub.ranges:
            if begins >= len(blob):
                self._send(416, {"Content-Range": f"bytes */{len(blob)}"})
                return
            self._send(206, {"Content-Range": f"bytes {begins}-{len(blob) - 1}/{len(blob)}"}, blob[begins:])
        else:
            self._send(200, {}, blob)

    def _send(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET" and body:
            self._write(body)

    def _write(self, body: bytes) -> None:
        weights = self.path.startswith("/cdn/")
        if weights and self.hub.cut:
            self.wfile.write(body[: self.hub.cut.pop(0)])
            self.close_connection = True
        elif weights and self.hub.stall is not None:
            self.wfile.write(body[: self.hub.stall])
            self.wfile.flush()
            self.hub.stalled.set()
            self.hub.go.wait(60)
        else:
            self.wfile.write(body)


@contextmanager
def hub_server() -> Iterator[HubServer]:
    """A hub that listens on this machine."""
    hub = HubServer()
    with answering(LoopbackServer(_Handler, hub)) as server:
        hub.port = server.server_port
        try:
            yield hub
        finally:
            hub.go.set()

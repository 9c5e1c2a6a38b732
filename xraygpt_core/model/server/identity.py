"""Which model a server says that it has: it must stay the one that the bundle was made with.

A server that is started again with another model under the same name would write texts in the bundle's name.
"""

import json
import threading
from collections.abc import Mapping
from typing import Any

import httpx

from xraygpt_core.errors import ConfigurationError
from xraygpt_core.model.remote.health import ServerFailed
from xraygpt_core.model.remote.stream import read
from xraygpt_core.model.server.bundle import ChatServer
from xraygpt_core.model.server.responses import check_key
from xraygpt_core.plain_text import plain_text

_LONGEST = 200  # characters of a value
_MOST = 5  # names that a message lists
# Of the model's entry in /models: vLLM's folder or repository, the server's software, llama.cpp's sizes.
_ENTRY, _SIZES = ("root", "owned_by"), ("n_params", "n_vocab", "n_embd", "size")
FINGERPRINT, ANSWERS_AS = "fingerprint", "answers_as"


class Identity:
    """What the server has said about its model, from its bundle on. Safe for many threads."""

    def __init__(self, server: ChatServer) -> None:
        self._server = server
        self._lock = threading.Lock()
        self.known: dict[str, str] = dict(server.expects)

    def check(self, said: Mapping[str, str | None]) -> None:
        """Remember what it says for the first time.

        Raises:
            ConfigurationError: it said something else before.
        """
        with self._lock:
            for name, value in said.items():
                if value is None:
                    continue
                value, known = plain(value), self.known.setdefault(name, plain(value))
                if value != known:
                    raise ConfigurationError(
                        f"the model server at {self._server.url} has another model now: {name} is {value!r} and was "
                        f"{known!r}; start it with the former model, or make a bundle of this one "
                        "(xraygpt models add-server)"
                    )


def model_entry(client: httpx.Client, server: ChatServer) -> dict[str, str | None]:
    """What the server's list of models says about ours; nothing where it has no such list.

    Raises:
        ConfigurationError: the model is not on the list, or the key is refused.
        ServerFailed, httpx.HTTPError: it does not answer.
    """
    status, content = read(client, f"{server.url.rstrip('/')}/models", lambda response: check_key(response, server))
    if status in (httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED, httpx.codes.NOT_IMPLEMENTED):
        return {}
    if not httpx.codes.is_success(status):
        raise ServerFailed(f"answers {status} to /models")
    models = _models(content)
    if not models:
        raise ServerFailed("has loaded no model yet")
    for entry in models:
        if entry.get("id") == server.model:
            return _described(entry)
    names = ", ".join(plain(str(entry.get("id"))) for entry in models[:_MOST])
    raise ConfigurationError(f"the model server at {server.url} has no model {server.model!r}; it has {names}")


def software(client: httpx.Client, server: ChatServer) -> dict[str, str]:
    """Name and version of the server's program, as far as it says them."""
    found: dict[str, str] = {}

    def named(response: httpx.Response) -> None:
        if "server" in response.headers:
            found["server_header"] = plain(response.headers["server"])

    status, content = read(client, f"{root_of(server.url)}/version", named)
    document = _document(content) if httpx.codes.is_success(status) else None
    if isinstance(document, dict) and isinstance(document.get("version"), str):
        found["server_version"] = plain(document["version"])
    return found


def root_of(url: str) -> str:
    """The server's own address: /metrics and /version stand beside /v1."""
    return url.rstrip("/").removesuffix("/v1")


def plain(value: str) -> str:
    """A server's word, as far as it may stand in the provenance and in our sentences."""
    return plain_text(value, lines=False)[:_LONGEST]


def _models(content: bytes) -> list[dict[str, Any]]:
    document = _document(content)
    listed = document.get("data") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ServerFailed("says nonsense about its models")
    return [entry for entry in listed if isinstance(entry, dict)]


def _document(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _described(entry: Mapping[str, Any]) -> dict[str, str | None]:
    meta = entry.get("meta")
    sizes = meta if isinstance(meta, dict) else {}
    named = {name: entry[name] for name in _ENTRY if isinstance(entry.get(name), str)}
    return named | {name: str(sizes[name]) for name in _SIZES if isinstance(sizes.get(name), int)}

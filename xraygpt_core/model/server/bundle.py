"""A bundle whose model a chat server has: address, model, and everything else that its texts depend on.

No torch here. Its ``bundle.toml`` has ``served_by = "server"``, the tables ``[server]``, ``[prompt]``, ``[decoding]``
and ``[scope]``, and never a key: only the name of the variable that holds one.
"""

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from xraygpt_core.model.backend import ImageRole
from xraygpt_core.model.bundle import (
    FILE,
    Bundle,
    Decoding,
    ServedBy,
    bundle_path,
    parse_bundle,
    read_with,
    tables_in,
    write_toml,
)
from xraygpt_core.model.compose import new_bundle_of
from xraygpt_core.scope import UNDECLARED, Scope, parse_scope, scope_table

KEY_VARIABLE = "XRAYGPT_SERVER_KEY"
CLINICAL = ("indication", "technique", "comparison", "prior_report")
# A bundle from elsewhere must not be able to name another secret of the worker and send it away.
_KEY_NAME = re.compile(rf"{KEY_VARIABLE}(_[A-Z0-9_]{{1,40}})?")
_TABLES = {"format", "name", "served_by", "server", "prompt", "decoding", "scope", "files"}
_LEAST_SIDE, _MOST_SIDE = 64, 4096


@dataclass(frozen=True)
class ChatServer:
    """The server that has the model, and how it is spoken to.

    Attributes:
        url: the API's address, before ``/chat/completions``; mostly it ends with ``/v1``.
        api_key_env: the variable that holds its key; None: it asks for none.
        image_size: the longer side, in pixels, that a larger film is made smaller to; None: as ingest stored it.
        system: the system message; None: none.
        think: what begins and what ends the model's thinking inside its text; None: it does not think aloud there.
        answer: the answer alone stands in ``\\boxed{…}`` (boxed) or ``<answer>…</answer>`` (tagged); None: it is all.
        seeds: it takes a seed, and the same seed gives the same text.
        timeout: seconds of silence after which a study is handed back.
        expects: what it said about the model when the bundle was made; it must say so still.
    """

    url: str
    model: str
    api_key_env: str | None = None
    image_format: Literal["png", "jpeg"] = "png"
    image_size: int | None = None
    system: str | None = None
    think: tuple[str, str] | None = None
    answer: Literal["boxed", "tagged"] | None = None
    seeds: bool = True
    timeout: float = 60.0
    expects: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise ValueError("[server] url is an http:// or https:// address, without a password and a query")
        if not self.model:
            raise ValueError("[server] model is empty: it is the name that the server knows the model by")
        if self.api_key_env is not None and not _KEY_NAME.fullmatch(self.api_key_env):
            raise ValueError(f"[server] api_key_env is the name {KEY_VARIABLE}, or begins with {KEY_VARIABLE}_")
        if self.image_format not in ("png", "jpeg"):
            raise ValueError('[server] image_format is "png" or "jpeg"')
        if self.image_size is not None and not _LEAST_SIDE <= self.image_size <= _MOST_SIDE:
            raise ValueError(f"[server] image_size lies between {_LEAST_SIDE} and {_MOST_SIDE} pixels")
        if self.answer not in (None, "boxed", "tagged"):
            raise ValueError('[server] answer is "boxed" or "tagged"')
        if self.think is not None and [bool(mark) for mark in self.think] != [True, True]:
            raise ValueError('[server] think names two marks, such as ["<think>", "</think>"]')
        if not 1 <= self.timeout <= 3600:
            raise ValueError("[server] timeout lies between 1 and 3600 seconds")


@dataclass(frozen=True)
class ServerBundle:
    """A parsed ``bundle.toml`` of this kind; what it has in common with a :class:`Bundle` is called the same.

    Attributes:
        images: which films of a study are sent, as far as there are such.
        clinical: which of what was known before goes with them (names of :data:`CLINICAL`).
    """

    name: str
    path: Path
    sha256: str
    server: ChatServer
    question: str
    decoding: Decoding
    images: tuple[ImageRole, ...] = (ImageRole.FRONTAL,)
    clinical: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    scope: Scope = UNDECLARED

    @property
    def reads_clinical(self) -> bool:
        """Do the hospital's words go with the films?"""
        return bool(self.clinical)

    @property
    def served_by(self) -> ServedBy:
        """By a server, always."""
        return ServedBy.SERVER

    @property
    def why_never_the_same(self) -> str | None:
        """Why the same request may get another text; None if it gets the same, as far as the server keeps its word."""
        if self.decoding.do_sample and not self.server.seeds:
            return (
                f"bundle {self.name!r} draws its texts on a server that takes no seed: none of them can be made again"
            )
        return None


AnyBundle = Bundle | ServerBundle


def load_any_bundle(models: Path, name: str) -> AnyBundle:
    """Read the bundle ``models/name``, of either kind. Raises as :func:`xraygpt_core.model.bundle.load_bundle`."""
    return read_any_bundle(bundle_path(models, name))


def read_any_bundle(path: Path) -> AnyBundle:
    """Like :func:`load_any_bundle`, for a directory anywhere."""
    return read_with(path, _parse_any)


def _parse_any(path: Path, raw: bytes) -> AnyBundle:
    data = tables_in(raw)
    return _parse(path, raw, data) if data.get("served_by") == ServedBy.SERVER else parse_bundle(path, raw)


def _parse(path: Path, raw: bytes, data: Mapping[str, Any]) -> ServerBundle:
    _only(data, _TABLES, "bundle.toml")
    server, prompt = dict(data["server"]), data["prompt"]
    _only(prompt, {"question", "images", "clinical", "stop"}, "[prompt]")
    if "think" in server:
        server["think"] = tuple(server["think"])
    images = tuple(ImageRole(role) for role in prompt.get("images", [ImageRole.FRONTAL]))
    if ImageRole.FRONTAL not in images:
        raise ValueError("[prompt] images names frontal, and may name lateral and prior")
    clinical = tuple(prompt.get("clinical", ()))
    _only(clinical, set(CLINICAL), "[prompt] clinical")
    return ServerBundle(
        name=data["name"],
        path=path,
        sha256=sha256(raw).hexdigest(),
        server=ChatServer(**server),
        question=prompt["question"],
        decoding=Decoding(**data["decoding"]),
        images=images,
        clinical=clinical,
        stop=tuple(prompt.get("stop", ())),
        files=dict(data.get("files", {})),
        scope=parse_scope(data.get("scope")),
    )


def _only(names: Collection[str], known: set[str], where: str) -> None:
    if unknown := sorted(set(names) - known):
        raise ValueError(f"{where} does not know {', '.join(unknown)}; it knows {', '.join(sorted(known))}")


def write_server_bundle(models: Path, name: str, tables: Mapping[str, Any]) -> ServerBundle:
    """Make the bundle ``models/name`` of its tables (server, prompt, decoding, scope). All or nothing.

    Raises:
        BundleError: something in them is impossible, or ``name`` exists with other contents.
    """
    with new_bundle_of(models, name, _read_server_bundle) as (work, commit):
        write_toml(work, {"format": 1, "name": name, "served_by": str(ServedBy.SERVER), **tables, "files": {}})
        return commit()


def declared_anew(base: ServerBundle, models: Path, name: str, scope: Scope) -> ServerBundle:
    """The same model on the same server under a new name, with another declaration."""
    tables = tomllib.loads((base.path / FILE).read_text())
    declared = scope_table(scope)
    kept = {key: tables[key] for key in ("server", "prompt", "decoding")}
    return write_server_bundle(models, name, kept | ({} if declared is None else {"scope": declared}))


def _read_server_bundle(path: Path) -> ServerBundle:
    return read_with(path, lambda path, raw: _parse(path, raw, tables_in(raw)))

"""A bundle: one directory that holds everything a summary depends on, described and hashed by its ``bundle.toml``.

No torch here: the command line lists and verifies bundles without it.
"""

import hashlib
import json
import tomllib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, TypeVar

from xraygpt_core.errors import BundleError
from xraygpt_core.model.templates import reads_clinical
from xraygpt_core.scope import UNDECLARED, Scope, parse_scope
from xraygpt_core.states import ImageRole

FILE = "bundle.toml"
_NOTE = ".verified.json"  # sizes and times of files whose hashes were right; no part of the bundle
_FORMAT = 1
_CHUNK = 2**20


class ServedBy(StrEnum):
    """Where a bundle's texts are made: the line ``served_by`` of its ``bundle.toml``."""

    ENGINE = "engine"  # by our own engine; also where the line is missing
    VLLM = "vllm"  # encoded here, written by the vLLM server of XRAYGPT_VLLM_URL
    SERVER = "server"  # by a chat server that takes images: :mod:`xraygpt_core.model.server.bundle`


@dataclass(frozen=True)
class Decoding:
    """How text is drawn from the LLM. Greedy unless ``do_sample``, which needs a seed."""

    max_new_tokens: int = 96
    do_sample: bool = False
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise ValueError("decoding writes at least one token (max_new_tokens)")
        if self.do_sample and self.seed is None:
            raise ValueError("decoding that draws needs a seed, or no text could be made again")
        if self.do_sample and not (self.temperature > 0 and self.top_p > 0):
            raise ValueError("decoding that draws needs a temperature above 0 and a top_p above 0")


@dataclass(frozen=True)
class Bundle:
    """A parsed ``bundle.toml``. ``sha256`` is that of the file itself, and so of everything it hashes."""

    name: str
    path: Path
    sha256: str
    encoder: str
    encoder_weights: Path
    encoder_options: Mapping[str, object]
    projector: str | None
    projector_weights: Path | None
    llm: Path
    adapter: Path | None
    template: str
    question: str
    stop: tuple[str, ...]
    decoding: Decoding
    files: Mapping[str, str]  # path inside the bundle -> sha256
    dtype: str | None = None  # float32, bfloat16 or float16; None: what the device is fast at
    weights: str | None = None  # int8 or fp8; None: in the precision above
    chest_check: Path | None = None  # the head that asks whether an image is a chest; None: nothing asks
    encoder_delta: str | None = None  # SHA-256 of the delta that its weights were made with; None: they came whole
    scope: Scope = UNDECLARED
    images: tuple[ImageRole, ...] = (ImageRole.FRONTAL,)  # of a study, what its prompt shows the model
    served_by: ServedBy = ServedBy.ENGINE

    @property
    def reads_clinical(self) -> bool:
        """Has its prompt a place for the hospital's words?"""
        return reads_clinical(self.template)


class Hashed(Protocol):
    """A bundle of any kind, as far as its files are concerned."""

    @property
    def name(self) -> str: ...
    @property
    def path(self) -> Path: ...
    @property
    def sha256(self) -> str: ...
    @property
    def files(self) -> Mapping[str, str]: ...


B = TypeVar("B", bound=Hashed)


def load_bundle(models: Path, name: str) -> Bundle:
    """Read the bundle ``models/name`` and check that each of its files is there (not their contents: :func:`verify`).

    Raises:
        BundleError: saying what is missing or wrong, or that a server has its model.
    """
    return read_bundle(bundle_path(models, name))


def bundle_path(models: Path, name: str) -> Path:
    """Where a bundle of this name lies.

    Raises:
        BundleError: that is no name.
    """
    if not name or name != Path(name).name or name.startswith("."):
        raise BundleError(f"{name!r} is no bundle name")
    return models / name


def read_bundle(path: Path) -> Bundle:
    """Like :func:`load_bundle`, for a directory anywhere."""
    return read_with(path, parse_bundle)


def read_with(path: Path, parse: Callable[[Path, bytes], B]) -> B:
    """What ``parse`` makes of the directory and the content of its ``bundle.toml``; each of its files is there.

    Raises:
        BundleError: saying what is missing or wrong.
    """
    file = path / FILE
    if not file.is_file():
        raise BundleError(
            f"there is no bundle {path.name!r}: {file} is missing (xraygpt models list; models fetch demo)"
        )
    raw = file.read_bytes()
    try:
        bundle = parse(path, raw)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise BundleError(f"{file}: {type(error).__name__}: {error}") from error
    missing = [name for name in bundle.files if not (path / name).is_file()]
    if missing:
        raise BundleError(f"bundle {bundle.name!r} is incomplete: {', '.join(missing[:5])} missing in {path}")
    return bundle


def parse_bundle(path: Path, raw: bytes) -> Bundle:
    """A bundle whose model lies in its directory. Raises ValueError and its like where it does not say what it must."""
    data = tables_in(raw)
    served_by = ServedBy(data.get("served_by", ServedBy.ENGINE))
    if served_by is ServedBy.SERVER:
        raise BundleError(
            f"bundle {data['name']!r} has no weights here, a server has its model: take a bundle with weights for this"
        )
    encoder, projector, llm, prompt = data["encoder"], data.get("projector"), data["llm"], data["prompt"]
    options = {key: value for key, value in encoder.items() if key not in ("class", "weights", "delta")}
    return Bundle(
        name=data["name"],
        path=path,
        sha256=hashlib.sha256(raw).hexdigest(),
        encoder=encoder["class"],
        encoder_weights=path / encoder["weights"],
        encoder_options=options,
        encoder_delta=encoder.get("delta"),
        projector=projector["class"] if projector else None,
        projector_weights=path / projector["weights"] if projector else None,
        llm=path / llm["folder"],
        adapter=path / llm["adapter"] if "adapter" in llm else None,
        template=prompt["template"],
        question=prompt["question"],
        stop=tuple(prompt["stop"]),
        decoding=Decoding(**data["decoding"]),
        files=dict(data["files"]),
        dtype=llm.get("dtype"),
        weights=llm.get("weights"),
        chest_check=path / data["chest_check"]["weights"] if "chest_check" in data else None,
        scope=parse_scope(data.get("scope")),
        images=_roles(prompt.get("images", [ImageRole.FRONTAL])),
        served_by=served_by,
    )


def _roles(named: Iterable[str]) -> tuple[ImageRole, ...]:
    """The roles in the order in which prompts have them."""
    roles = {ImageRole(name) for name in named}
    if ImageRole.FRONTAL not in roles:
        raise ValueError("[prompt] images: the frontal film is always one of them")
    return tuple(role for role in ImageRole if role in roles)


def tables_in(raw: bytes) -> dict[str, Any]:
    """The tables of a ``bundle.toml``. Raises ValueError: it is none of ours."""
    data = tomllib.loads(raw.decode())
    if data["format"] != _FORMAT:
        raise ValueError(f"format {data['format']} is not {_FORMAT}")
    return data


def bundles(models: Path) -> list[str]:
    """Names of the bundles below ``models``, sorted."""
    return sorted(path.parent.name for path in models.glob(f"*/{FILE}") if not path.parent.name.startswith("."))


def verify(bundle: Hashed) -> None:
    """Hash every file, and remember what the files looked like that were right.

    Raises:
        BundleError: naming the files that are not what the bundle says.
    """
    changed = [name for name, digest in bundle.files.items() if file_sha256(bundle.path / name) != digest]
    if changed:
        raise BundleError(f"bundle {bundle.name!r}: {', '.join(changed[:5])} changed on disk; fetch or import it again")
    note_verified(bundle)


def check(bundle: Hashed) -> None:
    """The quick check at start: files that have their size and time of the last :func:`verify` are not hashed again.

    Raises:
        BundleError: as :func:`verify`, which is called where anything differs or nothing is known.
    """
    try:
        unchanged = json.loads((bundle.path / _NOTE).read_text()) == _looks(bundle)
    except (OSError, ValueError):  # no note, or a file that is gone: verify says which
        unchanged = False
    if not unchanged:
        verify(bundle)


def note_verified(bundle: Hashed) -> None:
    """Remember size and time of each file; where the directory may not be written, the next start hashes again."""
    with suppress(OSError):
        (bundle.path / _NOTE).write_text(json.dumps(_looks(bundle)) + "\n")


def _looks(bundle: Hashed) -> dict[str, object]:
    stats = {name: (bundle.path / name).stat() for name in sorted(bundle.files)}
    return {"bundle": bundle.sha256, "files": {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}}


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a file.

    Raises:
        BundleError: the file is not there.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except FileNotFoundError as error:
        raise BundleError(f"{path} is missing") from error
    return digest.hexdigest()


def hash_files(path: Path, names: Iterable[str]) -> dict[str, str]:
    """SHA-256 of the named files of a bundle directory."""
    return {name: file_sha256(path / name) for name in sorted(names)}


def write_toml(path: Path, tables: Mapping[str, Any]) -> None:
    """Write ``bundle.toml``: scalars first, then a table per mapping."""
    scalars = [f"{key} = {_value(value)}" for key, value in tables.items() if not isinstance(value, Mapping)]
    lines = [
        "# Everything a summary of this bundle depends on. Do not edit: the hash of this file is stamped on summaries.",
        *scalars,
    ]
    for table, entries in tables.items():
        if isinstance(entries, Mapping):
            lines += ["", f"[{table}]"]
            lines += [f"{_key(key)} = {_value(value)}" for key, value in entries.items() if value is not None]
    (path / FILE).write_text("\n".join(lines) + "\n")


def _value(value: Any) -> str:
    """JSON's scalars and lists of them are TOML; a mapping in a list is an inline table."""
    match value:
        case Mapping():
            return "{" + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ", ".join(_value(item) for item in value) + "]"
    return json.dumps(value)


def _key(key: str) -> str:
    return key if key.isidentifier() else json.dumps(key)

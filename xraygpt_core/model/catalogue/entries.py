"""The catalogue: ``models.toml`` of this package, or a file of the same shape, read strictly."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Any

from xraygpt_core.errors import BundleError
from xraygpt_core.model.catalogue.memory import MemoryNeed, memory_need

_SAFE = ("https://", "http://127.0.0.1:")
_COMMIT = re.compile(r"[0-9a-f]{40}")
JUDGES = "judges"  # folder below the models; it holds no bundles, so nothing lists or serves what is in it


class Kind(StrEnum):
    """What a published model becomes here."""

    ENGINE = "engine"  # a bundle that our engine runs
    BASE = "base"  # a bundle without a projector, to train from
    JUDGE = "judge"  # a language model's folder, for `training_jobs judge`
    SERVER = "server"  # a bundle that a chat server runs


def is_commit(revision: str) -> bool:
    """Whether a revision is a commit, and no branch or tag."""
    return _COMMIT.fullmatch(revision) is not None


@dataclass(frozen=True)
class Licence:
    """A licence that has to be accepted before anything is downloaded."""

    name: str
    url: str


@dataclass(frozen=True)
class Score:
    """One published figure, in per cent, and where it was published."""

    set: str
    metric: str
    value: float
    source: str


@dataclass(frozen=True)
class Repository:
    """What to take from one repository of a hub, or from addresses of other servers.

    Attributes:
        folder: the name of the folder it is downloaded to.
        revision: a commit, or a branch where none is pinned.
        files: name or pattern -> bytes; 0 where nothing is known.
        sha256: name -> hex digest, where it is known.
        urls: name -> address of a file that is on no hub; its bytes and its digest are known.
        optional: name -> bytes of what is taken where the repository has it.
    """

    folder: str
    repo: str
    revision: str
    files: Mapping[str, int]
    sha256: Mapping[str, str] = field(default_factory=dict)
    urls: Mapping[str, str] = field(default_factory=dict)
    optional: Mapping[str, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of all its files, as far as they are known."""
        return sum(self.files.values()) + sum(self.optional.values())

    @property
    def is_pinned(self) -> bool:
        """Whether it names a commit, which never becomes another."""
        return is_commit(self.revision)


@dataclass(frozen=True)
class Entry:
    """One published model.

    Attributes:
        template, question: how it is prompted; None where it is not, or by a chat server.
        server: how a chat server is asked (the keys of a bundle's ``[server]``, but for its address and model).
        clinical: what of the hospital's words goes to that server, where they are known.
    """

    name: str
    title: str
    kind: Kind
    repositories: tuple[Repository, ...]
    licences: tuple[Licence, ...]
    gated: bool
    language_model: str
    images: tuple[str, ...]
    paper: str
    scores: tuple[Score, ...]
    memory: MemoryNeed
    encoder: str | None = None
    projector: str | None = None
    template: str | None = None
    question: str | None = None
    server: Mapping[str, Any] | None = None
    clinical: tuple[str, ...] = ()

    def at(self, revision: str) -> "Entry":
        """The same, with this commit of the repository that the catalogue pins to none.

        Raises:
            BundleError: it is no commit, or not just one repository is without.
        """
        loose = [one.repo for one in self.repositories if not one.is_pinned]
        if not is_commit(revision):
            raise BundleError(f"--revision takes a commit of 40 hex digits, and {revision!r} is none")
        if len(loose) != 1:
            raise BundleError(
                f"--revision is for a model of which the catalogue names no commit, and {self.name} has "
                f"{len(loose)} such repositories: put the commit into a catalogue of yours (--catalogue)"
            )
        there = (one if one.is_pinned else replace(one, revision=revision) for one in self.repositories)
        return replace(self, repositories=tuple(there))

    @property
    def size(self) -> int:
        """Bytes to download."""
        return sum(repository.size for repository in self.repositories)

    def document(self) -> dict[str, Any]:
        """All of it for a program."""
        return {
            "name": self.name,
            "title": self.title,
            "kind": self.kind,
            "repositories": [{"repo": one.repo, "revision": one.revision} for one in self.repositories],
            "download_bytes": self.size,
            "memory_bytes": self.memory.total,
            "gated": self.gated,
            "licences": [vars(one) for one in self.licences],
            "made_for": "research",
            "encoder": self.encoder,
            "projector": self.projector,
            "language_model": self.language_model,
            "images": list(self.images),
            "paper": self.paper,
            "scores": [vars(one) for one in self.scores],
        }


def read_catalogue(path: Path | None = None) -> dict[str, Entry]:
    """Entries by name, in the order of the file.

    Raises:
        BundleError: the file cannot be read, or has another shape.
    """
    try:
        text = (files(__package__) / "models.toml").read_text("utf-8") if path is None else path.read_text("utf-8")
        content = tomllib.loads(text)
        return {name: _entry(name, table, content) for name, table in content["models"].items()}
    except KeyError as error:
        raise BundleError(f"the catalogue {path or 'of this version'} lacks {error}") from error
    except (OSError, TypeError, ValueError) as error:
        raise BundleError(f"the catalogue {path or 'of this version'} cannot be read: {error}") from error


def _entry(name: str, table: Mapping[str, Any], content: Mapping[str, Any]) -> Entry:
    given = dict(table)
    return Entry(
        name=name,
        kind=Kind(given.pop("kind")),
        repositories=tuple(_repository(one, content) for one in given.pop("repositories")),
        licences=tuple(Licence(**content["licences"][one]) for one in given.pop("licences")),
        images=tuple(given.pop("images")),
        clinical=tuple(given.pop("clinical", ())),
        scores=tuple(Score(**one) for one in given.pop("scores")),
        memory=memory_need(given.pop("memory")),
        **given,
    )


def _repository(folder: str, content: Mapping[str, Any]) -> Repository:
    one = Repository(folder=folder, **content["repositories"][folder])
    for name in (folder, *one.files, *one.urls, *one.optional):
        if Path(name).name != name or name.startswith("."):
            raise ValueError(f"{name!r} is no plain name of a file or folder")
    for name, url in one.urls.items():
        if not one.files.get(name) or name not in one.sha256 or not url.startswith(_SAFE):
            raise ValueError(f"{name} is on no hub, so it needs an https:// address, its bytes and its sha256")
    return one

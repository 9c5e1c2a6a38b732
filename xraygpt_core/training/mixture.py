"""The mixture of a run: which sets of pairs, where they lie, and how often each is drawn. One file says it all."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xraygpt_core.errors import TrainingError
from xraygpt_core.training.typed import Limits, read_object

PAINTED = "painted"  # films without findings, painted on while they are encoded
DRAWERS = ("phantoms", "sketches", "contours", "fields", "solids")  # training_jobs.drawers.drawings draws them
READERS = (*DRAWERS, PAINTED, "manifest", "filter-cap", "mimic-cxr", "open-i", "table", "ledger")
TEXT_ALONE = (
    "medical-llm trains on text alone and reads no set of films: name files of dialogues in conversations.files"
)
DRAWN = frozenset(DRAWERS)  # made while they are encoded: no film lies anywhere
_MAX_PATH = 1024  # letters
_MAX_BYTES = 2**20  # of a mixture file
_MAX_SETS = 100


@dataclass(frozen=True)
class SetSpec:
    """One set of (image, text) pairs.

    Attributes:
        reader: how it is laid out; one of :data:`READERS`.
        path: its folder or file, or an ``s3://bucket/prefix``; None for what is drawn and for the ledger.
        images: the folder of its images, where they do not lie beside its texts.
        weight: how often a pair of it is drawn, relative to the other sets.
        licence: words for the report; nothing depends on them.
        split: ``given`` takes the set's own, ``by-patient`` makes one.
        validation, test: the shares of patients that ``by-patient`` keeps back.
        only: of a manifest, painted or not: the beginnings of the image paths that are taken; empty takes all.
        columns: of a table: the names its columns have, by ours.
        labels: whose words the labels are, for the sets whose labels stand for each token: ``nih14`` or None.
        select: of the ledger: which signed studies, for example ``reviewed since 2026-01-01``.
        count, seed, population, augment: of what is drawn; count (for training, others are held out beside them) and
            seed of what is painted.
        variants: how many augmented copies of each film are made, beside the film.
        bad_images: the share of its images that may be missing or unusable; a run with more does not start.
    """

    name: str
    reader: str
    path: str | None = None
    images: str | None = None
    weight: float = 1.0
    licence: str | None = None
    split: str = "given"
    validation: float = 0.05
    test: float = 0.05
    only: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    labels: str | None = None
    select: str | None = None
    count: int = 2000
    seed: int = 0
    population: str = "train"
    augment: float = 0.8
    variants: int = 0
    bad_images: float = 0.05

    @property
    def drawn(self) -> bool:
        """Whether its films are made by us while they are encoded."""
        return self.reader in DRAWN


@dataclass(frozen=True)
class Mixture:
    """The sets of a run, in the order of the file."""

    sets: tuple[SetSpec, ...]


_LIMITS = Limits(
    bounds={
        "weight": (0.0, 1e6),
        "validation": (0.0, 0.5),
        "test": (0.0, 0.5),
        "count": (1, 10**6),
        "seed": (0, 2**32 - 1),
        "augment": (0.0, 1.0),
        "variants": (0, 16),
        "bad_images": (0.0, 1.0),
    },
    words={
        "reader": READERS,
        "split": ("given", "by-patient"),
        "labels": ("nih14",),
        "population": ("train", "held_out"),
    },
)


def parse_mixture(data: object) -> Mixture:
    """A mixture from its JSON or TOML document, ``{"sets": [{…}, …]}``. No set is opened.

    Raises:
        TrainingError: which set and what is wrong with it.
    """
    if not isinstance(data, Mapping) or set(data) != {"sets"} or not isinstance(data["sets"], list | tuple):
        raise TrainingError("the mixture must be an object with one list, sets")
    if not 0 < len(data["sets"]) <= _MAX_SETS:
        raise TrainingError(f"a mixture has 1 to {_MAX_SETS} sets")
    sets = tuple(_set(one, number) for number, one in enumerate(data["sets"], 1))
    names = [one.name for one in sets]
    if len(set(names)) != len(names):
        raise TrainingError("two sets of the mixture have one name")
    return Mixture(sets)


def read_mixture(file: Path) -> Mixture:
    """The mixture that a TOML file describes; relative paths are taken from its folder.

    Raises:
        TrainingError: it cannot be read, or as :func:`parse_mixture`.
    """
    return parse_mixture(mixture_document(file))


def mixture_document(file: Path) -> dict[str, Any]:
    """The same as the JSON document a run's configuration holds.

    Raises:
        TrainingError: it cannot be read.
    """
    try:
        raw = file.read_bytes()
        if len(raw) > _MAX_BYTES:
            raise TrainingError(f"{file} is too large for a mixture")
        data: dict[str, Any] = tomllib.loads(raw.decode())
    except (OSError, ValueError, RecursionError) as error:
        raise TrainingError(f"{file} is not a readable mixture: {error}") from error
    for one in data.get("sets", ()) if isinstance(data.get("sets"), list) else ():
        for key in ("path", "images"):
            if isinstance(one, dict) and isinstance(one.get(key), str) and "://" not in one[key]:
                one[key] = str(file.parent.absolute() / one[key])
    return data


def _set(data: object, number: int) -> SetSpec:
    try:
        spec = read_object(SetSpec, data, _LIMITS)
        _complete(spec)
    except TrainingError as error:
        raise TrainingError(f"set {number} of the mixture: {error}") from error
    return spec


def _complete(spec: SetSpec) -> None:
    if not spec.name or not spec.name.isprintable() or len(spec.name) > 100:
        raise TrainingError("its name must have 1 to 100 printable letters")
    for path in (spec.path, spec.images):
        if path is not None and not (0 < len(path) <= _MAX_PATH and path.isprintable()):
            raise TrainingError("its path is no name of a folder or file")
    needs_path = not spec.drawn and spec.reader != "ledger"
    if needs_path != (spec.path is not None):
        raise TrainingError(f"a set that is read by {spec.reader} {'needs a' if needs_path else 'has no'} path")
    if (spec.reader == "ledger") != (spec.select is not None):
        raise TrainingError("the ledger's sets, and only these, say which studies they select")

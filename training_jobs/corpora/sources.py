"""One picture of a corpus, on its way from where it lies, or from nothing, to a normalised PNG."""

import errno
import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field, replace
from functools import cache, partial
from itertools import islice
from multiprocessing import get_context
from typing import Any

from training_jobs.drawers.drawings import PHANTOMS, Drawing, draw, variant
from training_jobs.drawers.paint_films import painted_film
from training_jobs.drawers.paint_lungs import LungsNotFound
from xraygpt_core.confine import die_with
from xraygpt_core.dicom.sandbox import Sandbox
from xraygpt_core.dicom.types import Limits
from xraygpt_core.errors import Rejected
from xraygpt_core.phantoms.findings import View
from xraygpt_core.training.datasets.pictures import refused
from xraygpt_core.training.datasets.problems import Kind
from xraygpt_core.training.pairs import Pair

VERSION = 1  # raise when a picture is made in another way
_LIMITS = Limits(max_pixels=10**8, decode_seconds=60, decode_memory_bytes=2**31)
_MOST_BYTES = 2**29  # of a file
_SIDEWAYS = ("LATERAL", "OBLIQUE")
_CHUNK = 8  # pictures sent to a process at once


@dataclass(frozen=True)
class Painting:
    """What is painted into a film follows from the film and this.

    Attributes:
        seed: of the set.
        number: counts the paintings of one film.
        view: of the film, for the text.
    """

    seed: int
    number: int
    view: View


@dataclass(frozen=True)
class Source:
    """Where a picture comes from: a file of this machine, a drawing, or a file that is painted on.

    Attributes:
        file: its path, links followed.
        variant: 0 for the film as it is, otherwise the number of its augmented copy.
    """

    file: str | None = None
    drawing: Drawing | None = None
    variant: int = 0
    painting: Painting | None = None

    @property
    def first(self) -> bool:
        """Whether this is the film itself, or its first painting: what is wrong with a film is said once."""
        return not self.variant and (self.painting is None or self.painting.number == 0)

    def identity(self) -> list[Any]:
        """What the picture depends on.

        Raises:
            OSError: its file is gone, or may not be looked at.
        """
        if self.drawing is not None:
            drawing = self.drawing
            return [hand(drawing.drawer), drawing.seed, drawing.population, drawing.augmented]
        status = os.stat(self.file or "")
        changed = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        if self.painting is not None:
            return [self.file, *changed, painted_hand(), *astuple(self.painting)]
        return [self.file, *changed, *([self.variant, hand(PHANTOMS)] if self.variant else [])]


@dataclass(frozen=True)
class Picture:
    """What is known of a picture once it was normalised or drawn; kept beside its features.

    Attributes:
        sha256: of the normalised PNG.
        pixels: hash of the decoded values of a film, the same in every file format; None of what is made here.
        text, labels: of a drawing or a painting, the truth.
        dropped: the kind of problem for which there is no picture; ``why`` says it in a sentence.
    """

    sha256: str = ""
    pixels: str | None = None
    view: str | None = None
    text: str | None = None
    labels: Mapping[str, float | None] = field(default_factory=dict)
    dropped: str | None = None
    why: str = ""

    def of(self, pair: Pair) -> Pair:
        """The pair with what its picture says; what its set said before goes first."""
        return replace(
            pair,
            image=self.sha256,
            view=pair.view or self.view,
            text=pair.text or self.text,
            labels=pair.labels or self.labels,
        )


Prepared = tuple[Picture, bytes]  # and the PNG, empty if it is dropped
Prepare = Callable[[Iterable[Source]], Iterator[Prepared]]


@contextmanager
def preparing(workers: int) -> Iterator[Prepare]:
    """A function that prepares pictures in their order: here, or in ``workers - 1`` processes if there are two or
    more workers. Every film is decoded in a sandbox.

    Raises:
        BrokenPipeError: one of the processes was killed, mostly for want of memory.
    """
    if workers < 2:
        with Sandbox(_LIMITS) as sandbox:
            yield partial(map, partial(prepare, sandbox))
        return
    try:
        with ProcessPoolExecutor(workers - 1, get_context("spawn"), die_with, (os.getpid(),)) as pool:
            yield partial(_ahead, pool, _CHUNK * (workers - 1))
    except BrokenProcessPool:
        raise BrokenPipeError(errno.EPIPE, "a process that prepares pictures was killed") from None


def _ahead(pool: ProcessPoolExecutor, many: int, sources: Iterable[Source]) -> Iterator[Prepared]:
    """In order, with at most three times ``many`` pictures in memory, however slowly they are taken."""
    left, waiting = iter(sources), deque[Iterator[Prepared]]()
    while some := list(islice(left, many)):
        waiting.append(pool.map(_prepare_here, some, chunksize=_CHUNK))
        if len(waiting) == 3:
            yield from waiting.popleft()
    for found in waiting:
        yield from found


@cache
def _sandbox() -> Sandbox:
    """This process's own; it ends with the process."""
    return Sandbox(_LIMITS)


def _prepare_here(source: Source) -> Prepared:
    return prepare(_sandbox(), source)


def prepare(sandbox: Sandbox, source: Source) -> Prepared:
    """Draw it, or read and normalise its file.

    Raises:
        OSError: the disk does not answer. A file that is gone or may not be read is dropped.
    """
    if source.drawing is not None:
        drawn = draw(source.drawing)
        return Picture(_sha256(drawn.png), None, drawn.view, drawn.report, drawn.truth), drawn.png
    try:
        with open(source.file or "", "rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        return _dropped(Kind.UNREADABLE_IMAGE, f"it cannot be read: {error.strerror}")
    if len(data) > _MOST_BYTES:
        return _dropped(Kind.REFUSED_IMAGE, f"the file has more than {_MOST_BYTES} bytes")
    try:
        film = sandbox.normalise(data)
    except Rejected as rejection:
        why, kind = refused(rejection)
        return _dropped(kind, why)
    if film.view in _SIDEWAYS:
        return _dropped(Kind.LATERAL, "its header says that the film is no frontal view")
    view = film.view if film.view in ("AP", "PA") else None
    if source.painting is not None:
        return _painted(film.normalised_png, film.pixel_sha256, source.painting)
    if not source.variant:
        return Picture(_sha256(film.normalised_png), film.pixel_sha256, view), film.normalised_png
    copy = variant(film.normalised_png, source.variant, int(film.pixel_sha256[:8], 16))
    return Picture(_sha256(copy), None, view), copy


def _painted(film: bytes, pixels: str, painting: Painting) -> Prepared:
    """The film with findings, or with none; it is no duplicate of the film, as a variant is none."""
    try:
        made = painted_film(film, painting.view, painting.seed, painting.number, int(pixels[:8], 16))
    except LungsNotFound as error:
        return _dropped(Kind.NO_LUNGS, str(error))
    device = 1.0 if "device" in made.labels else None  # the film may show one of its own
    truth: dict[str, float | None] = {**made.truth, "device": device}
    return Picture(_sha256(made.png), None, None, made.report, truth), made.png


def _dropped(kind: Kind, why: str) -> Prepared:
    return Picture(dropped=kind, why=why), b""


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@cache
def hand(drawer: str) -> str:
    """What a drawer's pictures look like, and their augmented copies: changes when it or augmentation does."""
    return _sha256(draw(Drawing(drawer, 0, augmented=True)).png)


@cache
def painted_hand() -> str:
    """What paintings look like: changes when a finding is painted in another way."""
    film = draw(Drawing(PHANTOMS, 0)).png
    return _sha256(b"".join(painted_film(film, "PA", 0, number, 0).png for number in range(4)))

"""What the chest check learns from: folders of pictures, phantoms, sketches, and drawings of what is no chest."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training_jobs.drawers.augment import augment
from training_jobs.drawers.brush import finished
from training_jobs.drawers.grey import read_film
from training_jobs.drawers.others_bodies import BODIES
from training_jobs.drawers.others_patterns import PATTERNS
from training_jobs.drawers.sketch import draw_sketch
from xraygpt_core.dicom.normalise import normalise
from xraygpt_core.dicom.types import Limits
from xraygpt_core.errors import Rejected, TrainingError
from xraygpt_core.phantoms.draw import draw_phantom

PIECES = "pieces of chest films"  # a kind of its own among what is no chest
_STREAM = 6581
_LIMITS = Limits(max_pixels=10**8, decode_seconds=60, decode_memory_bytes=2**31)
_PICTURES = {".png", ".jpg", ".jpeg"}
_PIECE_EACH = 6  # a piece of every sixth film
_OTHER_VARIANTS = 3  # of a real picture that is no chest: there are few

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class ChestPicture:
    """One picture to learn from.

    Attributes:
        kind: the folder or drawer it comes from.
        group: pictures of one patient share it; those of one group are never in two parts of the data.
        original: as it came; else a variant made here.
    """

    grey: Pixels
    kind: str
    group: str
    chest: bool
    original: bool = True


def pictures(chest: Sequence[Path], other: Sequence[Path], drawn: int) -> Iterator[ChestPicture]:
    """Everything, folder by folder and drawer by drawer; the same for the same folders.

    Args:
        drawn: pictures of each drawer of what is no chest; of the three drawers of chests, four times as many.

    Raises:
        TrainingError: a folder has no readable picture.
    """
    for folder in chest:
        yield from _films(folder)
    yield from _drawn_chests(4 * drawn)
    for folder in other:
        for number, picture in enumerate(folder_pictures(folder, chest=False)):
            yield picture
            for variant in range(_OTHER_VARIANTS):
                yield _variant(picture, np.random.default_rng([_STREAM, 1, number, variant]))
    for which, drawer in enumerate((*BODIES, *PATTERNS)):
        for number in range(drawn):
            rng = np.random.default_rng([_STREAM, 2, which, number])
            grey = finished(drawer(rng), rng)
            grey = augment(grey, rng) if rng.random() < 0.6 else grey
            yield ChestPicture(grey, f"drawn: {drawer.__name__}", "", False)


def folder_pictures(folder: Path, *, chest: bool) -> Iterator[ChestPicture]:
    """The pictures below a folder, which is their kind. The name up to its first ``_`` or ``-`` is the patient.

    DICOM files are read as ingest reads them, and passed over where it rejects them.
    """
    found = False
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        grey = _grey(file)
        if grey is not None:
            found = True
            yield ChestPicture(grey, folder.name, file.stem.replace("-", "_").partition("_")[0], chest)
    if not found:
        raise TrainingError(f"{folder} has no picture that can be read (PNG, JPEG or DICOM)")


def _grey(file: Path) -> Pixels | None:
    if file.suffix.lower() in _PICTURES:
        return read_film(file)
    try:
        png = normalise(file.read_bytes(), _LIMITS).normalised_png
    except Rejected:
        return None
    return np.asarray(Image.open(io.BytesIO(png)))


def _films(folder: Path) -> Iterator[ChestPicture]:
    for number, film in enumerate(folder_pictures(folder, chest=True)):
        rng = np.random.default_rng([_STREAM, 0, number])
        yield film
        yield _variant(film, rng)
        if number % _PIECE_EACH == 0:
            yield ChestPicture(_piece(film.grey, rng), PIECES, film.group, chest=False)


def _drawn_chests(count: int) -> Iterator[ChestPicture]:
    for seed in range(count):
        rng = np.random.default_rng([_STREAM, 3, seed])
        for kind, grey in (
            ("drawn: phantom", draw_phantom(seed, "train").grey8()),
            ("drawn: held-out phantom", draw_phantom(seed, "held_out").grey8()),
            ("drawn: sketch", draw_sketch(seed).grey),
        ):
            picture = ChestPicture(grey, kind, f"{kind} {seed}", chest=True)
            yield picture
            yield _variant(picture, rng)


def _variant(picture: ChestPicture, rng: np.random.Generator) -> ChestPicture:
    """In the other sense, turned, a part of it, or as training films are varied: what it shows stays what it is."""
    grey = picture.grey
    match int(rng.integers(10)):
        case 0 | 1 | 2:
            grey = (255 - grey).astype(np.uint8)
        case 3:
            grey = np.ascontiguousarray(np.rot90(grey, int(rng.integers(1, 4))))
        case 4 | 5 | 6:
            grey = _part(grey, float(rng.uniform(0.6, 0.9)), rng.random(2))
        case _:
            grey = augment(grey, rng)
    return ChestPicture(grey, picture.kind, picture.group, picture.chest, original=False)


def _piece(grey: Pixels, rng: np.random.Generator) -> Pixels:
    """A sixth to a third of the side from the film's edge: shoulder, flank or abdomen, but no chest."""
    share = float(rng.uniform(0.16, 0.3))
    return _part(grey, share, np.array([rng.choice([0, 0.35, 1, rng.random()]), rng.integers(2)]))


def _part(grey: Pixels, share: float, place: NDArray[np.float64]) -> Pixels:
    """A rectangle of that share of each side; ``place`` is 0 for top and left, 1 for bottom and right."""
    height, width = (int(share * side) for side in grey.shape)
    top, left = int(place[0] * (grey.shape[0] - height)), int(place[1] * (grey.shape[1] - width))
    return np.ascontiguousarray(grey[top : top + height, left : left + width])

"""A film's PNG, and the same with findings painted into it."""

import io
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training_jobs.drawers.drawings import Drawn
from training_jobs.drawers.grey import png
from training_jobs.drawers.paint import paint
from training_jobs.drawers.paint_lungs import Lungs, find_lungs
from xraygpt_core.phantoms.findings import LABELS, View

_STREAM = 104729
_NOTHING = 0.2  # share of films into which nothing is painted
_EACH = 0.22  # probability of each finding in the others


def painted_film(film: bytes, view: View, seed: int, number: int, film_key: int) -> Drawn:
    """The film with what was drawn for it, and what of it shows; the same for the same arguments.

    Args:
        film: a grey PNG of a frontal film without findings.
        number: counts the paintings of this film.
        film_key: a number that belongs to the film.

    Raises:
        LungsNotFound: the film does not look like two lungs in a chest.
    """
    grey, lungs = _looked_at(film)
    rng = np.random.default_rng([_STREAM, seed, number, film_key])
    made = paint(grey, wanted_labels(rng), rng, lungs)
    return Drawn(png(made.grey), made.labels, view)


def wanted_labels(rng: np.random.Generator) -> frozenset[str]:
    """What to paint: a fifth of the films nothing, otherwise at least one finding, most often one to three."""
    if rng.random() < _NOTHING:
        return frozenset()
    chosen = {label for label, number in zip(LABELS, rng.random(len(LABELS)), strict=True) if number < _EACH}
    return frozenset(chosen or {str(rng.choice(LABELS))})


@lru_cache(maxsize=2)  # the paintings of a film follow one another
def _looked_at(film: bytes) -> tuple[NDArray[np.uint8], Lungs]:
    with Image.open(io.BytesIO(film), formats=("PNG",)) as image:
        grey = np.asarray(image.convert("L"))
    return grey, find_lungs(grey)

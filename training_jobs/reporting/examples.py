"""Held-out films with the text that was wanted, the text the model writes, and what it writes without seeing the film.

The controls: the same question about another patient's film, and about a black picture. A model that reads the film
writes something else there; one that recites does not.
"""

import io
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

from PIL import Image

from training_jobs.features.stream import PairStream
from xraygpt_core.model.backend import GenerationRequest
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.engine.engine import Engine
from xraygpt_core.training.corpus import Corpus
from xraygpt_core.training.pairs import Pair

FOLDER = "images"  # of a corpus: its films that may be shown
_BLACK = (512, 512)
_AT_ONCE = 64  # pairs that are looked at

Film = tuple[Pair, bytes]
Ask = Callable[[Pair], str | None]
Notify = Callable[[int, int], None]


@dataclass(frozen=True)
class Example:
    """A held-out film and four texts.

    Attributes:
        pair: its ``text`` is the wanted one.
        png: the normalised film.
        text: what the model writes of it.
        swapped: what it writes of another patient's film, asked the same; None where there is no other patient.
        without: what it writes of a black picture, asked the same.
    """

    pair: Pair
    png: bytes
    text: str
    swapped: str | None
    without: str


def shown_films(corpora: Sequence[Corpus], count: int, seed: int) -> tuple[str, list[Film]]:
    """The split, and so many of its pairs with their films, of those that lie beside the corpora.

    Validation; if it has none, test; at last what was trained on, which a report must say.
    """
    files = {file.stem: file for corpus in corpora for file in sorted((corpus.path / FOLDER).glob("*.png"))}
    for split in ("val", "test", "train"):
        stream = PairStream(corpora, split=split, batch=_AT_ONCE, seed=seed)
        pairs = (pair for batch in stream.once() for pair in batch.pairs if pair.image in files)
        if files and (chosen := list(islice(pairs, count))):
            return split, [(pair, files[pair.image].read_bytes()) for pair in chosen]
    return "val", []


def examples(
    bundle: Bundle,
    films: Sequence[Film],
    asked: Sequence[str | None],
    *,
    notify: Notify,
    batch: int = 16,
    device: str = "auto",
) -> list[Example]:
    """What the bundle writes of each film and of its controls; the engine that serves writes it.

    Args:
        asked: the question about each film; None asks the bundle's own.
        notify: told how many texts are written, of how many.

    Raises:
        XrayGPTError: the bundle cannot be loaded, or a film cannot be read.
    """
    nothing = _black()
    others = [_other(films, number) for number in range(len(films))]
    wanted = [(png, question) for (_, png), question in zip(films, asked, strict=True)]
    wanted += [(nothing, question) for question in asked]
    wanted += [(other, question) for other, question in zip(others, asked, strict=True) if other is not None]
    texts = iter(_written(bundle, wanted, batch, device, notify))
    seen, without = list(islice(texts, len(films))), list(islice(texts, len(films)))
    swapped = [None if other is None else next(texts) for other in others]
    return [
        Example(pair, png, own, other, black)
        for (pair, png), own, other, black in zip(films, seen, swapped, without, strict=True)
    ]


def _other(films: Sequence[Film], number: int) -> bytes | None:
    """The next film of another patient."""
    pair = films[number][0]
    following = (films[(number + step) % len(films)] for step in range(1, len(films)))
    return next((png for other, png in following if other.patient != pair.patient), None)


def _written(
    bundle: Bundle, wanted: Sequence[tuple[bytes, str | None]], batch: int, device: str, notify: Notify
) -> list[str]:
    """A text for each picture and question; what is asked twice is written once."""
    texts = dict.fromkeys(wanted, "")
    with closing(Engine(bundle, device=device, batch_size=batch)) as engine:
        waiting = [(one, engine.submit(GenerationRequest(*one))) for one in texts]
        for number, (one, future) in enumerate(waiting, 1):
            texts[one] = future.result().text
            notify(number, len(texts))
    return [texts[one] for one in wanted]


def _black() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", _BLACK).save(buffer, "PNG")
    return buffer.getvalue()

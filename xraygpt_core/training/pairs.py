"""A pair of image and text, as every reader gives it and every training stage takes it: one JSON object a line."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from xraygpt_core.errors import TrainingError

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Pair:
    """One image and what is to be said about it.

    Attributes:
        pair_id: unique in its set; opaque where the set comes from the ledger.
        set_name: the set of the mixture.
        patient: who no two splits may share; opaque.
        split: ``train``, ``val`` or ``test``.
        image: before it is prepared its address in the set (a path below it, or ``s3://…``); afterwards the SHA-256 of
            the normalised PNG; of what is drawn, the seed.
        text: the target; None where there are labels alone.
        view: AP, PA or LATERAL where it is known.
        source: the collection or device a film comes from, where the set says so: what could be a shortcut.
        indication: why the film was made.
        question: what is asked instead of the usual.
        draft: what a model wrote and a person corrected to ``text``.
        paraphrases: other wordings of ``text``.
        labels: finding -> 1 there, 0 not there, None unknown.
        key: where the normalised PNG lies in the derived bucket, if it does.
        where: file and line, for messages.
    """

    pair_id: str
    set_name: str
    patient: str
    split: str
    image: str
    text: str | None
    view: str | None = None
    source: str | None = None
    indication: str | None = None
    question: str | None = None
    draft: str | None = None
    paraphrases: tuple[str, ...] = ()
    labels: Mapping[str, float | None] = field(default_factory=dict)
    key: str | None = None
    where: str | None = None


def write_pairs(file: Path, pairs: Iterable[Pair]) -> int:
    """Write JSON lines; what is None or empty is left out. Returns how many."""
    written = 0
    with file.open("w", encoding="utf-8") as out:
        for pair in pairs:
            out.write(json.dumps({key: value for key, value in asdict(pair).items() if value}) + "\n")
            written += 1
    return written


def read_pairs(file: Path) -> Iterator[Pair]:
    """The pairs of a file that :func:`write_pairs` wrote.

    Raises:
        TrainingError: with the line that is none.
    """
    try:
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                yield parse_pair(line, f"{file.name}, line {number}")
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"{file} cannot be read: {error}") from error


def parse_pair(line: str | bytes, where: str) -> Pair:
    """The pair of one JSON line; ``where`` is for the message.

    Raises:
        TrainingError: it is none.
    """
    try:
        data: dict[str, Any] = json.loads(line)
        data["paraphrases"] = tuple(data.get("paraphrases", ()))
        return Pair(**({"text": None} | data))
    except (TypeError, ValueError, AttributeError, RecursionError) as error:
        raise TrainingError(f"{where}: no pair: {error}") from error

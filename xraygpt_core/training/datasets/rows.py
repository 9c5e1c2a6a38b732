"""What a reader gives: a row as it stands in its set, before anything but its form was looked at."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Row:
    """One image and its text.

    Attributes:
        images: addresses where the image may lie; the first that exists is it.
        text: None where the set has labels instead.
        patient: None where nothing says who it is.
        split: the set's own word.
        source: the collection or device it comes from.
        where: file and line.
    """

    row_id: str
    images: tuple[str, ...]
    text: str | None
    where: str
    patient: str | None = None
    split: str | None = None
    view: str | None = None
    source: str | None = None
    indication: str | None = None
    question: str | None = None
    paraphrases: tuple[str, ...] = ()
    labels: Mapping[str, float | None] = field(default_factory=dict)

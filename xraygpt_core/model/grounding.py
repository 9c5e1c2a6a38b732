"""Where a model says that it saw what it names, as MAIRA-2 writes it (arXiv 2406.04449, section 3; its processor).

``<obj> phrase <box><x12><y34><x56><y78></box></obj>``: the corners top left and bottom right, in hundredths of the
square that the encoder sees; a phrase may have no box or several.
"""

import re
import struct
from dataclasses import dataclass
from typing import Any

from xraygpt_core.states import ImageRole

Box = tuple[float, float, float, float]  # left, top, right, bottom, each from 0 to 1

_BINS = 100
_PHRASE = re.compile(r"<obj>(.*?)(?:</obj>|(?=<obj>)|\Z)", re.DOTALL)
_BOX = re.compile(r"<box>(.*?)(?:</box>|(?=<box>)|(?=</?obj>)|\Z)", re.DOTALL)
_CORNERS = re.compile(r"\s*<x(\d{1,2})>\s*<y(\d{1,2})>\s*<x(\d{1,2})>\s*<y(\d{1,2})>\s*")
_COORDINATE = r"<[xy][-+.\d]*>"
_WORDS = re.compile(rf"</?(?:obj|box)>|{_COORDINATE}")
_NUMBER = r"[-+]?\d+(?:\.\d+)?"
# What goes with its tags: coordinates alone, as MAIRA-2 writes them or as four numbers; the text may end among them.
_PLACE = re.compile(
    rf"<box>(?:(?:\s|{_COORDINATE})*(?:</box>|<(?:/?b?o?x?|[xy][-+.\d]*)\Z)"
    rf"|[\s(\[]*{_NUMBER}(?:[\s,()\[\]]+{_NUMBER}){{3}}[\s)\]]*</box>)"
)
_ODD_TAG = re.compile(rf"(?:</?box>|{_COORDINATE})+")
_SPACES = re.compile(r"[ \t]{2,}")


@dataclass(frozen=True)
class Phrase:
    """A finding in the model's words, and its places on the film."""

    text: str
    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class Grounding:
    """What a text says about places.

    Attributes:
        malformed: how many boxes could not be read.
    """

    phrases: tuple[Phrase, ...] = ()
    malformed: int = 0

    def documents(self) -> list[dict[str, Any]]:
        """As it is kept: ``{phrase, image, boxes}`` for each phrase, then ``{malformed}`` if any box is.

        ``image`` is the role of the film with these places: models are asked for places on the frontal one.
        """
        kept: list[dict[str, Any]] = [
            {"phrase": one.text, "image": ImageRole.FRONTAL.value, "boxes": list(map(list, one.boxes))}
            for one in self.phrases
        ]
        return kept + ([{"malformed": self.malformed}] if self.malformed else [])


NO_PLACES = Grounding()


def read_grounding(text: str, width: int, height: int) -> tuple[str, Grounding]:
    """The text without places, and the places on a film of so many pixels. Nothing that a model writes is an error.

    The encoder sees the square in the middle of the film, as wide as the shorter side.
    """
    if not _WORDS.search(text):
        return text, NO_PLACES
    phrases, malformed = [], 0
    for found in _PHRASE.finditer(text):
        written = _BOX.findall(found[1])
        boxes = [box for corners in written if (box := _box(corners)) is not None]
        malformed += len(written) - len(boxes)
        if words := without_places(found[1]):
            phrases.append(Phrase(words, tuple(_on_film(box, width, height) for box in boxes)))
    malformed += len(_BOX.findall(_PHRASE.sub("", text)))  # outside of any phrase
    return without_places(text), Grounding(tuple(phrases), malformed)


def without_places(text: str) -> str:
    """The text as readers see it, also one that is still being written; one without places stays as it is.

    Words in a box, or behind one that is never closed, are words of the text.
    """
    if not _WORDS.search(text):
        return text
    left = _PLACE.sub("", text.replace("</obj><obj>", "</obj> <obj>"))
    return _SPACES.sub(" ", _WORDS.sub("", _ODD_TAG.sub(" ", left))).strip()


def png_size(png: bytes) -> tuple[int, int]:
    """Width and height in pixels, from the header (PNG specification, section 11.2.2)."""
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def _box(corners: str) -> Box | None:
    found = _CORNERS.fullmatch(corners)
    if found is None:
        return None
    left, top, right, bottom = ((int(number) + 0.5) / _BINS for number in found.groups())
    return (left, top, right, bottom) if left <= right and top <= bottom else None


def _on_film(box: Box, width: int, height: int) -> Box:
    side = min(width, height)
    left, right = (round(((width - side) / 2 + at * side) / width, 4) for at in (box[0], box[2]))
    top, bottom = (round(((height - side) / 2 + at * side) / height, 4) for at in (box[1], box[3]))
    return left, top, right, bottom

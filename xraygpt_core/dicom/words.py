"""Which part of the body a header names, in the words technologists of several countries type into it."""

import re
import unicodedata
from enum import Enum

from xraygpt_core.dicom.parts import (
    CHEST,
    CHEST_SIGNS,
    GLUE,
    OTHER,
    OTHER_SIGNS,
    OTHER_STEMS,
    SPINE_SIGNS,
    STATED_OTHER,
)

_LETTERS = str.maketrans({"ß": "ss", "ł": "l", "ø": "o", "æ": "ae"})  # the ones that Unicode does not take apart
_NOT_STATED = frozenset({"", "unknown", "other", "none", "undefined", "unspecified", "default", "na", "null"})
# Body Part Examined is written without blanks: compounds of PS3.16 annex L, and views and sides glued on.
_CHEST_STEMS = ("chest", "thorax", "torax", "lung")
_LONGEST_TEXT = 1024
_LONGEST = 32  # letters; what is longer is no Body Part Examined (VR CS, 16)
_KNOWN = OTHER | STATED_OTHER
_GLUED = re.compile(rf"(?:{'|'.join(GLUE)})*(?:{'|'.join(_KNOWN)})(?:{'|'.join((*GLUE, *_KNOWN))})*")
# ThoraxPA, PAThorax, Chest2Views.
_JOINTS = re.compile(r"(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])")
_CAMELS = re.compile(r"(?<=[a-zà-ÿ])(?=[A-ZÀ-ß])|(?<=[A-Z])(?=[A-Z][a-z])")


class BodyPart(Enum):
    """What a text says about the body part."""

    CHEST = "chest"
    OTHER = "other"
    NOT_STATED = "not stated"


def described_part(text: str) -> BodyPart:
    """What a free text names. A text that names the chest beside another part counts as the chest."""
    text = re.sub("c-arm", "", text[:_LONGEST_TEXT], flags=re.IGNORECASE)  # the machine, not the limb
    words = {*plain_words(text), *plain_words(apart(text))}
    spine = any(sign in text for sign in SPINE_SIGNS)
    if words & CHEST or (not spine and any(sign in text for sign in CHEST_SIGNS)):
        return BodyPart.CHEST
    if words & OTHER or spine or any(sign in text for sign in OTHER_SIGNS):
        return BodyPart.OTHER
    return BodyPart.NOT_STATED


def stated_part(body_part: str) -> BodyPart:
    """What Body Part Examined (0018,0015) states. A word that is in no vocabulary states nothing: it may be the name of
    a room or of a button, and the film a chest film.
    """
    compact = "".join(plain_words(body_part))
    if compact in _NOT_STATED:
        return BodyPart.NOT_STATED
    described = described_part(body_part)
    if described is BodyPart.CHEST or any(stem in compact for stem in _CHEST_STEMS):
        return BodyPart.CHEST
    known = (
        described is BodyPart.OTHER or {*plain_words(apart(body_part))} & _KNOWN or _GLUED.fullmatch(compact[:_LONGEST])
    )
    return BodyPart.OTHER if known or any(stem in compact for stem in OTHER_STEMS) else BodyPart.NOT_STATED


def apart(text: str) -> str:
    """The text with blanks where its case, or a digit beside a letter, shows that words were glued together."""
    return _CAMELS.sub(" ", _JOINTS.sub(" ", text[:_LONGEST_TEXT]))


def plain_words(text: str) -> list[str]:
    """The words in lower case without accents; digits, `_`, `-`, `/` and the like are blanks."""
    return re.findall(r"[^\W\d_]+", plain(text))


def plain(text: str) -> str:
    """Lower case without accents; no more than a thousand letters of it (PS3.5 section 6.2: ST has 1024)."""
    decomposed = unicodedata.normalize("NFKD", text[:_LONGEST_TEXT].casefold().translate(_LETTERS))
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))

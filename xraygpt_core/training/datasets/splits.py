"""Who is kept back: a patient is in one split, in every set and every run."""

import hashlib

from xraygpt_core.training.pairs import SPLITS

_WORDS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validate", "validation", "dev"),
    "test": ("test", "testing"),
}
_SPLIT_OF_WORD = {word: split for split, words in _WORDS.items() for word in words}


def split_of(patient: str, validation: float, test: float) -> str:
    """The split of a patient: the same in every set, whatever else is in it.

    ``validation`` and ``test`` are shares of patients; a larger share keeps whom a smaller one kept.
    """
    place = key_of(f"split 1 {patient}") / 2**64
    if place < test:
        return "test"
    return "val" if place >= 1 - validation else "train"


def split_word(word: str) -> str | None:
    """Our word for a set's own; None for an unknown one."""
    return _SPLIT_OF_WORD.get(word.strip().casefold())


def key_of(text: str) -> int:
    """64 bits of a hash: a set of these says who was seen, without keeping a name."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")


class SplitOf:
    """In which split something was seen first; it keeps 64 bits of a hash for each, and no name."""

    def __init__(self) -> None:
        self._seen: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._seen)

    def first(self, name: str, split: str) -> str:
        """The split in which ``name`` was seen first: this one, if it is seen for the first time."""
        return SPLITS[self._seen.setdefault(key_of(name), SPLITS.index(split))]

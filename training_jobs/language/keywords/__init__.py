"""Named lists of words that choose dialogues by subject.

The list that XrayGPT's authors chose their radiology dialogues with was never published: these are ours.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from xraygpt_core.errors import TrainingError

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Keywords:
    """A list: its name, the hash of its words, and what finds one of them as a whole word, whatever the case."""

    name: str
    sha256: str
    pattern: re.Pattern[str]

    def meets(self, text: str) -> bool:
        """Does one of the words stand in the text?"""
        return self.pattern.search(text) is not None


def list_names() -> list[str]:
    """The lists there are."""
    return sorted(path.stem for path in _FOLDER.glob("*.txt"))


def keyword_list(name: str) -> Keywords:
    """One of the lists. In its file, a line is a word or a phrase; ``#`` begins a comment.

    Raises:
        TrainingError: there is none of this name.
    """
    if name not in list_names():
        raise TrainingError(f"there is no keyword list {name[:60]!r}; there are {', '.join(list_names())}")
    lines = (line.partition("#")[0].strip().lower() for line in (_FOLDER / f"{name}.txt").read_text().splitlines())
    words = sorted({line for line in lines if line}, key=lambda word: (-len(word), word))
    any_of = "|".join(re.escape(word).replace(r"\ ", r"[\s-]+") for word in words)
    digest = hashlib.sha256("\n".join(words).encode()).hexdigest()
    return Keywords(name, digest, re.compile(rf"(?<![\w-])(?:{any_of})(?!\w)", re.IGNORECASE))

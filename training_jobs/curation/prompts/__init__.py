"""The prompts that ask a model for a summary: text files, whose hash is kept with every text they made."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xraygpt_core.errors import TrainingError

_OURS = Path(__file__).parent
_NAMES = ("system", "summary", "again")


@dataclass(frozen=True)
class Prompts:
    """The three texts: who the model is, the report, and what was wrong with its first summary."""

    system: str
    summary: str
    again: str

    @property
    def sha256(self) -> str:
        """Of all three."""
        return hashlib.sha256("\0".join((self.system, self.summary, self.again)).encode()).hexdigest()

    def first(self, findings: str, impression: str) -> str:
        """What is asked first."""
        return _filled(self.summary, findings=findings, impression=impression)

    def second(self, findings: str, impression: str, before: str, objections: Sequence[str]) -> str:
        """What is asked once more, with the objections to the first answer."""
        listed = "\n".join(f"- {one}" for one in objections)
        return _filled(self.again, findings=findings, impression=impression, summary=before, objections=listed)


def read_prompts(folder: Path | None = None) -> Prompts:
    """Ours, or those of a folder with the same three files.

    Raises:
        TrainingError: a file cannot be read, or has no place for the report.
    """
    texts = {}
    for name in _NAMES:
        file = (folder or _OURS) / f"{name}.txt"
        try:
            texts[name] = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise TrainingError(f"{file} is no readable prompt: {error}") from error
        if name != "system" and not {"{findings}", "{impression}"} <= set(_places(texts[name])):
            raise TrainingError(f"{file} must have {{findings}} and {{impression}}")
    return Prompts(**texts)


def _places(text: str) -> list[str]:
    return [place for place in ("{findings}", "{impression}") if place in text]


def _filled(text: str, **given: str) -> str:
    """Each place is filled once: braces in a report are text."""
    parts = [text]
    for name, words in given.items():
        parts = [piece for part in parts for piece in _cut(part, "{" + name + "}", words)]
    return "".join(parts)


class _Given(str):
    """Words of a report: no place is looked for in them."""

    __slots__ = ()


def _cut(part: str, place: str, words: str) -> list[str]:
    if isinstance(part, _Given) or place not in part:
        return [part]
    before, _, after = part.partition(place)
    return [before, _Given(words), after]

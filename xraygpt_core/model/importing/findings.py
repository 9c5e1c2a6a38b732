"""What an import found, in words for the person who runs it."""

from dataclasses import dataclass, field
from typing import Any

_SHOWN = 4  # names of a list that a sentence shows


@dataclass
class ImportedPart:
    """One part of a bundle that was read: what it is, its shapes, and what happened to its tensors."""

    part: str  # encoder, projector, llm
    found: str
    shapes: str
    tensors: int = 0
    renamed: int = 0
    ignored: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The same as sentences."""
        lines = [f"{self.part}: {self.found}, {self.shapes}; {self.tensors} tensors used, {self.renamed} renamed"]
        if self.ignored:
            lines.append(f"{self.part}: ignored {few(self.ignored)}")
        return lines + [f"{self.part}: {note}" for note in self.notes]

    def document(self) -> dict[str, Any]:
        """The same for programs; every ignored name is in it."""
        return dict(self.__dict__)


def few(names: list[str]) -> str:
    """The first of many names, and how many more there are."""
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")

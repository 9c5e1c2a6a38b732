"""What the engine is asked, and what it answers."""

from dataclasses import dataclass
from typing import Any

from xraygpt_core.errors import XrayGPTError


class ServerBusy(XrayGPTError):
    """The model server does not answer, or has no room; the attempt does not count."""


@dataclass(frozen=True)
class Chest:
    """What a chest check found: the score (natural log-odds, higher is more of a chest), and whether it is in doubt."""

    score: float
    uncertain: bool


@dataclass(frozen=True)
class SummaryRequest:
    """Summarise an 8-bit grey PNG. Without a question the bundle's own is asked.

    Attributes:
        only_chests: refuse (Rejected) what the bundle's chest check, if it has one, takes for something else.
    """

    image_png: bytes
    question: str | None = None
    only_chests: bool = False


@dataclass(frozen=True)
class ChatRequest:
    """A follow-up question about an image; ``turns`` are the (question, answer) pairs so far, the summary first."""

    image_png: bytes
    turns: tuple[tuple[str, str], ...]
    question: str


@dataclass(frozen=True)
class Generated:
    """A text and everything needed to say where it came from.

    Attributes:
        tokens: generated tokens, the stop sequence included.
        batch_size: how many requests shared the step that finished it.
        waited_seconds: from the request to its place on the device.
        generate_seconds: from there to its last token.
        chest: what the bundle's chest check found; None if it has none.
    """

    text: str
    findings: str | None
    impression: str | None
    prompt: str
    template: str
    decoding: dict[str, Any]
    seed: int | None
    tokens: int
    batch_size: int
    waited_seconds: float
    generate_seconds: float
    software: dict[str, str]
    chest: Chest | None = None

"""What every backend takes and returns. A backend makes a text of an image and a question.

There are three: :mod:`xraygpt_core.model.engine` runs the whole bundle on one device, :mod:`xraygpt_core.model.vllm`
encodes here and lets a vLLM server write, and :mod:`xraygpt_core.model.server` sends the images to a chat server. A
backend of another kind is a package beside them that has :class:`Backend`'s two methods and one line in
``workers/serving.py``. What a request can ask for, several images included, belongs into :class:`GenerationRequest`.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol

from xraygpt_core.clinical_text import UNKNOWN
from xraygpt_core.clinical_text import Clinical as Clinical
from xraygpt_core.errors import XrayGPTError
from xraygpt_core.model.grounding import NO_PLACES, Grounding
from xraygpt_core.model.prompt import Prompt
from xraygpt_core.states import ImageRole as ImageRole

# What one bad request can raise in a backend.
REQUEST_ERRORS = (RuntimeError, ValueError, IndexError, KeyError, MemoryError, XrayGPTError)


class ServerBusy(XrayGPTError):
    """The model server does not answer, or has no room; the attempt does not count.

    Attributes:
        wait: seconds that it asks for before the next try.
    """

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait


class RequestFailed(XrayGPTError):
    """The model failed on this request while the device went on to work."""


class DeviceLost(XrayGPTError):
    """The device, or the engine's thread, failed while this request was on it, and answers nothing more."""


@dataclass(frozen=True)
class Chest:
    """What a chest check found: the score (natural log-odds, higher is more of a chest), and whether it is in doubt."""

    score: float
    uncertain: bool


@dataclass(frozen=True)
class GenerationRequest:
    """One text to write about one study: a summary, or the answer to a follow-up question.

    Two requests are equal if they ask the same about the same image; how they are scheduled and watched does not count.
    The hooks run in a thread of the backend and must be quick.

    Attributes:
        image_png: the frontal film, an 8-bit grey PNG.
        lateral_png, prior_png: further films of the kind; a backend whose bundle does not use them ignores them.
        clinical: likewise.
        question: None asks the bundle's own.
        turns: (question, answer) pairs so far, the summary first.
        only_chests: refuse (Rejected) what the bundle's chest check, if it has one, takes for something else.
        rank: the lower is served first.
        alone: it shares the device or the server with no other request.
        on_progress: called at each step.
        on_text: called with the text so far, at each step.
        cancelled: asked at each step.
    """

    image_png: bytes
    question: str | None = None
    turns: tuple[tuple[str, str], ...] = ()
    only_chests: bool = False
    lateral_png: bytes | None = None
    prior_png: bytes | None = None
    clinical: Clinical = UNKNOWN
    rank: int = field(default=1, compare=False)
    alone: bool = field(default=False, compare=False)
    on_progress: Callable[[], None] = field(default=lambda: None, compare=False)
    on_text: Callable[[str], None] | None = field(default=None, compare=False)
    cancelled: Callable[[], bool] = field(default=lambda: False, compare=False)


@dataclass(frozen=True)
class Generated:
    """A text and everything needed to say where it came from.

    Attributes:
        tokens: generated tokens, the stop sequence included.
        batch_size: how many requests shared the step that finished it.
        waited_seconds: from the request to its slot on the device.
        generate_seconds: from there to its last token.
        chest: what the bundle's chest check found; None if it has none.
        grounding: where the text says that it saw what it names; the text itself has no places.
        reasoning: what a model that thinks aloud wrote before its answer; no part of the text.
        clinical: which of the hospital's words the model was shown, by the names of :class:`Clinical`'s fields.
        shortened: which of them it was not shown as they were given, for want of room.
        cut_off: it ends because it may have no more tokens, and not because the model ended it.
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
    grounding: Grounding = NO_PLACES
    reasoning: str | None = None
    clinical: tuple[str, ...] = ()
    shortened: tuple[str, ...] = ()
    cut_off: bool = False


@dataclass(eq=False, kw_only=True)
class AcceptedRequest:
    """A request that a backend has taken, and the future its caller waits on."""

    request: GenerationRequest
    prompt: Prompt
    future: "Future[Generated]"
    chest: Chest | None = None
    submitted: float = field(default_factory=time.monotonic)


class Backend(Protocol):
    """One loaded bundle that answers requests until it is closed."""

    def submit(self, request: GenerationRequest) -> "Future[Generated]":
        """Queue a request. The image is decoded here, in the caller's thread.

        The future fails with InvalidRequest (unreadable image, question too long), Rejected (it asked for chests only,
        and the chest check says no: before any text), CancelledError, RequestFailed (the model fails on it), DeviceLost
        (the device failed while it was there), ServerBusy (no server answered: try again later), ConfigurationError
        (the server is not the one that the bundle names, or refuses its key), or Unavailable (the backend is closed).
        """

    def close(self) -> None:
        """Finish what runs, fail what waits."""


def pending_future() -> "Future[Generated]":
    """A future that only the backend ends."""
    future: Future[Generated] = Future()
    future.set_running_or_notify_cancel()
    return future

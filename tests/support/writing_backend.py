"""A backend of ours that writes what a test says: no model, no device, and the same life as a real one."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from xraygpt_core.model.backend import Generated, GenerationRequest, pending_future


@dataclass
class WritingBackend:
    """``says`` is asked with each picture: a text, an error that the future ends with, or None: it never ends."""

    says: Callable[[bytes], str | BaseException | None]
    asked: list[GenerationRequest] = field(default_factory=list)
    closed: bool = False

    def submit(self, request: GenerationRequest) -> "Future[Generated]":
        self.asked.append(request)
        future, said = pending_future(), self.says(request.image_png)
        if isinstance(said, BaseException):
            future.set_exception(said)
        elif said is not None:
            future.set_result(generated(said))
        return future

    def close(self) -> None:
        self.closed = True


def generated(text: str, **more: Any) -> Generated:
    """What a backend would give back with this text."""
    values: dict[str, Any] = {
        "findings": None,
        "impression": None,
        "prompt": "<image> What is seen?",
        "template": "xraygpt",
        "decoding": {"do_sample": False},
        "seed": None,
        "tokens": len(text.split()),
        "batch_size": 1,
        "waited_seconds": 0.0,
        "generate_seconds": 0.5,
        "software": {"device": "cpu", "dtype": "float32"},
    }
    return Generated(text=text, **(values | more))

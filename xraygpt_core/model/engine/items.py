"""A request inside the engine, and the errors that end one."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

import torch
from torch import Tensor

from xraygpt_core.errors import XrayGPTError
from xraygpt_core.model.chest_check import ChestCheck
from xraygpt_core.model.engine.requests import Chest, Generated
from xraygpt_core.model.engine.scheduler import Ticket
from xraygpt_core.model.prompt import Prompt

# What one bad item can raise in a batch.
ITEM_ERRORS = (RuntimeError, ValueError, IndexError, KeyError, MemoryError, XrayGPTError)


class RequestFailed(XrayGPTError):
    """The model failed on this request while the device went on to work."""


class DeviceLost(XrayGPTError):
    """The device, or the engine's thread, failed while this request was on it, and answers nothing more."""


@dataclass
class Run:
    """One stay in a slot. A request that is put back begins a new one."""

    started: float = field(default_factory=time.monotonic)
    ids: list[int] = field(default_factory=list)
    launched: int = 0  # tokens asked of the device, those included that nobody has looked at yet
    generator: torch.Generator | None = None  # of a sampled answer


@dataclass(eq=False)
class Item:
    """What the engine knows of a request. The hooks run in the engine's thread and must be quick.

    Attributes:
        after: ids of the text behind the image tokens.
        cached: tokens in its slot after prefill, the shared beginning included.
        longest: the most tokens its answer may have.
        only_chests: refuse what the chest check takes for something else.
        score: of the chest check, one number on the host; it is there when the row's first token is.
        chest: what that means, once it was looked at.
    """

    image: Tensor
    after: list[int]
    cached: int
    longest: int
    prompt: Prompt
    future: "Future[Generated]"
    on_progress: Callable[[], None] | None
    on_text: Callable[[str], None] | None
    cancelled: Callable[[], bool] | None
    only_chests: bool = False
    score: Tensor | None = None
    chest: Chest | None = None
    submitted: float = field(default_factory=time.monotonic)
    run: Run = field(default_factory=Run)

    def judge(self, check: ChestCheck | None) -> None:
        """Look at the score.

        Raises:
            Rejected, ValueError: see :meth:`ChestCheck.judge`.
        """
        if check is not None and self.score is not None:
            self.chest = check.judge(float(self.score), refuse=self.only_chests)

    def progress(self) -> None:
        """Say that it moves."""
        if self.on_progress is not None:
            self.on_progress()

    def cancel_asked(self) -> bool:
        """Does nobody wait for it any more?"""
        return self.cancelled is not None and self.cancelled()


Place = Ticket[Item]


@dataclass(frozen=True)
class Launch:
    """Work given to the device: one new token for each of these rows, to be looked at when it is there.

    Attributes:
        ids: one per row, on the host once ``ready`` has happened; -1 where the numbers were not finite.
    """

    rows: list[tuple[Place, Run]]
    ids: Tensor
    ready: torch.cuda.Event | None = None

    def read(self) -> list[int]:
        """Wait for the device and look."""
        if self.ready is not None:
            self.ready.synchronize()
        found: list[int] = self.ids.tolist()
        return found


def out_of_memory(error: BaseException) -> bool:
    """Is it for want of memory, on a GPU or in the host?"""
    said = str(error)
    typed = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return typed or any(words in said for words in ("out of memory", "can't allocate memory", "ALLOC_FAILED"))


def device_is_gone(error: BaseException) -> bool:
    """After this no call to the device succeeds in this process (CUDA calls such errors sticky)."""
    if isinstance(error, DeviceLost):
        return True
    said = str(error)
    broken = isinstance(error, torch.AcceleratorError) or "CUDA error" in said or "device-side assert" in said
    return broken and not out_of_memory(error)

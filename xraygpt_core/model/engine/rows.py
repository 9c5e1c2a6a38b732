"""A request inside the engine, and work that the device was given for several of them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor

from xraygpt_core.model.backend import AcceptedRequest
from xraygpt_core.model.chest_check import ChestCheck
from xraygpt_core.model.engine.scheduler import Ticket


@dataclass
class Run:
    """One stay in a slot. A request that is put back begins a new one."""

    started: float = field(default_factory=time.monotonic)
    ids: list[int] = field(default_factory=list)
    unread: Tensor | None = None  # embeddings (tokens, hidden) of what is not read yet of the prompt
    read: int = 0  # tokens of it in the slot, the shared beginning included, while it is read piece by piece
    launched: int = 0  # tokens asked of the device, those included that the host has not looked at yet
    generator: torch.Generator | None = None  # of a sampled answer


@dataclass(eq=False, kw_only=True)
class EngineRequest(AcceptedRequest):
    """What the engine knows of a request.

    Attributes:
        image: the first image of the prompt, preprocessed.
        after: ids of the text behind the last image.
        before: ids of the text before the first image that not every prompt begins with.
        further: each other image, and the ids of the text before it.
        cached: tokens in its slot after prefill, the shared beginning included.
        longest: the most tokens its answer may have.
        score: of the chest check, one number on the host; it is there when the row's first token is.
    """

    image: Tensor
    after: list[int]
    cached: int
    longest: int
    before: Sequence[int] = ()
    further: Sequence[tuple[list[int], Tensor]] = ()
    score: Tensor | None = None
    run: Run = field(default_factory=Run)

    @property
    def length(self) -> int:
        """Tokens in its slot, the last chosen one not included."""
        return self.cached + self.run.launched - 1 if self.run.launched else self.run.read

    @property
    def writes(self) -> bool:
        """Is its prompt read, so that it takes part in steps?"""
        return self.run.launched > 0

    def judge(self, check: ChestCheck | None) -> None:
        """Look at the score.

        Raises:
            Rejected, ValueError: see :meth:`ChestCheck.judge`.
        """
        if check is not None and self.score is not None:
            self.chest = check.judge(float(self.score), refuse=self.request.only_chests)


EngineTicket: TypeAlias = Ticket[EngineRequest]


@dataclass(frozen=True)
class Launch:
    """Work given to the device: one new token for each of these rows, to be looked at when it is there.

    Attributes:
        ids: one per row, on the host once ``ready`` has happened; -1 where the numbers were not finite.
        others: rows in slots of other lengths that took the same step.
    """

    rows: list[tuple[EngineTicket, Run]]
    ids: Tensor
    ready: torch.cuda.Event | None = None
    others: int = 0

    def read(self) -> list[int]:
        """Wait for the device and look."""
        if self.ready is not None:
            self.ready.synchronize()
        found: list[int] = self.ids.tolist()
        return found

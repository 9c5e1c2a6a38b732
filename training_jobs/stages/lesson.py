"""What an image stage trains, and its loss: features through the projector into the LLM, which shall say the text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training_jobs.features.batch import Batch
from training_jobs.learning.loss import Loss
from training_jobs.learning.objective import answer_loss
from training_jobs.stages.wording import Wording
from xraygpt_core.model.llm import Llm
from xraygpt_core.model.projector import Projector
from xraygpt_core.training.pairs import Pair


@dataclass(frozen=True)
class Lesson:
    """Projector, LLM and words.

    Attributes:
        module: what learns: the projector, or it and the LLM.
        micro_batch: pairs at once; None: all that are given.
    """

    projector: Projector
    llm: Llm
    wording: Wording
    module: nn.Module
    micro_batch: int | None = None

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.llm.device

    def losses(self, step: int, batch: Batch) -> Iterator[Loss]:
        """Of a process's share of a step, micro-batch by micro-batch."""
        for part in batch.parts(self.micro_batch or max(len(batch), 1)):
            yield self._loss(part.features, part.pairs, step)

    def plain_loss(self, features: Tensor, pairs: Sequence[Pair]) -> Loss:
        """Of texts as they are, asked for in the usual words."""
        return self._loss(features, pairs, None)

    def _loss(self, features: Tensor, pairs: Sequence[Pair], step: int | None) -> Loss:
        words = self.wording
        exchanges = words.plain(pairs) if step is None else words.exchanges(step, pairs)
        tokens = self.projector(features.to(self.device))
        return answer_loss(self.llm, words.template, words.stop, exchanges, tokens, most=words.text.max_tokens)


def learning_module(projector: Projector, llm: Llm, *, tuned: bool) -> nn.Module:
    """The projector alone, or together with the LLM: what optimizer and checkpoints see."""
    return nn.ModuleDict({"projector": projector, "llm": llm.model}) if tuned else projector

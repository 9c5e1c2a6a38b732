"""Dialogues, a language model, and the order they meet in: the losses of a tuning, trained on and held out."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

import numpy as np
import torch

from training_jobs.language.dialogues import Dialogues
from training_jobs.language.loss import DialogueLoss
from training_jobs.language.order import Shuffled
from training_jobs.language.samples import passage_of
from training_jobs.learning.distributed import World
from training_jobs.learning.loop import Loss, plan_of
from training_jobs.learning.objective import NO_LABEL, Passage
from training_jobs.learning.plan import TrainingPlan
from training_jobs.learning.sharded import give_back_parts
from xraygpt_core.errors import TrainingError
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.llm import Llm
from xraygpt_core.training.config import Config

_HELD_OUT, _HELD_OUT_SHARE = 64, 0.05  # dialogues that are never trained on: at most so many, and this share
_AROUND = 300  # bytes a layout may have around a question, and more
# What a process computes that has nothing to learn from in a micro-batch while others have: they wait for its layers.
_NOTHING = Passage((), None, [0, 0], [NO_LABEL, 0])


class DialogueLesson:
    """A tuning.

    Raises:
        TrainingError: no dialogue is short enough to be learned from.

    Attributes:
        module: what learns, and whose forward is called.
        max_tokens: where a dialogue is cut: the configuration's limit, or the positions of the LLM if they are fewer.
        held_out: numbers of the dialogues that are only measured.
        too_long: how many are left out, because their first question alone fills ``max_tokens``.
        steps: of the whole run.
    """

    def __init__(self, dialogues: Dialogues, llm: Llm, base: Bundle, config: Config) -> None:
        self._dialogues, self._llm, self._base = dialogues, llm, base
        self.module = DialogueLoss(llm)
        self.max_tokens = min(config.conversations.max_tokens, llm.model.config.max_position_embeddings)
        usable = np.asarray([number for number in range(len(dialogues)) if self._has_room(number)], np.int64)
        self.too_long = len(dialogues) - len(usable)
        if not len(usable):
            raise TrainingError(
                f"the first question of every dialogue fills conversations.max_tokens ({self.max_tokens}): allow more"
            )
        order = np.random.default_rng([config.seed, len(usable)]).permutation(usable)
        kept = min(_HELD_OUT, int(len(usable) * _HELD_OUT_SHARE))
        self.held_out, self._trained = [int(index) for index in order[:kept]], np.sort(order[kept:])
        self._order = Shuffled(dialogues.sizes[self._trained], config.batch, config.seed)
        self.steps = config.steps if config.epochs is None else round(config.epochs * self._order.steps)
        share = config.warmup_share
        self._config = config if share is None else replace(config, warmup=math.ceil(share * self.steps))

    def plan(self, job: str, out: Path, resume: Path | None) -> TrainingPlan:
        """For the loop; a checkpoint of other dialogues or of another base is refused."""
        data = hashlib.sha256(f"{self._base.sha256} {self._dialogues.sha256}".encode()).hexdigest()
        return plan_of(job, out, self._config, self.steps, resume, data=data, epoch_steps=self._order.steps)

    def losses(self, step: int, world: World) -> Iterator[Loss]:
        """This process's micro-batches of a step."""
        mine = self._trained[self._order.batch(step)][world.rank :: world.size]
        for passages in self._micro_batches([int(index) for index in mine]):
            if world.size > 1 and not any(map(_teaches, passages)):
                self._compute_nothing()
                yield Loss(torch.zeros((), device=self._llm.device), 0, (), tuple(one.pair_id for one in passages))
            else:
                yield Loss(*self.module(passages))

    @torch.no_grad()
    def held_out_loss(self, world: World) -> dict[str, float]:
        """``held_out``: the mean over the tokens of answers in dialogues nobody trains on, in nats; or nothing.

        Each process computes its share, all have the result.
        """
        sums = torch.zeros(2, dtype=torch.float64, device=self._llm.device)
        batches = self._micro_batches(self.held_out[world.rank :: world.size])
        first = self._micro_batches(self.held_out[:: world.size])  # whose share is the largest
        for passages, _ in zip_longest(batches, first, fillvalue=()):
            if any(map(_teaches, passages)):
                total, count, *_ = self.module(passages)
                sums += torch.stack([total.double(), sums.new_tensor(count)])
            elif world.size > 1:
                self.module([_NOTHING])
        give_back_parts(self.module)
        total, count = world.sum(sums).tolist()
        return {"held_out": total / count} if count else {}

    def _micro_batches(self, numbers: Sequence[int]) -> Iterator[Sequence[Passage]]:
        size = self._config.micro_batch or max(len(numbers), 1)
        for start in range(0, len(numbers), size):
            yield [self._passage(number) for number in numbers[start : start + size]]

    def _passage(self, number: int) -> Passage:
        turns, tokenizer = self._dialogues[number], self._llm.tokenizer
        return passage_of(tokenizer, self._base.template, turns, self.max_tokens, f"dialogue {number + 1}")

    def _has_room(self, number: int) -> bool:
        """Is something of an answer left after the cut? Tokens are counted only where there are many letters."""
        least = self.max_tokens - _AROUND
        return bool(self._dialogues.asked[number] < least) or _teaches(self._passage(number))

    def _compute_nothing(self) -> None:
        total, *_ = self.module([_NOTHING])
        (total * 0).backward()


def _teaches(passage: Passage) -> bool:
    """Is there anything to learn? Not where the first question alone fills the room."""
    return any(label != NO_LABEL for label in passage.labels)

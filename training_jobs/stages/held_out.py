"""The loss on pairs that nobody trains on, and its control: the same texts beside another patient's film."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from training_jobs.features.stream import PairStream
from training_jobs.learning.distributed import World
from training_jobs.learning.loss import Loss
from training_jobs.learning.progress import Observer
from training_jobs.stages.lesson import Lesson
from xraygpt_core.training.config import Config
from xraygpt_core.training.corpus import Corpus
from xraygpt_core.training.pairs import Pair

MOST_PAIRS = 64
HALF = {"bfloat16": torch.bfloat16, "float16": torch.float16}
_AT_ONCE = 8


class HeldOut:
    """Measures a lesson on at most 64 pairs of the validation split, always the same ones, in the same words."""

    def __init__(self, lesson: Lesson, corpora: Sequence[Corpus], world: World, config: Config) -> None:
        self._lesson, self._world, self._half = lesson, world, HALF.get(config.precision)
        stream = PairStream(corpora, split="val", batch=MOST_PAIRS, seed=config.seed)
        self._pairs = next(iter(stream.once(MOST_PAIRS)), None)
        self._others = None if self._pairs is None else others(self._pairs.pairs)
        self.counts = stream.counts

    @property
    def pairs(self) -> int:
        """How many are looked at."""
        return 0 if self._pairs is None else len(self._pairs)

    @torch.no_grad()
    def losses(self) -> dict[str, float]:
        """``held_out`` and, where there are two patients, ``swapped``: means over the tokens of the texts, in nats.

        Every process computes its share, all have the result; no random number that training draws is used up.
        """
        if self._pairs is None:
            return {}
        module = self._lesson.module
        training = module.training
        with torch.random.fork_rng():
            module.eval()
            try:
                found = {"held_out": self._mean(range(len(self._pairs)))}
                if self._others is not None:
                    found["swapped"] = self._mean(self._others)
            finally:
                module.train(training)
        return {name: value for name, value in found.items() if value is not None}

    def _mean(self, films: Sequence[int]) -> float | None:
        """The texts in their order beside these films."""
        assert self._pairs is not None
        sums = torch.zeros(2, dtype=torch.float64)
        mine = range(self._world.rank, len(self._pairs), self._world.size)
        for start in range(0, len(mine), _AT_ONCE):
            places = mine[start : start + _AT_ONCE]
            texts, shown = self._pairs.take(places), self._pairs.take([films[place] for place in places])
            with torch.autocast(self._lesson.device.type, self._half, enabled=self._half is not None):
                loss = self._lesson.plain_loss(shown.features, texts.pairs)
            sums += torch.tensor([_number(loss), loss.count], dtype=torch.float64)
        total, count = self._world.sum(sums.to(self._lesson.device)).tolist()
        return total / count if count else None


def _number(loss: Loss) -> float:
    total: Tensor = loss.total
    return float(total.detach())


def others(pairs: Sequence[Pair]) -> list[int] | None:
    """For each pair the next one of another patient; None where all are of one patient."""
    found = []
    for place, pair in enumerate(pairs):
        later = (*range(place + 1, len(pairs)), *range(place))
        other = next((index for index in later if pairs[index].patient != pair.patient), None)
        if other is None:
            return None
        found.append(other)
    return found


class Notes:
    """Writes what was measured into ``progress.jsonl`` and tells the observer."""

    def __init__(self, out: Path, steps: int, world: World, observer: Observer | None) -> None:
        self._out, self._steps, self._world, self._observer = out, steps, world, observer

    def note(self, step: int, values: Mapping[str, float]) -> None:
        """One line, by the first process."""
        if not values or not self._world.leads:
            return
        self._out.mkdir(parents=True, exist_ok=True)
        rounded = {name: float(f"{value:.6g}") for name, value in values.items()}
        with (self._out / "progress.jsonl").open("a") as file:
            file.write(json.dumps({"step": step, "steps": self._steps} | rounded) + "\n")
        if self._observer is not None:
            self._observer.note(step, rounded)

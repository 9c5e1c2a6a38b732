"""The work of stages 1 and 2: from corpora and a base to a projector, and with it an LLM where that is trained too.

Stage 1 begins with an untrained projector (or a file's), stage 2 with the base's; beside that they are one.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from training_jobs.features.batch import Batch
from training_jobs.features.stream import PairStream
from training_jobs.language.tuning import trainable
from training_jobs.learning.distributed import ALONE, World
from training_jobs.learning.loop import Loss, plan_of, train
from training_jobs.learning.progress import Observer
from training_jobs.stages.alignment import alignment_loss, says_what_tokens_mean
from training_jobs.stages.corpora import corpora_of, identity_of
from training_jobs.stages.held_out import HALF, HeldOut, Notes
from training_jobs.stages.lesson import Lesson, learning_module
from training_jobs.stages.outcome import write_outcome
from training_jobs.stages.projectors import Made, check_start, starting_projector
from training_jobs.stages.slots import SLOTS, Codebook
from training_jobs.stages.wording import wording_of
from xraygpt_core.errors import TrainingError
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.llm import Llm, load_llm
from xraygpt_core.model.projector import MapProjector
from xraygpt_core.training.config import Config
from xraygpt_core.training.corpus import Corpus
from xraygpt_core.training.presets import check_stage

_ALIGN_BATCH = 8  # times the batch of the LLM's steps: features are cheap
_SAMPLE = 256  # pairs whose features are looked at before anything is made
_SAMPLE_VECTORS = 50_000  # fewer pairs, where each has many


@dataclass(frozen=True)
class Given:
    """What a stage is called with.

    Attributes:
        out: progress, checkpoints and result go here.
        cache: where corpora and features are kept that are made on this machine.
        corpora: directories of prepared ones.
        observer: told of every step and of every held-out loss.
    """

    base: Bundle
    out: Path
    config: Config
    resume: Path | None
    cache: Path
    corpora: Sequence[Path] = ()
    world: World = ALONE
    observer: Observer | None = None


def run_stage(job: str, given: Given) -> list[Corpus]:
    """Train; ``out/result`` when done. Returns the corpora it was trained on.

    Raises:
        TrainingError: the preset is another stage's, a set or a corpus cannot be trained on, the start does not fit.
        BundleError: the base lacks what the run starts from.
        Stopped: after SIGTERM; the checkpoint is written.
    """
    check_stage(given.config.preset, job)
    if given.config.llm.strategy == "shard" and given.config.llm.tune != "none":
        raise TrainingError("llm.strategy=shard is for medical-llm; the image stages replicate the LLM")
    check_start(given.base, given.config)
    torch.manual_seed(given.config.seed)
    corpora = corpora_of(given.base, given.config, given.cache, given.corpora, given.world)
    _Stage(job, given, corpora).run()
    return corpora


class _Stage:
    def __init__(self, job: str, given: Given, corpora: Sequence[Corpus]) -> None:
        self.job, self.given, self.corpora = job, given, corpora
        config, base = given.config, given.base
        self.texts = PairStream(corpora, split="train", batch=config.batch, seed=config.seed)
        if not self.texts.pairs_count:
            raise TrainingError("no pair of the training split has a text")
        self.llm = _llm(base, config)
        sample, labelled = self._sample()
        self.made: Made = starting_projector(base, config, self.llm, sample, labelled=labelled)
        projector = self.made.projector.to(self.llm.device)
        tuned = config.llm.tune != "none"
        module = learning_module(projector, self.llm, tuned=tuned)
        self.lesson = Lesson(projector, self.llm, wording_of(base, config), module, config.micro_batch)
        in_slots = isinstance(projector, MapProjector) and projector.sizes.tokens == len(SLOTS)
        self.aligning = config.align_steps if labelled and in_slots else 0
        self.steps = self.aligning + (self.texts.steps_of(config.epochs) if config.epochs else config.steps)
        share = config.warmup_share
        self.config = config if share is None else replace(config, warmup=math.ceil(share * self.steps))

    def run(self) -> None:
        """Every step, and the result."""
        given, config = self.given, self.config
        held_out = HeldOut(self.lesson, self.corpora, given.world, config)
        notes = Notes(given.out, self.steps, given.world, given.observer)
        align = self._aligner() if self.aligning else None

        def losses_of(step: int) -> Iterable[Loss]:
            if step % config.checkpoint_every == 0:
                notes.note(step, held_out.losses())
            if align is not None and step < self.aligning:
                return align(step)
            return self.lesson.losses(step, self._mine(self.texts, step - self.aligning))

        data = identity_of(given.base, self.corpora)
        plan = plan_of(self.job, given.out, config, self.steps, given.resume, data=data)
        self.lesson.module.train()
        loss = train(plan, self.lesson.module, losses_of, given.world, given.observer)
        last = held_out.losses()
        notes.note(self.steps, last)
        told = self._told() | {"held_out": last | {"pairs": held_out.pairs}}
        write_outcome(self.job, given.out, given.base, config, self.lesson, given.world, loss=loss, told=told)

    def _aligner(self) -> Callable[[int], Iterable[Loss]]:
        config, codebook = self.config, Codebook(self.llm)
        size = config.batch * _ALIGN_BATCH
        stream = PairStream(self.corpora, split="train", batch=size, seed=config.seed, needs_text=False)

        def align(step: int) -> Iterable[Loss]:
            mine = self._mine(stream, step)
            tokens = self.lesson.projector(mine.features.to(self.lesson.device))
            return [alignment_loss(tokens, mine.pairs, codebook)]

        return align

    def _mine(self, stream: PairStream, step: int) -> Batch:
        world = self.given.world
        return stream.share(stream.batch(step), world.rank, world.size)

    def _sample(self) -> tuple[torch.Tensor, bool]:
        """Features of some pairs, text or not, and whether any says what the demo's tokens mean."""
        most = min(_SAMPLE, max(_SAMPLE_VECTORS // max(self.texts.positions, 1), 1))
        stream = PairStream(self.corpora, split="train", batch=most, seed=self.given.config.seed, needs_text=False)
        first = next(iter(stream.once(most)))
        return first.features, says_what_tokens_mean(first.pairs)

    def _told(self) -> dict[str, Any]:
        """For the result: how it began and on what."""
        return {
            "started": self.made.told,
            "steps": self.steps,
            "align_steps": self.aligning,
            "sets": self.texts.counts,
            "image_tokens": {"positions": self.texts.positions, "channels": self.texts.channels},
        }


def _llm(base: Bundle, config: Config) -> Llm:
    """The base's LLM with its adapter: frozen, or to be trained as the configuration says."""
    on_gpu = torch.cuda.is_available()
    device = torch.device("cuda", torch.cuda.current_device()) if on_gpu else torch.device("cpu")
    if config.llm.tune != "none":
        return trainable(base, config.llm, device, config.precision)
    return load_llm(base.llm, base.adapter, device, HALF.get(config.precision, torch.float32))

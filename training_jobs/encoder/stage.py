"""Stage 0, the paper's frozen E_img: what MedCLIP is to XrayGPT, made for the encoder and the films at hand.

Only the last blocks learn. What the blocks below them give is an encoder's features like any other: made once, kept in
the same shards, streamed in the same order. The heads are thrown away; the encoder is frozen afterwards.
"""

import math
from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor

from training_jobs.encoder.label_space import LabelSpace, label_space
from training_jobs.encoder.lesson import EncoderLesson, known_auc, mean_of
from training_jobs.encoder.texts import Texts
from training_jobs.features.stream import PairStream
from training_jobs.learning.checkpoint import write_result
from training_jobs.learning.loop import Loss, plan_of, train
from training_jobs.stages.corpora import corpora_of, identity_of
from training_jobs.stages.held_out import Notes
from training_jobs.stages.image_stage import Given
from training_jobs.stages.outcome import preset_table
from xraygpt_core.durable import complete_directory
from xraygpt_core.errors import TrainingError
from xraygpt_core.model.encoders.delta import save_delta
from xraygpt_core.model.encoders.tuning import Upper, lower_half, upper_half
from xraygpt_core.model.llm import load_llm, pick_device
from xraygpt_core.training.corpus import Corpus
from xraygpt_core.training.presets import check_stage

JOB, FILE = "encoder", "encoder.safetensors"
TOP = ("head",)  # of a convolutional encoder
_AT_ONCE = 128  # films whose labels are read together


def run(given: Given) -> list[Corpus]:
    """Tune; ``out/result/encoder.safetensors`` has the difference to the base's encoder when done.

    Raises:
        TrainingError: the preset is another stage's, the encoder cannot be tuned, a set cannot be trained on, or no
            label is on enough films.
        Stopped: after SIGTERM; the checkpoint is written.
    """
    check_stage(given.config.preset, JOB)
    lower = lower_half(given.base, given.config.encoder.last)
    torch.manual_seed(given.config.seed)
    tuning = given.config.encoder  # the heads read the last layer alone, whatever else the encoder shall give
    upper, _ = upper_half(given.base, tuning.last, TOP if tuning.layers else ())
    corpora = corpora_of(lower, given.config, given.cache, given.corpora, given.world)
    _Stage(given, corpora, upper).run()
    return corpora


class _Stage:
    def __init__(self, given: Given, corpora: list[Corpus], upper: Upper) -> None:
        self.given, self.corpora = given, corpora
        config = given.config
        self.stream = self._stream("train", config.batch)
        labels = label_space(pair for batch in self.stream.once() for pair in batch.pairs)
        self.upper, self.lesson = upper, _lesson(given, upper, labels)
        self.steps = self.stream.steps_of(config.epochs) if config.epochs else config.steps
        share = config.warmup_share
        self.config = config if share is None else replace(config, warmup=math.ceil(share * self.steps))

    def run(self) -> None:
        """Every step, and the result."""
        given, config, module = self.given, self.config, self.lesson.module
        notes = Notes(given.out, self.steps, given.world, given.observer)

        def losses_of(step: int) -> Iterable[Loss]:
            if step % config.checkpoint_every == 0:
                notes.note(step, self._held_out())
            mine = self.stream.share(self.stream.batch(step), given.world.rank, given.world.size)
            return self.lesson.losses(mine, config.micro_batch)

        data = identity_of(given.base, self.corpora)
        plan = plan_of(JOB, given.out, config, self.steps, given.resume, data=data)
        module.train()
        loss = train(plan, module, losses_of, given.world, given.observer)
        notes.note(self.steps, self._held_out())
        if given.world.leads:
            self._write(loss)

    def _stream(self, split: str, size: int) -> PairStream:
        return PairStream(self.corpora, split=split, batch=size, seed=self.given.config.seed, needs_text=False)

    @torch.no_grad()
    def _held_out(self) -> dict[str, float]:
        """``auc`` and that of each set: the mean over the labels of the validation split's films."""
        scores, presence, known, sets = self._read_off()
        if not sets:
            return {}
        of_sets = {}
        for name in sorted(set(sets)):
            rows = torch.tensor([one == name for one in sets])
            mean = mean_of(known_auc(scores[rows], presence[rows], known[rows]))
            if mean is not None:
                of_sets[f"auc {name}"] = mean
        mean = mean_of(list(of_sets.values()))
        return {} if mean is None else {"auc": mean} | of_sets

    def _read_off(self) -> tuple[Tensor, Tensor, Tensor, list[str]]:
        module, device = self.lesson.module, self.lesson.device
        training = module.training
        module.eval()
        parts, truths, sets = [], [], []
        for batch in self._stream("val", _AT_ONCE).once():
            parts.append(self.lesson.logits(batch.features.to(device)).float().cpu())
            truths.append(self.lesson.labels.truth(batch.pairs))
            sets += [pair.set_name for pair in batch.pairs]
        module.train(training)
        if not parts:
            return torch.empty(0), torch.empty(0), torch.empty(0), []
        return torch.cat(parts), torch.cat([one for one, _ in truths]), torch.cat([one for _, one in truths]), sets

    def _write(self, loss: float) -> None:
        given, tuning = self.given, self.given.config.encoder
        before, options = upper_half(given.base, tuning.last, tuning.layers)
        with complete_directory(given.out / "result") as work:
            changed = save_delta(
                work / FILE,
                before.net.state_dict(),
                self.upper.net.state_dict(),
                kind=given.base.encoder,
                options=options,
            )
            found: dict[str, object] = {
                "steps": self.steps,
                "labels": list(self.lesson.labels.names),
                "sets": self.stream.counts,
                "tensors": len(changed),
                "held_out": self._held_out(),
                "encoder": options,
            }
            if given.config.preset is not None:
                found["preset"] = preset_table(given.config)
            write_result(work, JOB, given.base, given.config, loss=loss, **found)


def _lesson(given: Given, upper: Upper, labels: LabelSpace) -> EncoderLesson:
    config, device = given.config, pick_device("auto")
    texts = Texts(load_llm(given.base.llm, None, device, torch.float32)) if config.encoder.matching else None
    if not isinstance(upper, torch.nn.Module):
        raise TrainingError("the upper half of an encoder must be a module")
    shape = (upper.positions, upper.channels)
    return EncoderLesson(upper, shape, labels, texts, config.encoder.matching, device)

"""The ways to train a projector, one per process: ``python -m benchmarks.training_ways WAY`` prints JSON."""

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.figures import peak_mib
from benchmarks.training_work import (
    BEFORE,
    CHANNELS,
    CLIP,
    DECAY,
    LENGTHS,
    PAD,
    RATE,
    SHAPES,
    ImageLanguageModel,
    Sample,
    TrainingResult,
    Work,
    models,
    padded,
    work,
)

_WARM = 1  # steps before the clock starts


class Clock:
    """Wall time by part: each moment belongs to the part that was entered last."""

    def __init__(self) -> None:
        self.parts: dict[str, float] = defaultdict(float)
        self._part, self._since = "rest", time.perf_counter()

    def enter(self, part: str) -> None:
        """From now on time belongs to this part."""
        now = time.perf_counter()
        self.parts[self._part] += now - self._since
        self._part, self._since = part, now

    def reset(self) -> None:
        """Forget what was before."""
        self.enter(self._part)
        self.parts.clear()

    def watch(self, llm: Any, projector: nn.Linear) -> None:
        """Embedding ends where the layers begin; what follows them is the head and its loss."""
        projector.register_forward_pre_hook(lambda *_: self.enter("embed"))
        llm.model.register_forward_pre_hook(lambda *_: self.enter("layers"))
        llm.model.register_forward_hook(lambda *_: self.enter("head"))

    def watch_loss(self, loss: Tensor) -> None:
        """The backward pass begins where the loss gets its gradient."""
        loss.register_hook(lambda gradient: (self.enter("backward"), gradient)[1])

    def watch_optimizer(self, optimizer: torch.optim.Optimizer) -> None:
        """The step, and what comes between it and the next batch."""
        optimizer.register_step_pre_hook(lambda *_: self.enter("optimiser"))
        optimizer.register_step_post_hook(lambda *_: self.enter("rest"))


class Stopwatch:
    """Starts after the untimed steps."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.began = clock, (time.perf_counter(), time.process_time())

    def step_done(self, step: int) -> None:
        """Call it after each."""
        if step + 1 == _WARM:
            self.clock.reset()
            self.began = time.perf_counter(), time.process_time()

    def result(self, given: Work, projector: nn.Linear, losses: list[float]) -> TrainingResult:
        wall, cores = time.perf_counter() - self.began[0], time.process_time() - self.began[1]
        self.clock.enter("rest")
        weights = float(sum(parameter.detach().abs().sum() for parameter in projector.parameters()))
        samples = len(given.samples) - _WARM * given.batch
        parts = {name: round(seconds, 3) for name, seconds in self.clock.parts.items()}
        return TrainingResult(samples, given.labelled(_WARM), wall, cores, peak_mib(), losses, weights, parts)


def ours(asked: argparse.Namespace, given: Work) -> TrainingResult:
    """The loop and the objective of ``training_jobs``."""
    from torch.optim.optimizer import register_optimizer_step_pre_hook

    from training_jobs.learning.loop import Loss, TrainingPlan, train
    from training_jobs.learning.objective import Passage, passage_loss
    from xraygpt_core.model.llm import Llm

    model, projector = models(asked.shape)
    clock, llm, losses = Clock(), Llm(model, None, torch.device("cpu")), []
    watch, before = Stopwatch(clock), tuple(given.before)
    clock.watch(model, projector)

    def losses_of(step: int) -> Iterable[Loss]:
        clock.enter("rest")
        samples = given.of(step)
        images = projector(_features(given, samples))
        passages = [
            Passage(before, image, sample.after, sample.labels) for sample, image in zip(samples, images, strict=True)
        ]
        loss = passage_loss(llm, passages)
        clock.watch_loss(loss.total)
        yield loss

    class Watch:
        def note(self, step: int, values: Any) -> None:
            losses.append(values["loss"])
            watch.step_done(step - 1)

    steps = len(given.samples) // given.batch
    with tempfile.TemporaryDirectory() as out:
        plan = TrainingPlan("bench", Path(out), steps, given.batch, RATE, 0, 10**6, min_lr=RATE, weight_decay=DECAY)
        hook = register_optimizer_step_pre_hook(lambda *_: clock.enter("optimiser"))
        train(plan, projector, losses_of, observer=Watch())
        hook.remove()
    return watch.result(given, projector, losses)


def _features(given: Work, samples: list[Sample]) -> Tensor:
    return torch.from_numpy(given.features[[sample.row for sample in samples]]).float()


class Rows(torch.utils.data.Dataset[dict[str, Any]]):
    """The samples as transformers' collator takes them."""

    def __init__(self, given: Work) -> None:
        self.given = given

    def __len__(self) -> int:
        return len(self.given.samples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        sample = self.given.samples[index]
        ids, labels = self.given.before + sample.after, [-100] * BEFORE + sample.labels
        return {"input_ids": ids, "labels": labels, "row": sample.row}


def trainer(asked: argparse.Namespace, given: Work) -> TrainingResult:
    """transformers' ``Trainer`` with its collator and its AdamW; with ``--by-length`` its own grouping by length."""
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainerCallback, TrainingArguments

    model, projector = models(asked.shape)
    clock, losses = Clock(), []
    watch = Stopwatch(clock)
    clock.watch(model, projector)
    collate = DataCollatorForSeq2Seq(_tokenizer(), padding="longest")

    def with_features(rows: list[dict[str, Any]]) -> dict[str, Tensor]:
        clock.enter("rest")
        features = torch.from_numpy(given.features[[row.pop("row") for row in rows]]).float()
        return {"features": features, **collate(rows)}

    class Timed(Trainer):
        def compute_loss(self, model: Any, inputs: Any, *more: Any, **options: Any) -> Any:
            loss = super().compute_loss(model, inputs, *more, **options)
            clock.watch_loss(loss)
            losses.append(float(loss.detach()))
            return loss

        def _get_train_sampler(self, *more: Any) -> Any:
            return super()._get_train_sampler(*more) if asked.by_length else torch.utils.data.SequentialSampler(rows)

    class Watch(TrainerCallback):
        def on_step_end(self, _arguments: Any, state: Any, _control: Any, **_: Any) -> None:
            watch.step_done(state.global_step - 1)

        def on_train_begin(self, *_: Any, optimizer: Any, **__: Any) -> None:
            clock.watch_optimizer(getattr(optimizer, "optimizer", optimizer))

    rows = Rows(given)
    whole = ImageLanguageModel(model, projector)
    with tempfile.TemporaryDirectory() as out:
        arguments = TrainingArguments(out, **_arguments(given.batch, asked.by_length))
        Timed(whole, arguments, with_features, rows, callbacks=[Watch()]).train()
    return watch.result(given, projector, losses)


def _arguments(batch: int, by_length: bool) -> dict[str, Any]:
    """One pass as ours makes it: the same rate, decay and clipping, and nothing written."""
    said = {"per_device_train_batch_size": batch, "num_train_epochs": 1, "label_names": ["labels"]}
    said |= {"learning_rate": RATE, "lr_scheduler_type": "constant", "weight_decay": DECAY, "max_grad_norm": CLIP}
    said |= {"save_strategy": "no", "logging_strategy": "no", "report_to": [], "disable_tqdm": True}
    said |= {"use_cpu": True, "dataloader_pin_memory": False, "remove_unused_columns": False}
    return said | ({"train_sampling_strategy": "group_by_length"} if by_length else {})


def _tokenizer() -> Any:
    """The collator pads with a tokenizer's token."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel({"<pad>": PAD}, unk_token="<pad>")), pad_token="<pad>"
    )


def xraygpt(asked: argparse.Namespace, given: Work) -> TrainingResult:
    """XrayGPT's runner: the frozen encoder at every step, padding to the longest, labels into the model."""
    from transformers import SwinConfig, SwinModel

    model, projector = models(asked.shape)
    swin = SwinModel(SwinConfig(image_size=224)).eval().requires_grad_(False)  # MedCLIP's: tiny, window 7
    to_pooled = nn.Linear(768, CHANNELS, bias=False).requires_grad_(False)
    clock, losses = Clock(), []
    watch = Stopwatch(clock)
    clock.watch(model, projector)
    whole = ImageLanguageModel(model, projector)
    groups = [
        {"params": [projector.weight], "weight_decay": DECAY},
        {"params": [projector.bias], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.999))
    clock.watch_optimizer(optimizer)
    pictures = torch.randn(given.batch, 3, 224, 224)
    for step in range(len(given.samples) // given.batch):
        samples = given.of(step)
        clock.enter("encode")
        with torch.no_grad():
            to_pooled(swin(pictures[: len(samples)]).pooler_output)
        ids, labels, mask = padded(given, samples)
        # the vectors are the cached ones, so that the losses can be compared; the encoder was run for its time
        loss = whole(_features(given, samples), ids, labels, mask)["loss"]
        clock.watch_loss(loss)
        losses.append(float(loss.detach()))
        loss.backward()
        nn.utils.clip_grad_norm_(projector.parameters(), CLIP)
        optimizer.step()
        optimizer.zero_grad()
        watch.step_done(step)
    return watch.result(given, projector, losses)


WAYS = {"ours": ours, "trainer": trainer, "xraygpt": xraygpt}


def parser() -> argparse.ArgumentParser:
    """What a way can be asked for."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("way", choices=sorted(WAYS))
    made.add_argument("--shape", default="hidden512", choices=sorted(SHAPES))
    made.add_argument("--steps", type=int, default=4, help="the first is not timed")
    made.add_argument("--batch", type=int, default=32, help="the paper's of stage 2")
    made.add_argument("--positions", type=int, default=1, help="image tokens; the paper has 1, a Swin map 49")
    made.add_argument("--lengths", default="open-i", choices=LENGTHS)
    made.add_argument("--threads", type=int, default=0, help="0: one for each core")
    made.add_argument("--by-length", action="store_true", help="the Trainer groups its samples by length")
    return made


def main() -> int:
    """Run one way."""
    asked = parser().parse_args()
    if asked.threads:
        torch.set_num_threads(asked.threads)
    given = work(asked.shape, asked.steps, asked.batch, asked.positions, asked.lengths)
    print(json.dumps(asdict(WAYS[asked.way](asked, given))))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

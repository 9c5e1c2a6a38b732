"""Stage 0, the paper's "medical LLM" (section 3.1): the language model is tuned on dialogues, without any image.

On ChatDoctor's or FastChat's dialogues where the configuration names files of them; otherwise on the demo's own task,
which writes reports of drawn findings. The LLM is frozen afterwards.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from training_jobs.language.dialogues import Dialogues
from training_jobs.language.keywords import Keywords, keyword_list
from training_jobs.language.lesson import DialogueLesson
from training_jobs.language.tuning import own_weights, save_adapter, save_llm, stored_dtype, trainable
from training_jobs.learning.checkpoint import write_result
from training_jobs.learning.distributed import ALONE, World
from training_jobs.learning.loop import Loss, train
from training_jobs.learning.progress import Observer
from training_jobs.learning.sharded import shard
from training_jobs.stages import report_writing
from training_jobs.stages.held_out import HALF, Notes
from training_jobs.stages.outcome import preset_table
from xraygpt_core.durable import complete_directory
from xraygpt_core.errors import TrainingError
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.dialogue import layout_named
from xraygpt_core.model.llm import Llm, pick_device
from xraygpt_core.training.config import Config
from xraygpt_core.training.mixture import TEXT_ALONE
from xraygpt_core.training.presets import check_stage

JOB = "medical-llm"


def run(
    base: Bundle,
    out: Path,
    config: Config,
    resume: Path | None,
    world: World = ALONE,
    observer: Observer | None = None,
) -> None:
    """Tune the LLM; ``out/result`` has ``adapter/`` when done, or ``llm/`` where every weight was trained.

    Raises:
        TrainingError: the dialogues cannot be used, or the configuration does not fit them, the base or the processes.
        Stopped: after SIGTERM; the checkpoint is written.
    """
    check_stage(config.preset, JOB)
    if config.mixture is not None and not all(one.drawn for one in config.mixture.sets):
        raise TrainingError(TEXT_ALONE)
    if not config.conversations.files:
        must_not_want_dialogues(config)
        report_writing.run(base, out, config, resume, world, observer)
        return
    words = keyword_list(config.conversations.keywords) if config.conversations.keywords is not None else None
    files = [(f"conversations.files[{number}]", Path(file)) for number, file in enumerate(config.conversations.files)]
    with Dialogues(files, words) as dialogues:
        _Tuning(base, config, dialogues, words, world).run(out, resume, observer)


class _Tuning:
    def __init__(
        self, base: Bundle, config: Config, dialogues: Dialogues, words: Keywords | None, world: World
    ) -> None:
        torch.manual_seed(config.seed)
        self.base, self.config, self.dialogues, self.words = base, config, dialogues, words
        self.whole = config.llm.tune == "full"
        tuning = replace(config.llm, tune="full" if self.whole else "lora")
        self.llm = trainable(base, tuning, pick_device("auto"), config.precision)
        must_end_as_served(base, self.llm)
        self.lesson = DialogueLesson(dialogues, self.llm, base, config)
        self.world = self._cut(world)

    def _cut(self, world: World) -> World:
        if self.config.llm.strategy != "shard" or world.size == 1:
            return world
        if self.config.batch % world.size:
            raise TrainingError(
                f"with llm.strategy=shard every process computes as much: batch ({self.config.batch}) must be a "
                f"multiple of the {world.size} processes"
            )
        return shard(self.lesson.module, self.llm.device, self.config.precision)

    def run(self, out: Path, resume: Path | None, observer: Observer | None) -> None:
        """Every step, and the result. A run that goes on measures again what was before, and ends with the same."""
        lesson, world, often = self.lesson, self.world, self.config.checkpoint_every
        notes = Notes(out, lesson.steps, world, observer)
        before = self._held_out()
        if resume is None:
            notes.note(0, before)

        def losses_of(step: int) -> Iterator[Loss]:
            if step and step % often == 0:
                notes.note(step, lesson.held_out_loss(world))
            return lesson.losses(step, world)

        loss = train(lesson.plan(JOB, out, resume), lesson.module, losses_of, world, observer)
        after = self._held_out()
        notes.note(lesson.steps, after)
        self._write(out, loss, {"before": before.get("held_out"), "after": after.get("held_out")})

    def _held_out(self) -> dict[str, float]:
        """Outside of the loop, in the precision that the loop computes in."""
        half = HALF.get(self.config.precision)
        with torch.autocast(self.llm.device.type, half, enabled=half is not None):
            return self.lesson.held_out_loss(self.world)

    def _write(self, out: Path, loss: float, held_out: dict[str, float | None]) -> None:
        """``out/result``, by the first process; the others only hand over their parts of the weights."""
        learned = {name for name, parameter in self.llm.model.named_parameters() if parameter.requires_grad}
        named = {name: one for name, one in own_weights(self.llm.model).items() if self.whole or name in learned}
        state = {name: self.world.whole(tensor) for name, tensor in named.items()}
        if not self.world.leads:
            return
        with complete_directory(out / "result") as work:
            if self.whole:
                dtype = stored_dtype(self.base.llm)
                save_llm(self.llm.model, self.llm.tokenizer, work / "llm", dtype=dtype, state=state)
            else:
                save_adapter(self.llm.model, work / "adapter", state)
            write_result(work, JOB, self.base, self.config, loss=loss, **self._told(held_out))

    def _told(self, held_out: dict[str, float | None]) -> dict[str, Any]:
        words, reading = self.words, self.dialogues.reading
        told = {
            "template": self.base.template,
            "steps": self.lesson.steps,
            "max_tokens": self.lesson.max_tokens,
            "dialogues": {
                "read": reading.read,
                "used": len(self.dialogues) - self.lesson.too_long,
                "left_out": dict(sorted({**reading.dropped, "too_long": self.lesson.too_long}.items())),
                "sha256": self.dialogues.sha256,
                "keywords": {"name": words.name, "sha256": words.sha256} if words is not None else None,
            },
            "held_out": held_out | {"dialogues": len(self.lesson.held_out)},
        }
        return told if self.config.preset is None else told | {"preset": preset_table(self.config)}


def must_not_want_dialogues(config: Config) -> None:
    """Whether a configuration without dialogues asks for nothing that needs some.

    Raises:
        TrainingError: it does; the demo's task is not what its author wants.
    """
    wants = [f"the preset {config.preset}"] if config.preset is not None else []
    wants += ["conversations.keywords"] if config.conversations.keywords is not None else []
    if wants:
        raise TrainingError(f"{' and '.join(wants)} needs dialogues: name their files in conversations.files")


def must_end_as_served(base: Bundle, llm: Llm) -> None:
    """Whether what the model learns to end an answer with is what ends an answer when it is served.

    Raises:
        TrainingError: it is not; the served model would write on and on.
    """
    ends = layout_named(base.template).ends.strip()
    if ends not in base.stop and ends != llm.tokenizer.eos_token:
        raise TrainingError(
            f"dialogues in the template {base.template} end with {ends!r}, but the bundle stops at {list(base.stop)}: "
            "give the bundle that stop sequence, or another template"
        )

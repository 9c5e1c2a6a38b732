"""Stage 0, the paper's "medical LLM" (section 3.1): the language model is tuned on dialogues, without any image.

On ChatDoctor's or FastChat's dialogues where the configuration names files of them; otherwise on the demo's own task,
which writes reports of drawn findings. The LLM is frozen afterwards.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from training_jobs.language.dialogues import Dialogues
from training_jobs.language.keywords import keyword_list
from training_jobs.language.loss import DialogueLoss
from training_jobs.language.order import Shuffled
from training_jobs.language.samples import passage_of
from training_jobs.language.tuning import own_weights, save_adapter, save_llm, stored_dtype, trainable
from training_jobs.learning.checkpoint import complete_directory, write_result
from training_jobs.learning.distributed import ALONE, World
from training_jobs.learning.loop import Loss, plan_of, train
from training_jobs.learning.objective import Passage
from training_jobs.stages import report_writing
from xraygpt_core.errors import TrainingError
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.dialogue import layout_named
from xraygpt_core.model.llm import Llm
from xraygpt_core.training.config import Config

JOB = "medical-llm"


def run(base: Bundle, out: Path, config: Config, resume: Path | None) -> None:
    """Tune the LLM; ``out/result`` has ``adapter/`` when done, or ``llm/`` where every weight was trained."""
    if config.conversations.files:
        tune(base, out, config, resume)
    else:
        report_writing.run(base, out, config, resume)


def tune(base: Bundle, out: Path, config: Config, resume: Path | None) -> None:
    """Tune on the dialogues of ``config.conversations``: an adapter, unless ``config.llm.tune`` says ``full``.

    Raises:
        TrainingError: the dialogues cannot be used, or the configuration does not fit them or the base.
    """
    torch.manual_seed(config.seed)
    words = config.conversations.keywords
    keywords = keyword_list(words) if words is not None else None
    files = [(f"conversations.files[{number}]", Path(file)) for number, file in enumerate(config.conversations.files)]
    with Dialogues(files, keywords) as dialogues:
        tuning = replace(config.llm, tune="full" if config.llm.tune == "full" else "lora")
        llm = trainable(base, tuning, precision=config.precision)
        must_end_as_served(base, llm)
        lesson = Lesson(dialogues, llm, base, config)
        world = ALONE
        loss = lesson.learn(out, resume, world)
        told = {
            "template": base.template,
            "max_tokens": lesson.max_tokens,
            "dialogues": len(dialogues),
            "dialogues_sha256": dialogues.sha256,
            "read": dialogues.reading.read,
            "left_out": dict(sorted(dialogues.reading.dropped.items())),
            "keywords": {"name": keywords.name, "sha256": keywords.sha256} if keywords is not None else None,
        }
        write(out, base, llm, tuning.tune == "full", config, world, loss=loss, **told)


class Lesson:
    """The dialogues, the model and the order they meet in.

    Attributes:
        max_tokens: where a dialogue is cut: the configuration's limit, or the positions of the LLM if they are fewer.
    """

    def __init__(self, dialogues: Dialogues, llm: Llm, base: Bundle, config: Config) -> None:
        self._dialogues, self._llm, self._base, self._config = dialogues, llm, base, config
        self._order = Shuffled(dialogues.sizes, config.batch, config.seed)
        self.module = DialogueLoss(llm)
        self.max_tokens = min(config.conversations.max_tokens, llm.model.config.max_position_embeddings)

    @property
    def steps(self) -> int:
        """Of the whole run."""
        epochs = self._config.epochs
        return self._config.steps if epochs is None else round(epochs * self._order.steps)

    def learn(self, out: Path, resume: Path | None, world: World) -> float:
        """Run the steps; the last loss."""
        data = hashlib.sha256(f"{self._base.sha256} {self._dialogues.sha256}".encode()).hexdigest()
        plan = plan_of(JOB, out, self._config, self.steps, resume, data=data, epoch_steps=self._order.steps)
        return train(plan, self.module, lambda step: self.losses(step, world), world)

    def losses(self, step: int, world: World) -> Iterator[Loss]:
        """This process's micro-batches of a step."""
        mine = self._order.batch(step)[world.rank :: world.size]
        size = self._config.micro_batch or max(len(mine), 1)
        for start in range(0, len(mine), size):
            passages = [self._passage(number) for number in mine[start : start + size]]
            yield Loss(*self.module(passages))

    def _passage(self, number: int) -> Passage:
        turns, tokenizer = self._dialogues[number], self._llm.tokenizer
        return passage_of(tokenizer, self._base.template, turns, self.max_tokens, f"dialogue {number + 1}")


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


def write(
    out: Path, base: Bundle, llm: Llm, whole: bool, config: Config, world: World, *, loss: float, **told: Any
) -> None:
    """``out/result``, written by the first process; the others only hand over their parts of the weights."""
    learned = {name for name, parameter in llm.model.named_parameters() if parameter.requires_grad}
    named = {name: tensor for name, tensor in own_weights(llm.model).items() if whole or name in learned}
    state = {name: world.whole(tensor) for name, tensor in named.items()}
    if not world.leads:
        return
    with complete_directory(out / "result") as work:
        if whole:
            save_llm(llm.model, llm.tokenizer, work / "llm", dtype=stored_dtype(base.llm), state=state)
        else:
            save_adapter(llm.model, work / "adapter", state)
        write_result(work, JOB, base, config, loss=loss, **told)

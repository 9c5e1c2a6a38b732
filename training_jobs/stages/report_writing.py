"""The demo's medical LLM: teach the language model to write reports, from text alone. No image is used.

Where image tokens will stand, the task puts blurred embeddings of finding words; the answer is the report. Two steps of
three are of twins: two films that differ in one finding, and their reports up to the sentence that says so. In a whole
report one word of fifty hangs on the heart, and from whole reports alone the model did not learn to look for it.
The tuned weights are a LoRA adapter in PEFT's own format. The LLM is frozen afterwards.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training_jobs.drawers.questions import FINDINGS_ONLY, draw_question
from training_jobs.language.tuning import save_adapter, trainable
from training_jobs.learning.checkpoint import write_result
from training_jobs.learning.distributed import ALONE, World
from training_jobs.learning.loop import Loss, plan_of, train
from training_jobs.learning.objective import Exchange, answer_loss
from training_jobs.learning.progress import Observer
from training_jobs.stages.slots import SLOTS, Codebook, blur, presences
from xraygpt_core.durable import complete_directory
from xraygpt_core.errors import TrainingError
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.llm import Llm, pick_device
from xraygpt_core.model.prompt import template_named
from xraygpt_core.phantoms.findings import LABELS, View, draw_labels
from xraygpt_core.report.concise import ABNORMAL, KINDS_OF_PLACES, TRUTHS, concise_beginning, concise_report
from xraygpt_core.training.config import Config

_FEW = 0.6  # share of truths with none to three findings, as real films have; a finding by itself must be said, too
_HOW_MANY = (0.2, 0.45, 0.2, 0.15)  # of these: how often none, one, two and three
_LIKE_PHANTOMS = 0.3  # share drawn as phantoms are; the rest have any number of findings
_GROUP = 4  # batches of whole reports drawn together
_ROUND = 3  # steps, the last of which is of whole reports and the others of twins
_WITHOUT_PLACES = 0.45  # share of truths that name kinds alone, as the labels of real films do
_UNNAMED = 0.05  # share that are abnormal in a way that has no name here
_STRAY = 0.1  # share of places that a reader claims though it knows that the kind is not there
_NOISE = 0.3  # of the embeddings' spread, added to every image token
_REPORT_SHARE, _FINDINGS_SHARE, _FOLLOW_UP_SHARE = 0.45, 0.4, 0.03  # the rest: questions alone

Truth = tuple[frozenset[str], View]


def run(
    base: Bundle,
    out: Path,
    config: Config,
    resume: Path | None,
    world: World = ALONE,
    observer: Observer | None = None,
) -> None:
    """Train the adapter; ``out/result/adapter`` when done.

    Raises:
        TrainingError: every weight was to be trained, or the weights to be cut into parts.
    """
    if config.llm.tune == "full" or config.llm.strategy == "shard":
        raise TrainingError(
            "without conversations.files the demo's own task is trained, an adapter: llm.tune=full and "
            "llm.strategy=shard are for dialogues"
        )
    torch.manual_seed(config.seed)
    llm = trainable(base, replace(config.llm, tune="lora"), pick_device("auto"), config.precision)
    plan = plan_of("medical-llm", out, config, config.steps, resume, data=base.sha256)
    loss = train(plan, llm.model, _losses(llm, base, config, world), world, observer)
    if world.leads:
        with complete_directory(out / "result") as work:
            save_adapter(llm.model, work / "adapter")
            write_result(work, "medical-llm", base, config, loss=loss, tokens=len(SLOTS))


def _losses(llm: Llm, base: Bundle, config: Config, world: World) -> Callable[[int], Iterator[Loss]]:
    """This process's share of each step, a micro-batch at a time."""
    codebook = Codebook(llm)
    template, stop = template_named(base.template), base.stop[0]
    spread = float(llm.model.get_input_embeddings().weight.std()) * _NOISE

    def losses_of(step: int) -> Iterator[Loss]:
        drawn = batch_of(step, config, base.question)
        generator = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
        blurred = blur(mistaken(presences([truth for truth, _ in drawn]), generator), generator)
        tokens = codebook.blend(blurred.to(llm.device))
        tokens = tokens + torch.randn(tokens.shape, generator=generator).to(llm.device) * spread
        mine = range(world.rank, len(drawn), world.size)
        size = config.micro_batch or max(len(mine), 1)
        for start in range(0, len(mine), size):
            part = list(mine[start : start + size])
            yield answer_loss(llm, template, stop, [drawn[index][1] for index in part], tokens[part])

    return losses_of


def batch_of(step: int, config: Config, question: str) -> list[tuple[Truth, Exchange]]:
    """The batch of one step: twins, or whole reports and answers."""
    number, part = divmod(step, _ROUND)
    if part < _ROUND - 1:
        rng = np.random.default_rng([config.seed, step, _ROUND])
        return [one for _ in range(max(config.batch // 2, 1)) for one in draw_twins(question, rng)]
    return _whole_batch(number, config, question)


def draw_twins(question: str, rng: np.random.Generator) -> list[tuple[Truth, Exchange]]:
    """Two truths that differ in one finding or kind, each with the beginning of its report that ends there."""
    labels, view = draw_truth(rng)
    upto = str(rng.choice(TRUTHS[1:]))
    kind = KINDS_OF_PLACES.get(upto, upto)
    # A kind is said where no place of it is: next to one of its places it would be no difference.
    others = (
        labels - {kind} - ({label for label in labels if KINDS_OF_PLACES.get(label) == kind} if upto == kind else set())
    )
    asked = question if rng.random() < _REPORT_SHARE / (_REPORT_SHARE + _FINDINGS_SHARE) else FINDINGS_ONLY
    twins = (others | {upto}, others - {upto})
    return [((one, view), Exchange(asked, concise_beginning(one, view, upto), ends=False)) for one in twins]


def _whole_batch(number: int, config: Config, question: str) -> list[tuple[Truth, Exchange]]:
    """A few batches are drawn together and split by length, which saves padding."""
    group, part = divmod(number, _GROUP)
    rng = np.random.default_rng([config.seed, group])
    truths = [draw_truth(rng) for _ in range(_GROUP * config.batch)]
    drawn = [(truth, draw_exchange(truth, question, rng)) for truth in truths]
    drawn.sort(key=lambda pair: len(pair[1].answer) + sum(len(text) for turn in pair[1].turns for text in turn))
    first = int(rng.permutation(_GROUP)[part]) * config.batch
    return drawn[first : first + config.batch]


def mistaken(exact: Tensor, generator: torch.Generator) -> Tensor:
    """Presence (batch, slots) with a few places claimed of kinds that are not there: what is said follows the kind."""
    slots = {slot: index for index, slot in enumerate(SLOTS)}
    claimed = torch.rand(exact.shape, generator=generator) < _STRAY
    found = exact.clone()
    for place, kind in KINDS_OF_PLACES.items():
        stray = claimed[:, slots[place]] & (exact[:, slots[kind]] < 0.5)
        found[stray, slots[place]] = 1.0
    return found


def draw_truth(rng: np.random.Generator) -> Truth:
    """What some film might show: mostly little, sometimes much or as phantoms do; some of it without places."""
    view: View = "AP" if rng.random() < 0.5 else "PA"
    if rng.random() < _UNNAMED:
        return frozenset({ABNORMAL}), view
    kind = rng.random()
    count = int(rng.choice(len(_HOW_MANY), p=_HOW_MANY) if kind < _FEW else rng.integers(0, len(LABELS) + 1))
    labels = frozenset(str(label) for label in rng.choice(LABELS, count, replace=False))
    if _FEW <= kind < _FEW + _LIKE_PHANTOMS:
        labels = draw_labels(rng)
    if rng.random() < _WITHOUT_PLACES:
        labels = frozenset(KINDS_OF_PLACES.get(label, label) for label in labels)
    return labels, view


def draw_exchange(truth: Truth, question: str, rng: np.random.Generator) -> Exchange:
    """Mostly "describe this film"; sometimes a question about one finding, alone or after the report."""
    report, kind = concise_report(*truth), rng.random()
    if kind < _REPORT_SHARE:
        return Exchange(question, report)
    if kind < _REPORT_SHARE + _FINDINGS_SHARE:
        return Exchange(FINDINGS_ONLY, report.partition(" Impression:")[0])
    asked, answered = draw_question(*truth, rng)
    after_report = kind < _REPORT_SHARE + _FINDINGS_SHARE + _FOLLOW_UP_SHARE
    return Exchange(asked, answered, ((question, report),) if after_report else ())

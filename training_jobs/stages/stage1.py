"""Stage 1: the projector learns what the frozen encoder's features mean to the frozen LLM.

It starts by aligning each image token to the embedding it should have (labels of phantoms, and of films as far as they
go), then goes on with the LLM's own loss on reports. Encoder and LLM do not change.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training_jobs.data import TrainingStudy, film_studies, phantom_studies, sketch_studies
from training_jobs.features.drawn import Features, cached_features
from training_jobs.learning.checkpoint import complete_directory, write_result
from training_jobs.learning.loop import TrainingPlan, train
from training_jobs.learning.objective import Exchange, answer_loss
from training_jobs.stages.alignment import alignment_loss, draw_indices
from training_jobs.stages.slots import Codebook
from xraygpt_core.errors import BundleError
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.llm import Llm, load_llm
from xraygpt_core.model.projector import MapProjector, MapSizes, Projector, load_projector, save_projector
from xraygpt_core.model.prompt import template_named
from xraygpt_core.training.config import Config

_ALIGN_BATCH = 8  # times the batch of the LLM's steps: features are cheap
_SAMPLE = 256  # studies whose features are looked at to standardise them
_FILM_WEIGHT = 0.5  # how often a film is drawn, relative to a phantom


def run(base: Bundle, out: Path, config: Config, resume: Path | None, cache: Path) -> None:
    """Train a projector, from nothing or from the base's; ``out/result/projector.safetensors`` when done."""
    torch.manual_seed(config.seed)
    llm = frozen_llm(base)
    features = training_features(base, config, cache)
    codebook = Codebook(llm)
    projector = base_projector(base) if config.start == "base" else new_projector(features, codebook)
    align = aligner(projector, features, codebook, config)
    refine = refiner(projector, features, llm, base, config)

    def loss_of(step: int) -> Tensor:
        return align(step) if step < config.align_steps else refine(step)

    finish("stage1", base, out, config, resume, projector, loss_of, config.align_steps + config.steps)


def finish(
    job: str,
    base: Bundle,
    out: Path,
    config: Config,
    resume: Path | None,
    projector: Projector,
    loss_of: Callable[[int], Tensor],
    steps: int,
) -> None:
    """Run the steps and write the result."""
    plan = TrainingPlan(job, out, steps, config.batch, config.lr, config.warmup, config.checkpoint_every, resume)
    loss = train(plan, projector.train(), loss_of)
    with complete_directory(out / "result") as work:
        save_projector(projector, work / "projector.safetensors")
        write_result(work, job, base, config, loss=loss, projector=type(projector).__name__)


def frozen_llm(base: Bundle) -> Llm:
    """The base's tuned LLM in float32, frozen."""
    return load_llm(base.llm, base.adapter, torch.device("cpu"), torch.float32)


def training_features(base: Bundle, config: Config, cache: Path) -> Features:
    """Cached features of the phantoms and, if given, of the films that may be trained on."""
    studies: list[TrainingStudy] = phantom_studies(config.phantoms, config.augment)
    studies += sketch_studies(config.sketches, config.augment)
    if config.films is not None:
        studies += film_studies(Path(config.films), ("train",))
    return cached_features(base, studies, cache, config.workers)


def new_projector(features: Features, codebook: Codebook) -> MapProjector:
    """A projector with one token a slot: it starts halfway between "there" and "not there", features standardised."""
    _, positions, channels = features.values.shape
    tokens, hidden = codebook.absent.shape
    projector = MapProjector(MapSizes(positions, channels, tokens, hidden))
    sample = features.batch(range(min(_SAMPLE, len(features.studies)))).flatten(0, 1)
    middle = (codebook.absent + codebook.present) / 2
    projector.start(sample.mean(0), sample.std(0), middle, codebook.present - codebook.absent)
    return projector


def weights_of(studies: list[TrainingStudy]) -> list[float]:
    """How often each study is drawn."""
    return [1.0 if study.file is None else _FILM_WEIGHT for study in studies]


def aligner(projector: Projector, features: Features, codebook: Codebook, config: Config) -> Callable[[int], Tensor]:
    """The loss of one alignment step."""
    weights = weights_of(features.studies)

    def loss_of(step: int) -> Tensor:
        indices = draw_indices(np.random.default_rng([config.seed, step]), weights, config.batch * _ALIGN_BATCH)
        tokens = projector(features.batch(indices))
        return alignment_loss(tokens, [features.studies[index] for index in indices], codebook)

    return loss_of


def refiner(
    projector: Projector, features: Features, llm: Llm, base: Bundle, config: Config
) -> Callable[[int], Tensor]:
    """The loss of one step on the LLM's answers, over studies that have a report."""
    template, stop = template_named(base.template), base.stop[0]
    weights = [
        w * (study.report is not None) for w, study in zip(weights_of(features.studies), features.studies, strict=True)
    ]

    def loss_of(step: int) -> Tensor:
        indices = draw_indices(np.random.default_rng([config.seed, step]), weights, config.batch)
        tokens = projector(features.batch(indices))
        exchanges = [Exchange(base.question, features.studies[index].report or "") for index in indices]
        return answer_loss(llm, template, stop, exchanges, tokens)

    return loss_of


def base_projector(base: Bundle) -> Projector:
    """The base's projector.

    Raises:
        BundleError: the base has none, or it cannot be read.
    """
    if base.projector is None or base.projector_weights is None:
        raise BundleError(f"bundle {base.name!r} has no projector to refine; run stage 1 first")
    return load_projector(base.projector, base.projector_weights)

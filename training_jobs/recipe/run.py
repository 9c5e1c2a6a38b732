"""The steps of a recipe, one after the other: each leaves a directory that is complete when it is there.

A run that is killed goes on with the step it was at, from that step's last checkpoint.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from training_jobs.corpora.build import local_corpus
from training_jobs.corpora.mixtures import demo_mixture
from training_jobs.corpora.shards import Below
from training_jobs.encoder import stage as encoder_stage
from training_jobs.learning.checkpoint import latest_checkpoint
from training_jobs.learning.distributed import ALONE
from training_jobs.recipe.settings import Recipe
from training_jobs.stages import medical_llm, stage1
from training_jobs.stages.image_stage import Given
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.compose import compose_bundle
from xraygpt_core.model.encoders.digest import encoder_digest
from xraygpt_core.model.encoders.tuning import lower_half, upper_half
from xraygpt_core.training.config import Config
from xraygpt_core.training.mixture import Mixture

Notify = Callable[[str], None]
_LOG = "recipe.jsonl"


@dataclass(frozen=True)
class Workshop:
    """Where a recipe is made.

    Attributes:
        base: encoder and LLM as published, and an adapter to go on from if it has one.
        films: a folder with ``manifest.jsonl``; None: nothing but what is drawn.
        out: everything is kept below it; ``out/models/NAME`` are the bundles.
        cache: features, shared by recipes.
    """

    base: Bundle
    films: Path | None
    out: Path
    cache: Path
    notify: Notify


def make(recipe: Recipe, workshop: Workshop) -> Bundle:
    """The finished bundle, ``out/models/demo``; without its chest check, and measured by nobody yet.

    Raises:
        TrainingError: a step cannot be done, in whose words. Stopped: after SIGTERM; a second call goes on.
    """
    whole = recipe.mixture(demo_mixture(workshop.films))
    tuned = tuned_bundle("tuned", recipe.encoder, whole, workshop)
    reading = _with_adapter(recipe, tuned, workshop)
    return aligned_bundle("demo", reading, recipe, whole, workshop)


def without(drawer: str, recipe: Recipe, workshop: Workshop) -> Bundle:
    """The same without one drawer's pictures: ``out/models/without-DRAWER``, to be measured on these."""
    mixture = recipe.mixture(demo_mixture(workshop.films), without=drawer)
    steps = recipe.left_out_steps or recipe.encoder.steps
    tuned = tuned_bundle(f"tuned-without-{drawer}", replace(recipe.encoder, steps=steps), mixture, workshop)
    reading = _with_adapter(recipe, tuned, workshop)
    return aligned_bundle(f"without-{drawer}", reading, recipe, mixture, workshop)


def tuned_bundle(name: str, config: Config, mixture: Mixture, workshop: Workshop) -> Bundle:
    """Stage 0 on a mixture, and the base with the encoder that comes of it."""
    out = _step(name, workshop, replace(config, mixture=mixture), workshop.base, encoder_stage.run)
    return compose_bundle(
        workshop.base,
        workshop.out / "models",
        name,
        projector=None,
        adapter=None,
        encoder=out / "result" / encoder_stage.FILE,
    )


def aligned_bundle(name: str, reading: Bundle, recipe: Recipe, mixture: Mixture, workshop: Workshop) -> Bundle:
    """Stage 1 on the tuned encoder's features, which go on from those that stage 0 learned on."""
    _features(reading, recipe, mixture, workshop)
    out = _step(f"{name}-stage1", workshop, replace(recipe.stage1, mixture=mixture), reading, stage1.run)
    result = out / "result" / "projector.safetensors"
    return compose_bundle(reading, workshop.out / "models", name, projector=result, adapter=None)


def _features(tuned: Bundle, recipe: Recipe, mixture: Mixture, workshop: Workshop) -> None:
    tuning = recipe.encoder.encoder
    upper, _ = upper_half(tuned, tuning.last)
    below = Below(encoder_digest(lower_half(workshop.base, tuning.last)), upper)
    local_corpus(tuned, mixture, workshop.cache, recipe.stage1.workers, _often(workshop.notify), below)


def _with_adapter(recipe: Recipe, tuned: Bundle, workshop: Workshop) -> Bundle:
    """The tuned bundle with the adapter that learned to write reports; it saw no film, so one is enough for all."""
    name = f"{tuned.name}-reading"
    if recipe.medical_llm is None:
        return tuned
    out = workshop.out / "medical-llm"
    if not (out / "result").is_dir():
        began = time.monotonic()
        medical_llm.run(workshop.base, out, recipe.medical_llm, latest_checkpoint(out))
        _log(workshop, "medical-llm", began, out)
    adapter = out / "result" / "adapter"
    return compose_bundle(tuned, workshop.out / "models", name, projector=None, adapter=adapter)


def _step(name: str, workshop: Workshop, config: Config, base: Bundle, job: Callable[[Given], Any]) -> Path:
    """Run an image job if its result is not there; its directory."""
    out = workshop.out / name
    if not (out / "result").is_dir():
        workshop.notify(f"{name}: {config.steps} steps of {config.batch}")
        began = time.monotonic()
        job(Given(base, out, config, latest_checkpoint(out), workshop.cache, (), ALONE, None))
        _log(workshop, name, began, out)
    return out


def _log(workshop: Workshop, name: str, began: float, out: Path) -> None:
    """What a step took and what it says of itself, a line in ``recipe.jsonl``."""
    result = json.loads((out / "result" / "result.json").read_text())
    line = {"step": name, "seconds": round(time.monotonic() - began), "loss": result["loss"]}
    line |= {key: result[key] for key in ("held_out", "labels", "sets") if key in result}
    with (workshop.out / _LOG).open("a") as file:
        file.write(json.dumps(line) + "\n")
    workshop.notify(json.dumps(line))


def _often(notify: Notify) -> Callable[[int, int], None]:
    def tell(done: int, total: int) -> None:
        if done % 1024 == 0 or done == total:
            notify(f"{done} of {total} pictures have their features")

    return tell

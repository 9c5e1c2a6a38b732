"""What an image stage leaves in ``out/result``: weights in our format and in XrayGPT's, and what made them."""

from pathlib import Path
from typing import Any

from training_jobs.language.tuning import save_adapter, save_llm, stored_dtype
from training_jobs.learning.checkpoint import write_result
from training_jobs.learning.distributed import World
from training_jobs.learning.settings import settings_of
from training_jobs.stages.lesson import Lesson
from training_jobs.stages.wording import end_symbol
from training_jobs.stages.xraygpt_file import FILE, write_xraygpt_file
from xraygpt_core.durable import complete_directory
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.model.projector import LinearProjector, save_projector
from xraygpt_core.training.config import Config
from xraygpt_core.training.presets import explain, preset_named


def write_outcome(
    job: str,
    out: Path,
    base: Bundle,
    config: Config,
    lesson: Lesson,
    world: World,
    *,
    loss: float,
    told: dict[str, Any],
) -> None:
    """The first process writes the directory; it is complete when it appears."""
    if not world.leads:
        return
    projector = lesson.projector
    with complete_directory(out / "result") as work:
        save_projector(projector, work / "projector.safetensors")
        if isinstance(projector, LinearProjector):
            settings = settings_of(config)
            settings["text"]["end_symbol"] = end_symbol(base, config)
            write_xraygpt_file(projector, work / FILE, settings, told["steps"])
        if config.llm.tune == "full":
            save_llm(lesson.llm.model, lesson.llm.tokenizer, work / "llm", dtype=stored_dtype(base.llm))
        elif config.llm.tune == "lora":
            save_adapter(lesson.llm.model, work / "adapter")
        more = {"projector": type(projector).__name__, "remarks": remarks(base, config)} | told
        if config.preset is not None:
            more["preset"] = preset_table(config)
        write_result(work, job, base, config, loss=loss, **more)


def preset_table(config: Config) -> list[dict[str, Any]]:
    """The preset of a run, row by row: what the run has, the original, its source, and why they differ."""
    assert config.preset is not None
    return [vars(row) for row in explain(preset_named(config.preset), settings_of(config))]


def remarks(base: Bundle, config: Config) -> list[str]:
    """Where the base is not what the preset's original began with, and what a serving bundle must know."""
    found = []
    wants = preset_named(config.preset).wants if config.preset is not None else None
    if wants is not None and wants.encoder not in (None, base.encoder):
        found.append(f"the preset's original encodes with {wants.encoder}; this base with {base.encoder}")
    if wants is not None and wants.template not in (None, base.template):
        found.append(f"the preset's original prompts as {wants.template}; this base as {base.template}")
    end = end_symbol(base, config)
    if end.strip() not in {stop.strip() for stop in base.stop}:
        found.append(f"texts end with {end!r}, the bundle stops at {list(base.stop)}: another stage must teach it that")
    return found

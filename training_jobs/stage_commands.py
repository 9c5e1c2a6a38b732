"""The command line of the stages, and of their presets."""

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xraygpt_core.errors import TrainingError
from xraygpt_core.plain_text import plain_text
from xraygpt_core.training.config import Config, parse_config
from xraygpt_core.training.corpus import Corpus
from xraygpt_core.training.preset import STAGES
from xraygpt_core.training.presets import PRESETS, explain, preset_named, shown

if TYPE_CHECKING:
    from training_jobs.learning.distributed import World
    from xraygpt_core.model.bundle import Bundle

PRESET_JOB = "presets"
_FLAGS = ("preset", "steps", "batch", "lr", "seed", "checkpoint_every", "films")
_HEADER = ("setting", "value", "original", "source", "why")


def add_parsers(jobs: Any) -> None:
    """The stages, and ``presets``."""
    for stage in STAGES:
        _add_stage(jobs.add_parser(stage))
    presets = jobs.add_parser(PRESET_JOB, help="list the presets, or explain one value by value")
    presets.add_argument("name", nargs="?", help="the preset to explain")
    presets.add_argument("--config", type=Path, help="a configuration to set beside it")
    presets.add_argument("--set", dest="settings", action="append", default=[], metavar="NAME=VALUE")
    presets.add_argument("--json", action="store_true", help="as one JSON document")


def run(options: argparse.Namespace) -> int:
    """A stage or the presets; the exit code (docs/training.md)."""
    return _presets(options) if options.job == PRESET_JOB else _train(options)


def _add_stage(job: argparse.ArgumentParser) -> None:
    job.add_argument("--base", type=Path, required=True, help="directory of the bundle to start from")
    job.add_argument("--out", type=Path, required=True, help="progress, checkpoints and result go here")
    job.add_argument("--resume", type=Path, help="a checkpoint directory, or 'latest' for the newest below --out")
    job.add_argument("--config", type=Path, help="JSON file with the settings of docs/training.md")
    job.add_argument("--preset", help="a named recipe, under the settings of --config: see the job presets")
    job.add_argument("--set", dest="settings", action="append", default=[], metavar="NAME=VALUE", help="any setting")
    job.add_argument("--corpus", type=Path, action="append", default=[], help="a corpus directory; may be repeated")
    job.add_argument("--cache", type=Path, help="where encoder features are kept")
    job.add_argument("--no-report", dest="report", action="store_false", help="write no page about the run")
    job.add_argument("--steps", type=int)
    job.add_argument("--batch", type=int)
    job.add_argument("--lr", type=float)
    job.add_argument("--seed", type=int)
    job.add_argument("--checkpoint-every", type=int)
    job.add_argument("--films", help="a data directory with manifest.jsonl")


def _train(options: argparse.Namespace) -> int:
    from training_jobs.learning.checkpoint import latest_checkpoint
    from training_jobs.learning.distributed import join
    from training_jobs.learning.outcomes import MACHINE_FAILED, STOPPED, MachineFailed, Stopped, machine_failures
    from xraygpt_core.model.bundle import read_bundle

    flags = {key: getattr(options, key) for key in _FLAGS}
    config = read_config(options.config, options.settings, **flags)
    base = read_bundle(options.base)
    resume = latest_checkpoint(options.out) if options.resume == Path("latest") else options.resume
    try:
        with machine_failures(), join() as world:
            _stage(options, base, config, resume, world)
    except Stopped:
        return STOPPED
    except MachineFailed as error:
        print(plain_text(f"training_jobs {options.job}: {error}", lines=False), file=sys.stderr)  # noqa: T201
        return MACHINE_FAILED
    return 0


def _stage(options: argparse.Namespace, base: "Bundle", config: Config, resume: Path | None, world: "World") -> None:
    from training_jobs.encoder import stage as encoder
    from training_jobs.reporting.board import Board
    from training_jobs.reporting.report import report_in_child
    from training_jobs.stages import medical_llm, stage1, stage2
    from training_jobs.stages.image_stage import Given
    from xraygpt_core.paths import user_cache

    corpora: list[Corpus] = []
    with Board(options.out) as board:
        if options.job == "medical-llm":
            medical_llm.run(base, options.out, config, resume, world, board)
        else:
            cache = options.cache or user_cache() / "features"
            given = Given(base, options.out, config, resume, cache, tuple(options.corpus), world, board)
            corpora = {"encoder": encoder, "stage1": stage1, "stage2": stage2}[options.job].run(given)
    if world.leads and options.report and options.job != "encoder":
        report_in_child(options.out, base, config, corpora)


def read_config(file: Path | None, settings: Sequence[str] = (), **flags: Any) -> Config:
    """The file's keys over the defaults, ``NAME=VALUE`` settings over these, flags that are not None over all.

    Raises:
        TrainingError: an unknown key, a value of the wrong type, or one out of bounds.
    """
    try:
        data = json.loads(file.read_text()) if file else {}
    except (OSError, ValueError, RecursionError) as error:
        raise TrainingError(f"{file} is not a readable JSON file: {error}") from error
    if not isinstance(data, dict):
        raise TrainingError("the configuration must be an object")
    for setting in settings:
        _set(data, setting)
    return parse_config(data | {key: value for key, value in flags.items() if value is not None})


def _set(data: dict[str, Any], setting: str) -> None:
    """``a.b=1``: a value is JSON, or else text."""
    name, equals, text = setting.partition("=")
    *outer, last = name.split(".")
    if not (equals and last):
        raise TrainingError(f"{setting!r} is not NAME=VALUE")
    inside = data
    for part in outer:
        inside = inside.setdefault(part, {})
        if not isinstance(inside, dict):
            raise TrainingError(f"{setting!r}: {part} is no object")
    inside[last] = text
    with suppress(ValueError):
        inside[last] = json.loads(text)


def _presets(options: argparse.Namespace) -> int:
    """What there is, or one preset row by row, with a run's own values where it has some."""
    if options.name is None:
        rows = [{"preset": one.name, "stage": one.stage, "title": one.title} for one in PRESETS.values()]
        lines = [f"{row['preset']:20} {row['stage']:8} {row['title']}" for row in rows]
    else:
        preset = preset_named(options.name)
        config = read_config(options.config, options.settings, preset=options.name)
        rows = [vars(row) for row in explain(preset, asdict(config))]
        cells = [_HEADER, *(tuple(map(shown, row.values())) for row in rows)]
        lines = [f"{preset.name}, for {preset.stage}: {preset.title}", "", *_columns(cells)]
    print(json.dumps(rows, indent=2) if options.json else "\n".join(lines))  # noqa: T201
    return 0


def _columns(cells: Sequence[Sequence[str]]) -> list[str]:
    """Aligned, but for the last column, which may be long."""
    widths = [max(len(row[column]) for row in cells) for column in range(len(_HEADER) - 1)]
    return ["  ".join([*map(str.ljust, row, widths), row[-1]]).rstrip() for row in cells]

"""A recipe: the settings of each step, in one TOML file beside the mixture."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from xraygpt_core.errors import TrainingError
from xraygpt_core.training.config import Config, parse_config
from xraygpt_core.training.mixture import Mixture

NAMES = ("demo", "quick")  # files of this folder
_STEPS = ("encoder", "medical-llm", "stage1")


@dataclass(frozen=True)
class Recipe:
    """What is done, in this order, and how much is measured.

    Attributes:
        encoder, medical_llm, stage1: the configuration of each; of ``medical_llm`` None leaves the base's adapter.
        counts: how many pictures of a drawn or painted set are made; of a set that is not named, as the mixture has it.
        measured: how many films of each drawer the result is measured on.
        left_out: drawers each of which is left out once, to measure a drawer that was never seen; ``left_out_steps``
            are the encoder's steps then.
    """

    encoder: Config
    medical_llm: Config | None
    stage1: Config
    counts: Mapping[str, int] = field(default_factory=dict)
    measured: int = 200
    left_out: tuple[str, ...] = ()
    left_out_steps: int | None = None

    def mixture(self, whole: Mixture, without: str | None = None) -> Mixture:
        """The sets with this recipe's counts, one drawer left out."""
        sets = [replace(one, count=self.counts.get(one.name, one.count)) for one in whole.sets if one.name != without]
        return Mixture(tuple(one for one in sets if one.count))


def read_recipe(name_or_file: str) -> Recipe:
    """A recipe of this folder by its name, or a file.

    Raises:
        TrainingError: it cannot be read, or says something that a recipe does not have.
    """
    if name_or_file in NAMES:
        with as_file(files("training_jobs.recipe") / f"{name_or_file}.toml") as file:
            return _parse(file)
    return _parse(Path(name_or_file))


def _parse(file: Path) -> Recipe:
    try:
        data: dict[str, Any] = tomllib.loads(file.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise TrainingError(f"{file} is not a readable recipe: {error}") from error
    unknown = data.keys() - {*_STEPS, "counts", "measured", "left_out", "left_out_steps"}
    if unknown or not {"encoder", "stage1"} <= data.keys():
        raise TrainingError(f"{file}: a recipe has tables {', '.join(_STEPS)} and counts, not {sorted(unknown)}")
    steps = {step: parse_config(data[step]) for step in _STEPS if step in data}
    try:
        counts = {str(name): int(count) for name, count in data.get("counts", {}).items()}
        left_out_steps = data.get("left_out_steps")
        return Recipe(
            steps["encoder"],
            steps.get("medical-llm"),
            steps["stage1"],
            counts,
            int(data.get("measured", 200)),
            tuple(map(str, data.get("left_out", ()))),
            None if left_out_steps is None else int(left_out_steps),
        )
    except (TypeError, ValueError, AttributeError) as error:
        raise TrainingError(f"{file}: {error}") from error

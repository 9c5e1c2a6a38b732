"""The mixture of a run, also where its configuration names none."""

from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path

from training_jobs.drawers.drawings import PHANTOMS, SKETCHES
from xraygpt_core.training.config import Config
from xraygpt_core.training.mixture import Mixture, SetSpec, read_mixture


def mixture_of(config: Config) -> Mixture:
    """What the configuration's ``mixture`` says; without one: its phantoms, its sketches and the films of the demo."""
    if config.mixture is not None:
        return config.mixture
    drawn = [
        SetSpec(
            PHANTOMS,
            PHANTOMS,
            count=config.phantoms.count,
            seed=config.phantoms.seed,
            population=config.phantoms.population,
            augment=config.augment,
        )
    ]
    if config.sketches:
        drawn.append(SetSpec(SKETCHES, SKETCHES, count=config.sketches, augment=config.augment))
    return Mixture((*drawn, *(demo_films(Path(config.films)) if config.films is not None else ())))


def demo_films(folder: Path) -> tuple[SetSpec, ...]:
    """The sets of ``mixtures/demo.toml`` in a folder with ``manifest.jsonl``: those whose films are there."""
    with as_file(files("training_jobs.mixtures") / "demo.toml") as demo:
        sets = [replace(spec, path=str(folder)) for spec in read_mixture(demo).sets]
    there = [spec for spec in sets if any((folder / door).is_dir() for door in spec.only)]
    return tuple(there or sets)  # without any, all are asked for: each of them says what it misses

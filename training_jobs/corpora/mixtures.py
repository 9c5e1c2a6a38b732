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
    """The films of ``mixtures/demo.toml`` in a folder with ``manifest.jsonl``: the sets whose films are there."""
    sets = [spec for spec in placed(_demo(), folder).sets if spec.reader == "manifest"]
    there = [spec for spec in sets if _is_there(spec, folder)]
    return tuple(there or sets)  # without any, all are asked for: each of them says what it misses


def demo_mixture(folder: Path | None) -> Mixture:
    """Everything in ``mixtures/demo.toml``: what is drawn, and of the films those that are there."""
    whole = _demo() if folder is None else placed(_demo(), folder)
    return Mixture(tuple(spec for spec in whole.sets if spec.drawn or (folder is not None and _is_there(spec, folder))))


def placed(mixture: Mixture, folder: Path) -> Mixture:
    """The mixture with its manifests in this folder."""
    return Mixture(tuple(spec if spec.drawn else replace(spec, path=str(folder)) for spec in mixture.sets))


def _is_there(spec: SetSpec, folder: Path) -> bool:
    return any((folder / door).is_dir() for door in spec.only)


def _demo() -> Mixture:
    with as_file(files("training_jobs.mixtures") / "demo.toml") as demo:
        return read_mixture(demo)

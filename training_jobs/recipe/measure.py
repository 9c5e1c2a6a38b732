"""What a recipe's bundle is worth: on real films that nobody trained on, and on pictures of each drawer.

A measurement that is there is not made again; ``out/evaluation/NAME.json`` has what ``evaluate`` prints, and
``NAME.texts.jsonl`` the texts.
"""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from training_jobs.corpora.scored_films import films, most_frequent_text
from training_jobs.evaluation.cases import Case, write_all
from training_jobs.evaluation.films import film_cases, score_films
from training_jobs.evaluation.generating import summaries
from training_jobs.evaluation.phantoms import drawn_cases, score_drawn
from training_jobs.evaluation.saved import save
from training_jobs.recipe.run import Workshop
from training_jobs.recipe.settings import Recipe
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.training.mixture import DRAWERS

_SEED = 100_000  # of drawn films: none that was trained on
_BATCH = 32
_FOLDER = "images/nih/"  # of the films that have labels

Score = Callable[[Sequence[str], str], dict[str, Any]]


def measure(bundle: Bundle, recipe: Recipe, workshop: Workshop) -> None:
    """On the test split of the films, if there are any, and on ``recipe.measured`` films of every drawer.

    Raises:
        TrainingError: the films cannot be read. BundleError: the bundle does not load.
    """
    if workshop.films is not None:
        usual = most_frequent_text(films(workshop.films, "train", _FOLDER))
        cases = film_cases(workshop.films, "test", _FOLDER)
        _once(f"{bundle.name}-films", bundle, cases, partial(score_films, cases, usual=usual), workshop)
    for drawer in DRAWERS:
        measure_on(drawer, bundle, recipe, workshop)


def measure_on(drawer: str, bundle: Bundle, recipe: Recipe, workshop: Workshop) -> None:
    """On films of one drawer that were not trained on; of phantoms, on their held-out population."""
    cases = drawn_cases(drawer, recipe.measured, _SEED, "held_out")
    _once(f"{bundle.name}-{drawer}", bundle, cases, partial(score_drawn, cases), workshop)


def _once(name: str, bundle: Bundle, cases: Sequence[Case], score: Score, workshop: Workshop) -> None:
    folder = workshop.out / "evaluation"
    result = folder / f"{name}.json"
    if result.is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    texts, blank = write_all(cases, partial(summaries, bundle, batch=_BATCH, notify=lambda _done, _total: None))
    save(folder / f"{name}.texts.jsonl", cases, texts, blank)
    found = score(texts, blank)
    work = Path(f"{result}.part")
    work.write_text(json.dumps(found, indent=1) + "\n")
    work.rename(result)
    workshop.notify(f"{name}: {json.dumps(found['scores'])}")

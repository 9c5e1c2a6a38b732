"""The command line of recipes."""

import argparse
import sys
from pathlib import Path
from typing import Any

from xraygpt_core.plain_text import plain_text

JOB = "recipe"


def add_parser(jobs: Any) -> None:
    """``recipe``."""
    job = jobs.add_parser(JOB, help="make the demo bundle: every step of its training, one after the other")
    job.add_argument("--recipe", default="demo", help="demo, quick, or a TOML file")
    job.add_argument("--base", type=Path, required=True, help="directory of the bundle to start from")
    job.add_argument("--films", type=Path, help="a data directory with manifest.jsonl; without it films are only drawn")
    job.add_argument("--out", type=Path, required=True, help="every step is kept here; what is there is not done again")
    job.add_argument("--cache", type=Path, help="where encoder features are kept")
    job.add_argument(
        "--step", choices=("make", "measure", "leave-out"), help="one of the three; without it all of them"
    )


def run(options: argparse.Namespace) -> int:
    """Make the bundle, measure it, and measure others on the drawer that was left out; the exit code."""
    from training_jobs.learning.outcomes import MACHINE_FAILED, STOPPED, MachineFailed, Stopped, machine_failures
    from training_jobs.recipe.measure import measure, measure_on
    from training_jobs.recipe.run import Workshop, make, without
    from training_jobs.recipe.settings import read_recipe
    from xraygpt_core.model.bundle import read_bundle
    from xraygpt_core.paths import user_cache

    recipe, cache = read_recipe(options.recipe), options.cache or user_cache() / "features"
    workshop = Workshop(read_bundle(options.base), options.films, options.out, cache, _notify)
    try:
        with machine_failures():
            if options.step in (None, "make", "measure"):
                bundle = make(recipe, workshop)
            if options.step in (None, "measure"):
                measure(bundle, recipe, workshop)
            if options.step in (None, "leave-out"):
                for drawer in recipe.left_out:
                    measure_on(drawer, without(drawer, recipe, workshop), recipe, workshop)
    except Stopped:
        return STOPPED
    except MachineFailed as error:
        print(plain_text(f"training_jobs {JOB}: {error}", lines=False), file=sys.stderr)  # noqa: T201
        return MACHINE_FAILED
    return 0


def _notify(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201

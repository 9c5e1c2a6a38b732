"""Stage 2: the projector of stage 1 goes on with other pairs (the paper's section 3.2), alone or with the LLM."""

from dataclasses import replace

from training_jobs.stages.image_stage import Given, run_stage
from xraygpt_core.training.corpus import Corpus

JOB = "stage2"


def run(given: Given) -> list[Corpus]:
    """Go on from the base's projector, or from a file's; ``out/result`` when done.

    Returns the corpora it was trained on. Raises as :func:`run_stage`.
    """
    config = given.config
    start = "base" if config.start == "new" else config.start
    return run_stage(JOB, replace(given, config=replace(config, start=start, align_steps=0)))

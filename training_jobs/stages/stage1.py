"""Stage 1: a projector learns what the frozen encoder's features mean to the LLM.

The paper's first stage (section 3.1). The LLM is frozen, unless the configuration has it trained together with the
projector, as MAIRA-1's one stage does. The demo's projector first aligns each image token to the embedding it should
have, where pairs have labels.
"""

from training_jobs.stages.image_stage import Given, run_stage
from xraygpt_core.training.corpus import Corpus

JOB = "stage1"


def run(given: Given) -> list[Corpus]:
    """Train a projector from nothing, from a file or from the base's; ``out/result`` when done.

    Returns the corpora it was trained on. Raises as :func:`run_stage`.
    """
    return run_stage(JOB, given)

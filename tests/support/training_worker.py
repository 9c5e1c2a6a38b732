"""``python -m tests.support.training_worker``: our training worker, whose runs are done by the stand-in."""

import sys
from functools import partial

import workers.training
from tests.support.training_lab import PROGRAM
from workers.__main__ import main

if __name__ == "__main__":
    workers.training.Training = partial(workers.training.Training, program=PROGRAM)  # type: ignore[misc, assignment]
    sys.exit(main(["training"]))

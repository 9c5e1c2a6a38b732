"""One process of a tiny run, started by torchrun or by hand: ``python -m tests.support.training_process OUT [WAY]``.

A linear model learns from numbers that the step draws; each process takes its share of the global batch.
"""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from training_jobs.learning.checkpoint import latest_checkpoint
from training_jobs.learning.distributed import World, join
from training_jobs.learning.leaving import leave
from training_jobs.learning.loop import Loss, MachineFailed, Stopped, TrainingPlan, train
from xraygpt_core.errors import TrainingError

STEPS, BATCH = 12, 8


def run(out: Path, way: str, world: World) -> float:
    """Train; ``term`` and ``die`` end the last process in the middle of a step."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    module = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1))
    last = world.rank == world.size - 1

    def losses_of(step: int) -> Iterator[Loss]:
        if step == 5 and last and way in ("term", "die"):
            os.kill(os.getpid(), signal.SIGTERM if way == "term" else signal.SIGKILL)
        data = torch.randn(BATCH, 6, generator=torch.Generator().manual_seed(step))
        for row in data[world.rank :: world.size].split(3):
            yield Loss((module(row) - row.sum(1, keepdim=True)).pow(2).sum(), len(row))

    resume = latest_checkpoint(out)
    plan = TrainingPlan("tiny", out, STEPS, BATCH, 0.05, 2, 4, resume, min_lr=0.005)
    loss = train(plan, module, losses_of, world)
    if world.leads:
        weights = [value for parameter in module.parameters() for value in parameter.flatten().tolist()]
        (out / "weights.json").write_text(json.dumps(weights))
    return loss


def outcome(out: Path, way: str) -> int:
    """Exit codes are those of the jobs."""
    try:
        with join() as world:
            run(out, way, world)
    except Stopped:
        return 75
    except MachineFailed as error:
        sys.stderr.write(f"{error}\n")
        return 74
    except TrainingError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(leave(outcome(Path(sys.argv[1]), (sys.argv[2:] or ["whole"])[0])))

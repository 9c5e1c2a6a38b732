"""SIGKILL at random moments: the run ends with the very weights of one that nothing disturbed."""

import os
import random
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from training_jobs.learning.checkpoint import latest_checkpoint
from training_jobs.learning.loop import Loss, TrainingPlan, train

_STEPS, _EVERY = 60, 2


class Bell:
    """Rings for every step."""

    def __init__(self, pipe: int) -> None:
        self.pipe = pipe

    def note(self, _step: int, _values: Mapping[str, float]) -> None:
        os.write(self.pipe, b".")


def run(out: Path, pipe: int) -> None:
    """A model with dropout, whose data come from the step and whose noise comes from torch's own state."""
    torch.manual_seed(5)
    module = nn.Sequential(nn.Linear(16, 64), nn.Dropout(0.3), nn.Linear(64, 16))

    def losses_of(step: int) -> list[Loss]:
        data = torch.randn(8, 16, generator=torch.Generator().manual_seed(step))
        return [Loss((module(part) - part.flip(1)).pow(2).sum(), 4) for part in data.split(4)]

    plan = TrainingPlan("kill", out, _STEPS, 8, 0.01, 5, _EVERY, latest_checkpoint(out))
    train(plan, module.train(), losses_of, observer=Bell(pipe))
    save_file(module.state_dict(), out / "last.safetensors")


def child(out: Path, kill_after: int | None) -> int:
    """Run in a process of its own, killed once it has taken so many steps; its status."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            run(out, write)
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    for _ in range(_STEPS if kill_after is None else kill_after):
        if not os.read(read, 1):
            break
    if kill_after is not None:
        os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    os.close(read)
    return status


@pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 6))])
def test_a_run_that_is_killed_five_times_ends_with_the_same_bits(tmp_path: Path, seed: int) -> None:
    with Path(os.devnull).open("wb") as nobody:
        run(tmp_path / "whole", nobody.fileno())  # here, so that the children find torch as they need it
    chance = random.Random(seed)
    for _ in range(5):
        assert child(tmp_path / "killed", chance.randrange(2, 18)) == signal.SIGKILL
    assert child(tmp_path / "killed", None) == 0
    whole, killed = (load_file(tmp_path / name / "last.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(whole[name], killed[name]) for name in whole)

"""Two real processes under torchrun's variables: the curve of one, one checkpoint, and nobody waits for the dead."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.support.training_process import STEPS, outcome, run
from tests.support.two_processes import in_two
from training_jobs.learning.checkpoint import latest_checkpoint
from training_jobs.learning.distributed import ALONE, _buckets, join

pytestmark = pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")


def two(out: Path, way: str) -> list[int]:
    return in_two(lambda: outcome(out, way))


def curve(out: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (out / "progress.jsonl").read_text().splitlines()]


def test_two_processes_have_the_loss_curve_and_the_weights_of_one(tmp_path: Path) -> None:
    run(tmp_path / "one", "whole", ALONE)
    assert two(tmp_path / "two", "whole") == [0, 0]
    assert curve(tmp_path / "two") == pytest.approx(curve(tmp_path / "one"), abs=1e-4)
    one, both = (json.loads((tmp_path / name / "weights.json").read_text()) for name in ("one", "two"))
    assert both == pytest.approx(one, abs=1e-5)
    assert len(curve(tmp_path / "two")) == STEPS


def test_sigterm_to_one_process_stops_both_after_the_same_step(tmp_path: Path) -> None:
    assert two(tmp_path, "term") == [75, 75]
    checkpoint = latest_checkpoint(tmp_path)
    assert checkpoint is not None
    assert checkpoint.name == "step-000006"
    run(tmp_path, "whole", ALONE)  # one process goes on where two stopped
    assert len(curve(tmp_path)) == STEPS
    assert json.loads((checkpoint / "meta.json").read_text())["step"] == 6


def test_a_process_that_dies_ends_the_other(tmp_path: Path) -> None:
    assert two(tmp_path, "die") == [74, -9]
    checkpoint = latest_checkpoint(tmp_path)
    assert checkpoint is not None
    assert checkpoint.name == "step-000004"


def test_without_torchrun_a_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with join() as world:
        assert world is ALONE
        assert (world.leads, world.size, world.gather(3)) == (True, 1, [3])


def test_gradients_go_in_few_messages_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training_jobs.learning.distributed._BUCKET", 10)
    sizes = [[len(one) for one in bucket] for bucket in _buckets([torch.zeros(n) for n in (4, 4, 4, 12, 1)])]
    assert sizes == [[4, 4], [4], [12], [1]]


def test_the_norm_of_no_gradients_is_zero() -> None:
    assert float(ALONE.norm([nn.Parameter(torch.ones(2))])) == 0.0

"""Stage 1 in two processes of torchrun: the curve and the weights of one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.unit.training_jobs.stages.conftest import curve
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.training.corpus import Corpus

ROOT = Path(__file__).parents[4]
DRAWN = 'mixture={"sets":[{"name":"drawn","reader":"phantoms","count":6}]}'


@pytest.mark.long
def test_two_processes_learn_what_one_learns(narrow: Bundle, told: Corpus, tmp_path: Path) -> None:
    stage = ["training_jobs", "stage1", "--base", str(narrow.path), "--corpus", str(told.path), "--no-report"]
    stage += ["--preset", "paper-stage1", "--steps", "8", "--batch", "8", "--checkpoint-every", "4", "--set", DRAWN]
    stage += ["--set", "lr=0.01", "--set", "warmup=2"]
    torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m"]
    for name, words in (("one", stage), ("two", [*torchrun, *stage])):
        own = ["--out", str(tmp_path / name), "--cache", str(tmp_path / f"cache-{name}")]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        subprocess.run([sys.executable, "-m", *words, *own], check=True, timeout=240, cwd=ROOT, env=environment)
    for kind in ("loss", "held_out", "swapped"):
        assert curve(tmp_path / "two", kind) == pytest.approx(curve(tmp_path / "one", kind), abs=1e-4)
    one, two = (load_file(tmp_path / name / "result/projector.safetensors") for name in ("one", "two"))
    assert all(torch.allclose(one[name].float(), two[name].float(), atol=1e-2) for name in one)

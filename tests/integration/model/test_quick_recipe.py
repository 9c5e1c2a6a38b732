"""The recipe's small version on the published encoder and language model, as a user starts it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from training_jobs.drawers.drawings import Drawing, draw
from training_jobs.evaluation.generating import summaries
from xraygpt_core.model.bundle import load_bundle, verify
from xraygpt_core.model.fetch import fetch_base_bundle
from xraygpt_core.paths import models_dir

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]


def test_minutes_of_the_recipe_make_a_bundle_that_looks_at_the_film(tmp_path: Path) -> None:
    base = fetch_base_bundle(models_dir(), lambda _line: None)
    command = [sys.executable, "-m", "training_jobs", "recipe", "--recipe", "quick", "--step", "make"]
    folders = ["--base", str(base.path), "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    subprocess.run([*command, *folders], check=True)
    steps = [json.loads(line) for line in (tmp_path / "out/recipe.jsonl").read_text().splitlines()]
    found = steps[-1]["held_out"]
    assert found["held_out"] < found["swapped"]
    made = load_bundle(tmp_path / "out/models", "demo")
    verify(made)
    assert made.encoder_delta is not None
    assert summaries(made, [draw(Drawing("fields", 5000)).png], 1, lambda *_: None)[0].startswith("Findings:")

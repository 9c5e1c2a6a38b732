"""Every layout of a set goes through both stages with the presets of paper and repository, on the published shapes."""

from pathlib import Path

import pytest
import torch

from tests.support.training_sets import make_set
from tests.unit.training_jobs.stages.conftest import curve
from training_jobs.stages import stage1, stage2
from training_jobs.stages.image_stage import Given
from training_jobs.stages.xraygpt_file import FILE, read_start
from xraygpt_core.model.bundle import Bundle
from xraygpt_core.training.config import parse_config

FEW = {"steps": 16, "batch": 4, "checkpoint_every": 16, "warmup": 2, "lr": 0.02, "min_lr": 0.01}
OTHERS = [pytest.param(name, marks=pytest.mark.long) for name in ("mimic-cxr", "open-i", "table", "manifest")]


@pytest.mark.parametrize("layout", ["filter-cap", *OTHERS])
def test_a_layout_trains_with_each_preset(layout: str, narrow: Bundle, tmp_path: Path) -> None:
    own = {"name": layout, "reader": layout, "path": str(make_set(layout, tmp_path / "set", range(8)))}
    if layout == "filter-cap":  # has no split of its own
        own |= {"split": "by-patient", "validation": 0.3}
    for preset, stage in {
        "paper-stage1": stage1,
        "repository-stage1": stage1,
        "paper-stage2": stage2,
        "repository-stage2": stage2,
    }.items():
        config = parse_config({"preset": preset, "mixture": {"sets": [own]}, "text": {"max_tokens": 16}} | FEW)
        out = tmp_path / preset
        stage.run(Given(narrow, out, config, None, tmp_path / "cache"))
        losses = curve(out)
        assert sum(losses[-4:]) < sum(losses[:4]), preset
        start = read_start(out / "result" / FILE, 1, 20, 32, narrow.encoder)
        assert all(torch.isfinite(parameter).all() for parameter in start.projector.parameters())

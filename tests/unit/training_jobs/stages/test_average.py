"""The mean of projectors."""

from pathlib import Path

import pytest
import torch

from training_jobs.__main__ import main
from training_jobs.stages.average import average
from xraygpt_core.errors import BundleError, TrainingError
from xraygpt_core.model.projector import LinearProjector, load_projector, save_projector


def linear(path: Path, value: float, channels: int = 3) -> Path:
    projector = LinearProjector(channels, 2)
    with torch.no_grad():
        for parameter in projector.parameters():
            parameter.fill_(value)
    save_projector(projector, path)
    return path


def test_the_mean_of_two_projectors_lies_between_them(tmp_path: Path) -> None:
    files = [linear(tmp_path / f"{value}.safetensors", value) for value in (1.0, 3.0)]
    out = tmp_path / "new" / "mean.safetensors"

    assert main(["average", *map(str, files), "--class", "LinearProjector", "--out", str(out)]) == 0

    found = load_projector("LinearProjector", out)
    assert all((parameter == 2.0).all() for parameter in found.parameters())


def test_projectors_of_different_shapes_are_refused_by_name(tmp_path: Path) -> None:
    files = [linear(tmp_path / "narrow.safetensors", 1.0), linear(tmp_path / "wide.safetensors", 1.0, channels=5)]
    with pytest.raises(TrainingError, match=r"narrow.*wide"):
        average("LinearProjector", files, tmp_path / "mean.safetensors")
    assert not (tmp_path / "mean.safetensors").exists()


def test_one_projector_has_no_mean(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="two"):
        average("LinearProjector", [linear(tmp_path / "one.safetensors", 1.0)], tmp_path / "mean.safetensors")


def test_a_projector_of_another_class_is_refused(tmp_path: Path) -> None:
    files = [linear(tmp_path / f"{value}.safetensors", value) for value in (1.0, 2.0)]
    with pytest.raises(BundleError):
        average("MapProjector", files, tmp_path / "mean.safetensors")

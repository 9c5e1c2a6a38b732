"""The head that asks whether an image is a chest: its score, its thresholds, and whose encoder it is for."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from xraygpt_core.errors import BundleError, Rejected
from xraygpt_core.model.chest_check import ChestCheck, load_chest_check, save_chest_check, zones, zones_of
from xraygpt_core.states import ReasonCode


@pytest.fixture
def check() -> ChestCheck:
    weight = torch.randn(6, 5, generator=torch.Generator().manual_seed(1))
    return ChestCheck(weight, bias=0.25, reject=-1.0, doubt=2.0)


@pytest.fixture
def features() -> torch.Tensor:
    return torch.randn(3, 49, 5, generator=torch.Generator().manual_seed(2))


def test_a_score_is_linear_in_the_means_of_six_zones(check: ChestCheck, features: torch.Tensor) -> None:
    grid = features[0].reshape(7, 7, 5)
    sides = torch.cat([grid[:, :2], grid[:, 5:]], dim=1)
    means = [part[rows].mean((0, 1)) for part in (grid[:, 2:5], sides) for rows in (slice(2), slice(2, 5), slice(5, 7))]
    expected = sum(float(mean @ weight) for mean, weight in zip(means, check.weight, strict=True)) + 0.25
    assert float(check.scores(features)[0]) == pytest.approx(expected, abs=1e-5)


def test_a_mirrored_picture_has_the_same_score(check: ChestCheck, features: torch.Tensor) -> None:
    mirrored = features.reshape(3, 7, 7, 5).flip(2).reshape(3, 49, 5)
    assert torch.allclose(check.scores(mirrored), check.scores(features), atol=1e-5)


@pytest.mark.parametrize(("positions", "count"), [(49, 6), (9, 6), (1369, 6), (4, 1), (1, 1), (32, 1)])
def test_positions_that_are_no_grid_are_one_zone(positions: int, count: int) -> None:
    assert zones_of(positions) == count
    assert zones(torch.ones(2, positions, 3), count).shape == (2, count, 3)


def test_below_the_lower_threshold_it_is_refused_with_its_reason(check: ChestCheck) -> None:
    with pytest.raises(Rejected, match=r"score -1\.50, the limit is -1\.00") as caught:
        check.judge(-1.5, refuse=True)
    assert caught.value.reason is ReasonCode.NOT_A_CHEST


@pytest.mark.parametrize(("score", "uncertain"), [(-1.0, True), (1.99, True), (2.0, False), (9.0, False)])
def test_between_the_thresholds_it_is_in_doubt(check: ChestCheck, score: float, uncertain: bool) -> None:
    assert check.judge(score, refuse=True).uncertain is uncertain


def test_who_does_not_want_it_refused_is_told_that_it_is_in_doubt(check: ChestCheck) -> None:
    assert check.judge(-9, refuse=False).uncertain


@pytest.mark.parametrize("score", [float("nan"), float("inf"), float("-inf")])
def test_a_broken_device_says_nothing_about_the_image(check: ChestCheck, score: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        check.judge(score, refuse=True)


def test_a_head_that_was_written_is_read_again(check: ChestCheck, features: torch.Tensor, tmp_path: Path) -> None:
    save_chest_check(check, tmp_path / "head.safetensors")
    again = load_chest_check(tmp_path / "head.safetensors", 49, 5)
    assert torch.equal(again.scores(features), check.scores(features))
    assert (again.bias, again.reject, again.doubt) == (0.25, -1.0, 2.0)


@pytest.mark.parametrize(("positions", "channels"), [(49, 4), (32, 5)])
def test_a_head_for_another_encoder_is_refused(
    check: ChestCheck, tmp_path: Path, positions: int, channels: int
) -> None:
    save_chest_check(check, tmp_path / "head.safetensors")
    with pytest.raises(BundleError, match="was made for another encoder: 6 x 5 weights"):
        load_chest_check(tmp_path / "head.safetensors", positions, channels)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"doubt": torch.tensor(-2.0)}, "wrong way round"),
        ({"bias": torch.tensor(float("nan"))}, "not finite"),
        ({"more": torch.tensor(0.0)}, "is no chest check: it holds"),
    ],
)
def test_a_damaged_head_is_refused(
    check: ChestCheck, tmp_path: Path, change: dict[str, torch.Tensor], said: str
) -> None:
    numbers = {"bias": torch.tensor(0.0), "reject": torch.tensor(-1.0), "doubt": torch.tensor(2.0)}
    save_file({"weight": check.weight} | numbers | change, tmp_path / "head.safetensors")
    with pytest.raises(BundleError, match=said):
        load_chest_check(tmp_path / "head.safetensors", 49, 5)


def test_a_file_of_another_kind_is_no_head(tmp_path: Path) -> None:
    (tmp_path / "head.safetensors").write_bytes(b"something else")
    with pytest.raises(BundleError, match="is no chest check"):
        load_chest_check(tmp_path / "head.safetensors", 49, 5)

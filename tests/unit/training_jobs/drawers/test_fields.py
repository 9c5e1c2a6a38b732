"""Films drawn as fields: one seed is one film, and what the labels say changes the picture where it lies."""

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from training_jobs.drawers.fields import draw_fields, paint_fields
from xraygpt_core.phantoms.findings import LABELS, View

SEEDS = range(400, 403)
VIEWS: tuple[View, View] = ("AP", "PA")


@cache
def healthy(seed: int, view: View) -> NDArray[np.float64]:
    return paint_fields(seed, frozenset(), view).astype(float)


def differences(label: str, view: View = "PA") -> list[NDArray[np.float64]]:
    """What one finding adds to the grey of each film."""
    return [paint_fields(seed, frozenset({label}), view) - healthy(seed, view) for seed in SEEDS]


def quarters(label: str, view: View = "PA") -> NDArray[np.float64]:
    """The mean of it in the upper and lower half of the picture, left and right: shape (2, 2)."""
    total = np.zeros((2, 2))
    for difference in differences(label, view):
        half = difference.shape[0] // 2
        total += difference[: 2 * half, : 2 * half].reshape(2, half, 2, half).mean(axis=(1, 3))
    return total / len(SEEDS)


def test_the_same_seed_draws_the_same_film() -> None:
    one, other = draw_fields(7), draw_fields(7)
    assert np.array_equal(one.grey, other.grey)
    assert (one.labels, one.view) == (other.labels, other.view)


def test_two_seeds_draw_two_films() -> None:
    one, other = draw_fields(7), draw_fields(8)
    assert one.grey.shape != other.grey.shape or not np.array_equal(one.grey, other.grey)


def test_a_film_is_a_square_of_256_to_288_grey_pixels_with_contrast() -> None:
    for seed in range(4):
        grey = draw_fields(seed).grey
        assert grey.dtype == np.uint8
        assert grey.shape == (grey.shape[0],) * 2
        assert 256 <= grey.shape[0] <= 288
        assert grey.std() > 15


def test_both_views_and_all_labels_occur() -> None:
    films = [draw_fields(seed) for seed in range(24)]
    assert {film.view for film in films} == {"AP", "PA"}
    assert frozenset().union(*(film.labels for film in films)) == set(LABELS)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("zone", ["upper", "lower"])
def test_a_consolidation_whitens_its_own_zone_and_no_other(side: str, zone: str) -> None:
    added = quarters(f"consolidation_{side}_{zone}").ravel()
    place = 2 * (zone == "lower") + (side == "left")
    assert added[place] > 2
    assert np.delete(added, place).max() < 0.2 * added[place]


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("view", VIEWS)
def test_an_effusion_whitens_the_lower_half_of_its_side(side: str, view: View) -> None:
    assert quarters(f"effusion_{side}", view).argmax() == 2 + (side == "left")


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_pneumothorax_changes_its_own_side_only(side: str) -> None:
    for difference in differences(f"pneumothorax_{side}"):
        half = difference.shape[1] // 2
        right, left = np.abs(difference[:, :half]).mean(), np.abs(difference[:, half:]).mean()
        own, other = (left, right) if side == "left" else (right, left)
        assert own > 4 * other


def test_a_large_heart_whitens_the_lower_left_most() -> None:
    assert quarters("cardiomegaly").argmax() == 3


@pytest.mark.parametrize("label", ["nodule", "device"])
def test_nodules_and_devices_are_small_and_bright(label: str) -> None:
    for difference in differences(label):
        assert difference.max() > 25
        assert (np.abs(difference) > 10).mean() < 0.2

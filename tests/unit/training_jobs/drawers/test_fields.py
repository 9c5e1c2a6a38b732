"""Films drawn as fields: one seed is one film, and what the labels say changes the picture where it lies."""

import numpy as np
import pytest
from numpy.typing import NDArray

from training_jobs.drawers.fields import draw_fields, paint_fields
from xraygpt_core.phantoms.findings import LABELS

SEEDS = range(400, 408)


def change(label: str, view: str = "PA") -> NDArray[np.float64]:
    """The mean change of 8 films by one finding in a 2 x 2 grid: upper and lower half, image left and right."""
    total = np.zeros((2, 2))
    for seed in SEEDS:
        with_it = paint_fields(seed, frozenset({label}), "AP" if view == "AP" else "PA").astype(float)
        without = paint_fields(seed, frozenset(), "AP" if view == "AP" else "PA").astype(float)
        half = with_it.shape[0] // 2
        difference = (with_it - without)[: 2 * half, : 2 * half]
        total += difference.reshape(2, half, 2, half).mean(axis=(1, 3))
    return total / len(SEEDS)


def test_the_same_seed_draws_the_same_film() -> None:
    one, other = draw_fields(7), draw_fields(7)
    assert np.array_equal(one.grey, other.grey)
    assert (one.labels, one.view) == (other.labels, other.view)


def test_two_seeds_draw_two_films() -> None:
    one, other = draw_fields(7), draw_fields(8)
    assert one.grey.shape != other.grey.shape or not np.array_equal(one.grey, other.grey)


def test_a_film_is_a_square_of_256_to_320_grey_pixels_with_contrast() -> None:
    for seed in range(8):
        grey = draw_fields(seed).grey
        assert grey.dtype == np.uint8
        assert grey.shape == (grey.shape[0],) * 2
        assert 256 <= grey.shape[0] <= 320
        assert grey.std() > 15


def test_both_views_and_all_labels_occur() -> None:
    films = [draw_fields(seed) for seed in range(40)]
    assert {film.view for film in films} == {"AP", "PA"}
    assert frozenset().union(*(film.labels for film in films)) == set(LABELS)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("zone", ["upper", "lower"])
def test_a_consolidation_whitens_its_own_zone_most(side: str, zone: str) -> None:
    zones = change(f"consolidation_{side}_{zone}")
    place = (zone == "lower", side == "left")
    assert np.unravel_index(zones.argmax(), zones.shape) == place
    assert zones[place] > 3


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("view", ["AP", "PA"])
def test_an_effusion_whitens_the_lower_half_of_its_side(side: str, view: str) -> None:
    zones = change(f"effusion_{side}", view)
    assert np.unravel_index(zones.argmax(), zones.shape) == (1, side == "left")


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_pneumothorax_darkens_the_upper_half_of_its_side(side: str) -> None:
    rows, column = change(f"pneumothorax_{side}"), int(side == "left")
    assert rows[0, column] < rows[0, 1 - column]


def test_a_large_heart_whitens_the_lower_left_most() -> None:
    zones = change("cardiomegaly")
    assert np.unravel_index(zones.argmax(), zones.shape) == (1, 1)


@pytest.mark.parametrize("label", ["nodule", "device"])
def test_nodules_and_devices_add_bright_spots(label: str) -> None:
    for seed in SEEDS:
        with_it, without = (paint_fields(seed, frozenset(labels), "PA").astype(float) for labels in ((label,), ()))
        difference = with_it - without
        assert np.percentile(difference, 99.9) > 12
        assert np.median(np.abs(difference)) < 6

"""Films drawn from closed curves carry the truth they are labelled with."""

from functools import lru_cache

import numpy as np
import pytest
from numpy.typing import NDArray

from training_jobs.drawers.contours import draw_contours, draw_findings
from training_jobs.drawers.contours_curves import SIDE
from xraygpt_core.phantoms.findings import LABELS, View

_SEEDS = range(2)
_PLACES = {  # rows and columns of the film, as shares of it, in which a finding is to be looked for
    "effusion_left": (0.05, 0.95, 0.5, 1.0),
    "effusion_right": (0.05, 0.95, 0.0, 0.5),
    "pneumothorax_left": (0.05, 0.9, 0.5, 1.0),
    "pneumothorax_right": (0.05, 0.9, 0.0, 0.5),
    "consolidation_right_upper": (0.05, 0.6, 0.0, 0.5),
    "consolidation_right_lower": (0.3, 0.9, 0.0, 0.5),
    "consolidation_left_upper": (0.05, 0.6, 0.5, 1.0),
    "consolidation_left_lower": (0.3, 0.9, 0.5, 1.0),
}


def test_the_same_seed_draws_the_same_film() -> None:
    first, second = draw_contours(5), draw_contours(5)
    assert np.array_equal(first.grey, second.grey)
    assert (first.labels, first.view) == (second.labels, second.view)
    assert not np.array_equal(first.grey, draw_contours(6).grey)


def test_both_views_and_every_label_occur() -> None:
    films = [draw_contours(seed) for seed in range(16)]
    assert {film.view for film in films} == {"AP", "PA"}
    assert frozenset().union(*(film.labels for film in films)) == frozenset(LABELS)
    assert all(film.grey.shape == (SIDE, SIDE) and film.grey.dtype == np.uint8 for film in films)


@pytest.mark.parametrize("label", _PLACES)
def test_a_finding_of_a_side_changes_the_film_on_its_side(label: str) -> None:
    top, bottom, left, right = (round(share * SIDE) for share in _PLACES[label])
    for seed in _SEEDS:
        change = _change(seed, label)
        within = np.abs(change[top:bottom, left:right]).sum()
        assert within > 0.7 * np.abs(change).sum()
        assert (np.abs(change) > 15).sum() > 100


@pytest.mark.parametrize("label", ["effusion_left", "consolidation_right_lower", "nodule", "device", "cardiomegaly"])
def test_what_is_denser_than_air_is_whiter(label: str) -> None:
    changes = [_change(seed, label) for seed in _SEEDS]
    assert all(change[np.abs(change) > 15].mean() > 0 for change in changes)


def test_air_around_a_lung_is_darker_but_for_its_rim() -> None:
    changes = [_change(seed, "pneumothorax_left") for seed in _SEEDS]
    assert np.mean([change[np.abs(change) > 8].mean() for change in changes]) < 0


def _change(seed: int, label: str) -> NDArray[np.int64]:
    return _drawn(seed, frozenset({label})) - _drawn(seed, frozenset())


@lru_cache
def _drawn(seed: int, labels: frozenset[str]) -> NDArray[np.int64]:
    view: View = "AP" if seed % 2 else "PA"
    return draw_findings(seed, view, labels).astype(np.int64)

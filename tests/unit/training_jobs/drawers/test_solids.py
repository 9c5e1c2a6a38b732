"""Films of solids: the same for a seed, every label occurs, and a finding shows in its place only."""

import numpy as np
import pytest

from training_jobs.drawers.solids import draw_film, draw_solids
from training_jobs.drawers.solids_body import draw_body
from training_jobs.drawers.solids_patient import draw_patient
from training_jobs.drawers.solids_rays import Rays, cast, ellipsoid
from xraygpt_core.phantoms.findings import LABELS, View

RAYS = Rays(side=64, pitch=(5.0, 5.0), corner=(-160.0, -160.0), source=(0.0, 0.0, 1000.0))


def change(label: str, view: View = "PA", films: int = 3) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """How much brighter each pixel is with a finding than without it, on average, in grey levels."""
    pairs = [(draw_film(seed, frozenset({label}), view), draw_film(seed, frozenset(), view)) for seed in range(films)]
    mean = np.mean([np.float32(with_it) - np.float32(without) for with_it, without in pairs], axis=0)
    return np.asarray(mean, np.float32)


def test_a_seed_gives_the_same_film() -> None:
    first, second = draw_solids(3), draw_solids(3)
    assert np.array_equal(first.grey, second.grey)
    assert (first.labels, first.view) == (second.labels, second.view)
    assert not np.array_equal(first.grey, draw_solids(4).grey)


def test_a_film_is_a_square_of_eight_bit_grey() -> None:
    grey = draw_solids(0).grey
    assert grey.dtype == np.uint8
    assert grey.shape[0] == grey.shape[1] >= 256
    assert grey.std() > 20


def test_every_label_and_both_views_occur() -> None:
    films = [draw_solids(seed) for seed in range(30)]
    assert frozenset().union(*(film.labels for film in films)) == set(LABELS)
    assert {film.view for film in films} == {"AP", "PA"}


@pytest.mark.parametrize("label", [label for label in LABELS if label.startswith(("consolidation", "effusion"))])
def test_a_filled_lung_is_brighter_on_its_own_side(label: str) -> None:
    brighter = change(label)
    right, left = brighter[:, :128].mean(), brighter[:, 128:].mean()
    own, other = (right, left) if "right" in label else (left, right)
    assert own - other > 2


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_pneumothorax_is_darker_on_its_own_side(side: str) -> None:
    brighter = change(f"pneumothorax_{side}")
    right, left = brighter[:, :128].mean(), brighter[:, 128:].mean()
    own, other = (right, left) if side == "right" else (left, right)
    assert own - other < -2


@pytest.mark.parametrize("side", ["left", "right"])
def test_an_upper_consolidation_lies_above_a_lower_one(side: str) -> None:
    rows = np.arange(256)[:, None]
    upper, lower = (np.maximum(change(f"consolidation_{side}_{zone}"), 0) for zone in ("upper", "lower"))
    assert (rows * upper).sum() / upper.sum() + 30 < (rows * lower).sum() / lower.sum()


@pytest.mark.parametrize("label", ["nodule", "device"])
def test_a_small_finding_stands_out_on_each_film(label: str) -> None:
    for seed in range(5):
        with_it, without = (
            np.float32(draw_film(seed, labels, "AP")) for labels in (frozenset({label}), frozenset[str]())
        )
        assert np.sort(with_it - without, axis=None)[-12:].mean() > 15


@pytest.mark.parametrize(("view", "most", "least"), [("PA", 0.5, 0.55), ("AP", 0.54, 0.6)])
def test_the_heart_is_as_wide_as_the_label_says(view: View, most: float, least: float) -> None:
    def ratio(seed: int, enlarged: bool) -> float:
        patient = draw_patient(np.random.default_rng(seed), view, enlarged)
        body = draw_body(patient, np.random.default_rng(seed))
        above = body.lungs[0].y[:, 0] < max(patient.dome) + 10
        heart = np.flatnonzero((body.heart[above] > 5).any(axis=0))
        chest = np.flatnonzero((body.lungs[0].inside + body.lungs[1].inside).any(axis=0))
        return float(np.ptp(heart) / np.ptp(chest))

    assert max(ratio(seed, False) for seed in range(5)) < most
    assert min(ratio(seed, True) for seed in range(5)) > least


def test_a_ray_through_a_ball_crosses_its_diameter() -> None:
    assert ellipsoid(RAYS, (0, 0, 200), (40, 40, 40)).length().max() == pytest.approx(80, rel=0.01)


def test_points_cast_keep_their_volume_but_for_magnification() -> None:
    shadow = cast(RAYS, np.array([[10.0, -20.0, 500.0]], np.float32), np.array([300.0]))
    assert shadow.sum() * 25 == pytest.approx(300 * 4, rel=1e-4)

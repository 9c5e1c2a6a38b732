"""Findings painted into a film without any, on phantoms without findings: each in its place, and nowhere else."""

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from training_jobs.drawers.grey import png
from training_jobs.drawers.paint import Painted, paint
from training_jobs.drawers.paint_films import painted_film, wanted_labels
from training_jobs.drawers.paint_heart import widen
from training_jobs.drawers.paint_lungs import Lungs, LungsNotFound, find_lungs
from training_jobs.drawers.paint_neutral import neutral
from training_jobs.drawers.paint_scene import Scene
from xraygpt_core.phantoms.draw import draw_phantom, plan_phantom
from xraygpt_core.phantoms.findings import LABELS, Side

Grey = NDArray[np.uint8]
_OF_A_LUNG = [label for label in LABELS if label not in ("nodule", "device", "cardiomegaly")]


@cache
def _film() -> tuple[Grey, Lungs]:
    seed = next(seed for seed in range(1000) if not plan_phantom(seed).labels)
    grey = draw_phantom(seed, side=256).grey8()
    return grey, find_lungs(grey)


@pytest.fixture(autouse=True)
def _nothing_neutral(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training_jobs.drawers.paint.neutral", lambda *_: None)


def _painted(*labels: str, seed: int = 1) -> Painted:
    grey, lungs = _film()
    return paint(grey, frozenset(labels), np.random.default_rng(seed), lungs)


def _change(painted: Painted, side: Side, low: float = -0.1, high: float = 1.2) -> float:
    """Mean change of grey in a part of a lung, from ``low`` to ``high`` of its height."""
    grey, lungs = _film()
    place = Scene(grey, lungs).places[side]
    part = (place.inside > 0.9) & (place.down > low) & (place.down < high)
    inside = Scene(grey, lungs).large(part.astype(np.float32)) > 0.99
    return float((painted.grey.astype(float) - grey)[inside].mean())


@pytest.mark.parametrize("label", _OF_A_LUNG)
def test_a_finding_of_one_lung_leaves_the_other_alone(label: str) -> None:
    painted = _painted(label)
    side, other = ("left", "right") if "left" in label else ("right", "left")
    assert painted.labels == {label}
    assert abs(_change(painted, side)) > 3 > 0.2 > abs(_change(painted, other))


@pytest.mark.parametrize("side", ["left", "right"])
def test_fluid_is_bright_at_the_bottom_and_air_dark_at_the_top(side: Side) -> None:
    fluid, air = _painted(f"effusion_{side}"), _painted(f"pneumothorax_{side}", seed=3)
    assert _change(fluid, side, 0.7) > 10 > _change(fluid, side, high=0.3)
    assert _change(air, side, high=0.15) < -3


@pytest.mark.parametrize("zone", ["upper", "lower"])
def test_a_consolidation_is_bright_in_its_zone(zone: str) -> None:
    painted = _painted(f"consolidation_left_{zone}")
    changes = {"upper": _change(painted, "left", high=0.4), "lower": _change(painted, "left", 0.6)}
    assert changes[zone] > 5 * abs(changes["lower" if zone == "upper" else "upper"]) + 2


@pytest.mark.parametrize("label", ["nodule", "device"])
def test_small_findings_are_brighter_than_what_was_there(label: str) -> None:
    grey, _ = _film()
    painted = _painted(label)
    change = painted.grey.astype(int) - grey
    assert painted.labels == {label}
    assert change.max() > 20
    assert change.min() >= -1
    assert (change != 0).mean() < 0.15


def test_a_heart_grows_and_the_chest_does_not() -> None:
    grey, _ = _film()
    painted = _painted("cardiomegaly")
    assert painted.labels == {"cardiomegaly"}
    changed = np.abs(painted.grey.astype(int) - grey) > 8
    assert changed[:, 64:192].mean() > changed[:, :32].mean()
    assert np.array_equal(painted.grey[:20], grey[:20])


def test_a_heart_that_grows_by_nothing_is_left_alone() -> None:
    grey, lungs = _film()
    scene = Scene(grey, lungs)
    widen(scene, 0.0, 0.8)
    assert np.abs(scene.grey().astype(int) - grey).max() <= 1


def test_a_film_without_lungs_is_refused() -> None:
    with pytest.raises(LungsNotFound):
        find_lungs(_rng().integers(0, 255, (256, 256)).astype(np.uint8))


def test_neutral_changes_are_small() -> None:
    grey, lungs = _film()
    means = []
    for seed in range(8):
        scene = Scene(grey, lungs)
        neutral(scene, np.random.default_rng(seed), heart_is_painted=True)
        means.append(np.abs(scene.grey().astype(int) - grey).mean())
    assert 0 < max(means) < 6


def test_the_same_seed_paints_the_same_and_another_does_not() -> None:
    film = png(_film()[0])
    first, again, other = (painted_film(film, "AP", seed, 2, 7) for seed in (1, 1, 2))
    assert (first.png, first.labels) == (again.png, again.labels)
    assert other.png != first.png


def test_a_fifth_of_the_films_is_left_without_findings() -> None:
    rng = _rng()
    wanted = [wanted_labels(rng) for _ in range(1000)]
    assert 0.15 < np.mean([not one for one in wanted]) < 0.25
    assert {label for one in wanted for label in one} == set(LABELS)


def _rng() -> np.random.Generator:
    return np.random.default_rng(5)

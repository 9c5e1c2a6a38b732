"""What can be seen in a phantom, measured in its pixels."""

import time
from functools import lru_cache

import numpy as np
import pytest

from xraygpt_core.phantoms.anatomy import draw_anatomy
from xraygpt_core.phantoms.draw import draw_phantom, plan_phantom
from xraygpt_core.phantoms.film import stamp
from xraygpt_core.phantoms.findings import LABELS, Population
from xraygpt_core.report.labeller import label_report, view_of

SIDE = 192
SEEDS = range(10)
POPULATIONS: tuple[Population, ...] = ("train", "held_out")


def change(seed: int, population: Population, label: str) -> np.ndarray:
    """Grey values (0–1) of the phantom with the finding less those of the same chest without it."""
    return (grey(seed, population, label) - grey(seed, population)) / 255


@lru_cache(maxsize=2000)
def grey(seed: int, population: Population, *labels: str) -> np.ndarray:
    """A PA phantom with these findings, as floats 0–255."""
    return draw_phantom(seed, population, SIDE, labels=set(labels), view="PA").grey8().astype(np.float64)


def centre(difference: np.ndarray) -> tuple[float, float]:
    """Centre of what changed (column, row), 0–1 each; small changes do not count."""
    weight = np.where(np.abs(difference) > 0.06, np.abs(difference), 0.0)
    rows, columns = np.indices(weight.shape) / SIDE
    return float((weight * columns).sum() / weight.sum()), float((weight * rows).sum() / weight.sum())


def test_the_same_seed_draws_the_same_phantom() -> None:
    one, two = draw_phantom(11, "train", SIDE), draw_phantom(11, "train", SIDE)
    assert np.array_equal(one.pixels, two.pixels)
    assert (one.labels, one.view, one.report) == (two.labels, two.view, two.report)


def test_another_seed_or_population_draws_another() -> None:
    one = draw_phantom(11, "train", SIDE)
    assert not np.array_equal(one.pixels, draw_phantom(12, "train", SIDE).pixels)
    assert not np.array_equal(one.pixels, draw_phantom(11, "held_out", SIDE).pixels)


@pytest.mark.parametrize("side", [128, 224, 448, 701])
def test_a_phantom_has_the_side_and_the_bits_it_says(side: int) -> None:
    for seed in range(4):
        phantom = draw_phantom(seed, side=side)
        assert phantom.pixels.shape == (side, side)
        assert phantom.pixels.dtype == np.uint16
        assert phantom.pixels.max() < 2**phantom.bits_stored
        assert phantom.grey8().dtype == np.uint8
        assert phantom.grey8().max() > 150
        assert phantom.grey8().std() > 15


def test_the_plan_is_what_is_drawn() -> None:
    for seed in range(10):
        plan, phantom = plan_phantom(seed, "held_out"), draw_phantom(seed, "held_out", 128)
        assert (plan.labels, plan.view, plan.report) == (phantom.labels, phantom.view, phantom.report)


def test_findings_and_view_can_be_asked_for() -> None:
    phantom = draw_phantom(3, side=128, labels={"nodule", "effusion_left"}, view="AP")
    assert phantom.labels == label_report(phantom.report.text) == {"nodule", "effusion_left"}
    assert phantom.view == view_of(phantom.report.text) == "AP"


@pytest.mark.parametrize(
    ("seed", "side", "labels", "says"),
    [(0, 100, None, "side >= 128"), (-1, 256, None, "seed >= 0"), (0, 256, {"fracture"}, "no such finding: fracture")],
)
def test_nonsense_is_refused(seed: int, side: int, labels: set[str] | None, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        draw_phantom(seed, side=side, labels=labels)


@pytest.mark.parametrize("population", POPULATIONS)
@pytest.mark.parametrize("label", LABELS)
def test_every_finding_shows_in_the_pixels(label: str, population: Population) -> None:
    """At least 12 grey levels over at least the area of a 5 mm disc, in every single phantom."""
    for seed in SEEDS:
        visible = np.abs(change(seed, population, label)) > 12 / 255
        assert visible.sum() >= 8, (seed, visible.sum())


@pytest.mark.parametrize("population", POPULATIONS)
@pytest.mark.parametrize("kind", ["effusion", "pneumothorax"])
def test_the_patients_left_is_on_the_right_of_the_image(kind: str, population: Population) -> None:
    left = [centre(change(seed, population, f"{kind}_left"))[0] for seed in SEEDS]
    right = [centre(change(seed, population, f"{kind}_right"))[0] for seed in SEEDS]
    assert min(left) > 0.5 > max(right)


@pytest.mark.parametrize("side", ["left", "right"])
def test_consolidations_keep_their_side_and_zone(side: str) -> None:
    upper = [centre(change(seed, "train", f"consolidation_{side}_upper")) for seed in SEEDS]
    lower = [centre(change(seed, "train", f"consolidation_{side}_lower")) for seed in SEEDS]
    assert all((x > 0.5) == (side == "left") for x, _ in [*upper, *lower])
    assert all(low - high > 0.12 for (_, high), (_, low) in zip(upper, lower, strict=True))


@pytest.mark.parametrize("label", ["effusion_left", "consolidation_right_upper", "nodule", "device"])
def test_dense_findings_are_brighter_and_air_is_darker(label: str) -> None:
    for seed in SEEDS:
        difference = change(seed, "train", label)
        assert difference[np.abs(difference) > 0.08].mean() > 0
    air = [change(seed, "train", "pneumothorax_right") for seed in SEEDS]
    assert np.mean([d[np.abs(d) > 0.03].mean() for d in air]) < 0


def test_a_large_heart_is_wider_than_every_normal_one_of_its_view() -> None:
    for view in ("AP", "PA"):
        ratios: dict[bool, list[float]] = {True: [], False: []}
        for seed in range(200):
            for large in (True, False):
                labels = frozenset({"cardiomegaly"} if large else ())
                person = draw_anatomy(np.random.default_rng(seed), "train", view, labels)
                ratios[large].append((person.heart.left + person.heart.right) / (2 * person.half_width))
        assert min(ratios[True]) > max(ratios[False]) + 0.05


@pytest.mark.parametrize("population", POPULATIONS)
def test_the_word_synthetic_is_in_the_pixels(population: Population) -> None:
    """The same white letters stand somewhere on the dark plate at the top edge of every film."""
    letters = stamp("SYNTHETIC", 11)
    inked = letters - letters.mean()
    for seed in range(12):
        top = draw_phantom(seed, population).grey8()[3 : 3 + letters.shape[0]].astype(np.float64)
        windows = np.lib.stride_tricks.sliding_window_view(top, letters.shape)[0]
        windows = windows - windows.mean(axis=(1, 2), keepdims=True)
        match = (windows * inked).sum(axis=(1, 2)) / np.sqrt((windows**2).sum(axis=(1, 2)) * (inked**2).sum() + 1e-9)
        assert match.max() > 0.9


def test_a_phantom_takes_milliseconds() -> None:
    """The training set has thousands. This thread's time, the least of ten, and ample: 30 ms where it was written."""

    def seconds(seed: int) -> float:
        start = time.thread_time()
        draw_phantom(seed)
        return time.thread_time() - start

    assert min(seconds(seed) for seed in range(10)) < 0.5


def test_the_views_differ_in_more_than_their_markers() -> None:
    """AP: higher domes, a larger heart, a softer heart border; measured on the anatomy, not on letters."""
    ap, pa = (
        [draw_anatomy(np.random.default_rng(seed), "train", view, frozenset()) for seed in range(150)]
        for view in ("AP", "PA")
    )

    def heights(people: list) -> np.ndarray:
        return np.array([p.lungs["right"].dome_y - p.lungs["right"].apex_y for p in people])

    def ratios(people: list) -> np.ndarray:
        return np.array([(p.heart.left + p.heart.right) / p.half_width for p in people])

    assert heights(ap).mean() < 0.9 * heights(pa).mean()
    assert ratios(ap).mean() > ratios(pa).mean() + 0.04

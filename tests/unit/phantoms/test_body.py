import numpy as np
import pytest

from xraygpt_core.phantoms.anatomy import Anatomy, draw_anatomy
from xraygpt_core.phantoms.body import BUILD_WEIGHTS, BUILDS, Tissue, body, draw_tissue
from xraygpt_core.phantoms.canvas import Canvas


def tissue(**changes: float | str) -> Tissue:
    plain = {
        "build": "trunk",
        "soft": 0.7,
        "lung": 0.3,
        "free_air": 0.3,
        "heart": 0.1,
        "abdomen": 0.1,
        "mottle": 0.0,
        "border": 1.0,
        "heart_border": 1.0,
        "breasts": 0.0,
        "bubble": 0.0,
    }
    return Tissue(**{**plain, **changes})  # type: ignore[arg-type]


def person() -> Anatomy:
    return draw_anatomy(np.random.default_rng(2), "train", "PA", frozenset())


def drawn(**changes: float | str) -> tuple[Canvas, np.ndarray, np.ndarray]:
    canvas = Canvas(160, 430.0, (0.0, 10.0))
    base, value = body(canvas, np.random.default_rng(0), person(), tissue(**changes))
    return canvas, base, value


@pytest.mark.parametrize("build", BUILDS)
def test_every_build_is_soft_tissue_in_the_middle(build: str) -> None:
    canvas, base, value = drawn(build=build)
    assert base.shape == value.shape == (canvas.n, canvas.n)
    assert base[canvas.n // 2, canvas.n // 2] == pytest.approx(0.7, abs=0.02)


def test_only_the_filled_build_has_no_air_beside_the_body() -> None:
    corners = {build: float(drawn(build=build)[1][2, 2]) for build in BUILDS}
    assert corners["filled"] > 0.3
    assert all(value < 0.1 for build, value in corners.items() if build != "filled")


def test_arms_stand_beside_the_trunk() -> None:
    row = 120
    bare, arms = drawn(build="trunk")[1][row], drawn(build="trunk with arms")[1][row]
    assert (arms > 0.2).sum() > (bare > 0.2).sum() + 10


def test_the_heart_is_denser_than_the_tissue_beside_it() -> None:
    canvas, base, value = drawn()
    anatomy = person()
    y = 0.5 * (anatomy.heart.waist_y + anatomy.heart.bottom_y)
    column, row = (int(v) for v in canvas.pixel((0.4 * anatomy.heart.left, y)))
    assert value[row, column] - base[row, column] == pytest.approx(0.1, abs=0.02)


def test_the_abdomen_is_denser_below_the_diaphragm_alone() -> None:
    canvas, base, value = drawn(heart=0.0)
    lung = person().lungs["right"]
    x = -lung.dome_x
    column, below = (int(v) for v in canvas.pixel((x, lung.dome_y + 12)))
    _, above = (int(v) for v in canvas.pixel((x, lung.dome_y - 12)))
    assert value[below, column] - base[below, column] == pytest.approx(0.1, abs=0.01)
    assert value[above, column] == pytest.approx(base[above, column], abs=0.01)


def test_the_stomach_bubble_is_dark_and_on_the_patients_left() -> None:
    canvas, _, without = drawn()
    _, _, with_it = drawn(bubble=0.3)
    taken = without - with_it
    _, columns = np.nonzero(taken > 0.1)
    assert taken.max() == pytest.approx(0.3, abs=0.02)
    assert columns.min() > canvas.n / 2


def test_breasts_lie_on_both_sides_and_leave_no_edge() -> None:
    _, _, without = drawn()
    canvas, _, with_them = drawn(breasts=0.1)
    added = with_them - without
    assert added[:, : canvas.n // 2].max() == pytest.approx(added[:, canvas.n // 2 :].max(), abs=0.01)
    assert np.abs(np.diff(added, axis=0)).max() < 0.02


def test_films_differ_in_their_tissue_and_ap_hearts_have_softer_borders() -> None:
    ap, pa = (
        [draw_tissue(np.random.default_rng(seed), view) for seed in range(200)]  # type: ignore[arg-type]
        for view in ("AP", "PA")
    )
    assert min(t.heart_border for t in ap) > max(t.heart_border for t in pa)
    assert np.mean([t.bubble > 0 for t in pa]) > np.mean([t.bubble > 0 for t in ap]) + 0.2
    assert {t.build for t in pa} == set(BUILDS)
    assert sum(BUILD_WEIGHTS) == pytest.approx(1.0)


def test_free_air_is_always_darker_than_lung() -> None:
    drawn_tissue = [draw_tissue(np.random.default_rng(seed), "PA") for seed in range(200)]
    assert all(t.free_air <= 0.5 for t in drawn_tissue)
    assert all(t.lung <= 0.5 for t in drawn_tissue)

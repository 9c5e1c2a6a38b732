import numpy as np
import pytest

from xraygpt_core.phantoms import anatomy, film
from xraygpt_core.phantoms.anatomy import Span, draw_anatomy

SPANS = {
    **{name: value for name, value in vars(anatomy).items() if isinstance(value, Span)},
    **{name: value for name, value in vars(film).items() if isinstance(value, Span)},
}


def person(
    seed: int, view: str = "PA", labels: frozenset[str] = frozenset(), population: str = "train"
) -> anatomy.Anatomy:
    return draw_anatomy(np.random.default_rng(seed), population, view, labels)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", sorted(SPANS))
def test_held_out_values_lie_outside_the_training_range_and_never_in_it(name: str) -> None:
    span = SPANS[name]
    rng = np.random.default_rng(5)
    train = [span.draw(rng, "train") for _ in range(300)]
    held_out = [span.draw(rng, "held_out") for _ in range(300)]
    assert all(span.low <= value <= span.high for value in train)
    assert all(span.below <= value < span.low or span.high <= value <= span.above for value in held_out)


@pytest.mark.parametrize("name", sorted(SPANS))
def test_held_out_values_come_from_every_side_there_is(name: str) -> None:
    span = SPANS[name]
    rng = np.random.default_rng(6)
    held_out = [span.draw(rng, "held_out") for _ in range(400)]
    assert any(value < span.low for value in held_out) == (span.below < span.low)
    assert any(value > span.high for value in held_out) == (span.above > span.high)


def test_anatomy_exposure_and_geometry_all_have_held_out_ranges() -> None:
    assert {"HALF_WIDTH", "LUNG_HEIGHT", "RIB_SPACING", "GAMMA", "NOISE", "TURN", "FIELD", "SHIFT"} <= set(SPANS)


@pytest.mark.parametrize("view", ["AP", "PA"])
@pytest.mark.parametrize("population", ["train", "held_out"])
def test_the_lung_is_between_the_heart_and_the_wall(view: str, population: str) -> None:
    for seed in range(100):
        body = person(seed, view, population=population)
        for side, lung in body.lungs.items():
            y = np.linspace(lung.level(0.2), lung.level(0.9), 20)
            room = lung.wall(y) - body.heart.border(y, side)
            assert room.min() > 8.0


def test_even_a_large_heart_leaves_room_for_the_lower_zone_that_must_show() -> None:
    labels = frozenset({"cardiomegaly", "consolidation_left_lower"})
    for seed in range(200):
        body = person(seed, "AP", labels)
        y = body.lungs["left"].level(0.75)
        assert float(body.lungs["left"].wall(y)) - float(body.heart.border(y, "left")) > 20.0


def test_the_left_heart_reaches_further_than_the_right() -> None:
    for seed in range(100):
        heart = person(seed).heart
        assert heart.left > heart.right


def test_there_is_no_wall_above_the_apex() -> None:
    lung = person(1).lungs["right"]
    assert float(lung.wall(lung.apex_y - 5)) < -100
    assert float(lung.wall(lung.apex_y + 20)) > 20


def test_a_collapsed_lung_is_inside_the_expanded_one() -> None:
    for seed in range(50):
        lung = person(seed).lungs["left"]
        y = np.linspace(lung.apex_y + 60, lung.angle_y, 30)
        assert np.all(lung.wall(y, inset=25.0) < lung.wall(y))


def test_the_diaphragm_is_highest_at_its_dome_and_lowest_at_the_angle() -> None:
    lung = person(3).lungs["right"]
    x = np.linspace(0, lung.width, 200)
    floor = lung.floor(x)
    assert abs(float(x[floor.argmin()]) - lung.dome_x) < 2.0
    assert floor[-1] > lung.dome_y + 0.6 * lung.angle_drop


def test_levels_run_from_apex_to_dome() -> None:
    lung = person(4).lungs["left"]
    assert lung.level(0.0) == lung.apex_y
    assert lung.level(1.0) == pytest.approx(lung.dome_y)

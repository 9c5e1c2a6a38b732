import numpy as np
import pytest

from xraygpt_core.phantoms.canvas import MARGIN, Canvas, Pen, curve, inside


@pytest.fixture
def canvas() -> Canvas:
    return Canvas(200, 400.0, (10.0, -20.0))


def test_the_canvas_is_larger_than_the_film_and_even(canvas: Canvas) -> None:
    assert 200 < canvas.n <= 200 * MARGIN
    assert canvas.n % 2 == 0


def test_axes_and_pixels_agree(canvas: Canvas) -> None:
    assert canvas.pixel((10.0, -20.0)) == pytest.approx((canvas.n / 2, canvas.n / 2))
    x, y = float(canvas.x[0, 30]), float(canvas.y[40, 0])
    assert canvas.pixel((x, y)) == pytest.approx((30.5, 40.5), abs=1e-3)
    assert canvas.pixels([(x, y), (10.0, -20.0)]) == pytest.approx([30.5, 40.5, canvas.n / 2, canvas.n / 2], abs=1e-3)


def test_the_coarse_canvas_covers_the_same_square(canvas: Canvas) -> None:
    coarse = canvas.coarse()
    assert coarse.n == canvas.n // 2
    assert coarse.mm == 2 * canvas.mm
    assert coarse.pixel((50.0, 60.0)) == pytest.approx([v / 2 for v in canvas.pixel((50.0, 60.0))])
    assert float(coarse.x[0, 0]) == pytest.approx(float(canvas.x[0, :2].mean()), abs=1e-4)


def test_what_is_drawn_coarsely_is_in_the_same_place_when_enlarged(canvas: Canvas) -> None:
    coarse = canvas.coarse()
    blob = inside(30.0 - np.hypot(coarse.x - 40.0, coarse.y + 50.0), 3.0)
    large = canvas.enlarge(blob)
    rows, columns = np.nonzero(large > 0.5)
    assert float(canvas.x[0, columns].mean()) == pytest.approx(40.0, abs=1.0)
    assert float(canvas.y[rows, 0].mean()) == pytest.approx(-50.0, abs=1.0)


def test_a_layer_holds_what_the_pen_drew(canvas: Canvas) -> None:
    def paint(pen: Pen) -> None:
        pen.line([(-50, 0), (50, 0)], 8.0, 0.5)
        pen.ellipse((0, 60), (10, 10), 1.0)
        pen.ellipse((60, 60), (20, 20), 1.0, ring_mm=4.0)
        pen.box((-60, -60), (20, 10), 2.0, 0.25)
        pen.polygon([(60, -60), (90, -60), (75, -90)], 0.75)

    layer = canvas.layer(paint)
    assert layer.shape == (canvas.n, canvas.n)

    def at(x: float, y: float) -> float:
        column, row = (int(v) for v in canvas.pixel((x, y)))
        return float(layer[row, column])

    assert at(0, 0) == pytest.approx(0.5, abs=0.01)
    assert at(0, 60) == 1.0
    assert at(60, 60) == 0.0  # the ring is hollow
    assert at(60, 42) == 1.0
    assert at(-60, -60) == pytest.approx(0.25, abs=0.01)
    assert at(75, -70) == pytest.approx(0.75, abs=0.01)
    assert at(-90, 90) == 0.0


def test_inside_is_a_smooth_step() -> None:
    distance = np.array([-10, -2, -1, 0, 1, 2, 10], dtype=np.float32)
    step = inside(distance, 2.0)
    assert step[[0, 1]].tolist() == [0.0, 0.0]
    assert step[[5, 6]].tolist() == [1.0, 1.0]
    assert step[3] == pytest.approx(0.5)
    assert np.all(np.diff(step) >= 0)
    assert distance.tolist() == [-10, -2, -1, 0, 1, 2, 10]


def test_a_curve_starts_and_ends_at_its_ends() -> None:
    line = curve([(0, 0), (5, 10), (20, 3)], steps=9)
    assert len(line) == 9
    assert line[0] == pytest.approx((0, 0))
    assert line[-1] == pytest.approx((20, 3))


def test_a_curve_through_two_points_is_straight() -> None:
    line = np.array(curve([(0, 0), (10, 20)], steps=5))
    assert np.allclose(line[:, 1], 2 * line[:, 0])


def test_clouds_are_smooth_and_repeatable(canvas: Canvas) -> None:
    one = canvas.clouds(np.random.default_rng(3), 12)
    assert np.array_equal(one, canvas.clouds(np.random.default_rng(3), 12))
    assert abs(float(one.mean())) < 0.3
    assert float(np.abs(np.diff(one, axis=0)).max()) < 0.5

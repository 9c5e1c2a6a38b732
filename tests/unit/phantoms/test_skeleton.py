import numpy as np
import pytest

from xraygpt_core.phantoms.anatomy import Anatomy, draw_anatomy
from xraygpt_core.phantoms.canvas import Canvas
from xraygpt_core.phantoms.skeleton import BoneLook, bones, draw_look, vessels

PLAIN = BoneLook(ribs=0.1, front_ribs=0.05, clavicles=0.1, scapulae=0.1, spine=0.1, vessels=0.1, rib_width=8.0)


def person(view: str = "PA") -> Anatomy:
    return draw_anatomy(np.random.default_rng(4), "train", view, frozenset())  # type: ignore[arg-type]


def skeleton(look: BoneLook, view: str = "PA") -> tuple[Canvas, np.ndarray]:
    canvas = Canvas(224, 420.0, (0.0, 10.0))
    return canvas, bones(canvas, np.random.default_rng(1), person(view), look)


def without(**parts: float) -> BoneLook:
    return BoneLook(**{**vars(PLAIN), **parts})


def test_bones_only_add() -> None:
    canvas, added = skeleton(PLAIN)
    assert added.shape == (canvas.n, canvas.n)
    assert added.min() >= 0.0
    assert added.max() < 0.5


def test_the_spine_is_in_the_midline() -> None:
    canvas, added = skeleton(without(ribs=0.0, clavicles=1e-6, scapulae=1e-6))
    columns = np.nonzero(added > 0.05)[1]
    assert columns.mean() == pytest.approx(float(canvas.pixel((0.0, 0.0))[0]), abs=6.0)
    assert (columns.max() - columns.min()) * canvas.mm < 60


def test_ten_ribs_cross_each_lung() -> None:
    canvas, added = skeleton(without(front_ribs=0.0, clavicles=1e-6, scapulae=1e-6, spine=0.0))
    column = int(canvas.pixel((-60.0, 0.0))[0])
    inside = added[:, column] > 0.03
    assert 8 <= np.sum(np.diff(inside.astype(int)) == 1) <= 22  # ten arcs; a marrow cavity may split one in two


def test_a_film_without_ribs_has_none() -> None:
    _, added = skeleton(without(ribs=0.0, clavicles=1e-6, scapulae=1e-6, spine=0.0))
    assert added.max() < 1e-3


def test_scapulae_lie_over_the_lungs_in_ap_films_alone() -> None:
    reach = {}
    for view in ("AP", "PA"):
        canvas, added = skeleton(without(ribs=0.0, clavicles=1e-6, spine=0.0), view)
        columns = np.nonzero(added > 0.02)[1]
        reach[view] = np.abs((columns + 0.5) * canvas.mm + canvas.left).min() / person(view).half_width
    assert reach["AP"] < 0.85
    assert reach["PA"] > 0.99


def test_vessels_leave_from_both_hila() -> None:
    canvas = Canvas(224, 420.0, (0.0, 10.0))
    added = vessels(canvas, np.random.default_rng(3), person(), PLAIN)
    columns = np.nonzero(added > 0.02)[1] - canvas.n / 2
    assert (columns > 0).sum() > 200
    assert (columns < 0).sum() > 200
    assert np.abs(columns).min() * canvas.mm > 5


def test_looks_range_from_no_ribs_to_hard_ones() -> None:
    looks = [draw_look(np.random.default_rng(seed)) for seed in range(300)]
    assert min(look.ribs for look in looks) == 0.0
    assert max(look.ribs for look in looks) > 0.11
    assert all(look.front_ribs <= look.ribs for look in looks)

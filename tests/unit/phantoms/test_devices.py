import numpy as np
import pytest

from xraygpt_core.phantoms.anatomy import draw_anatomy
from xraygpt_core.phantoms.canvas import Canvas
from xraygpt_core.phantoms.devices import PAINTERS, WEIGHTS, choose_devices, devices


@pytest.mark.parametrize("name", sorted(PAINTERS))
def test_every_device_shows_and_stays_small(name: str) -> None:
    canvas = Canvas(224, 400.0, (0.0, 10.0))
    for seed in range(6):
        rng = np.random.default_rng(seed)
        layer = devices(canvas, rng, draw_anatomy(rng, "train", "PA", frozenset()), (name,))
        assert layer.min() == 0.0
        assert layer.max() > 0.2
        assert 15 < (layer > 0.1).sum() < 0.12 * layer.size


def test_no_device_is_no_change() -> None:
    canvas = Canvas(128, 400.0, (0.0, 0.0))
    rng = np.random.default_rng(0)
    assert not devices(canvas, rng, draw_anatomy(rng, "train", "AP", frozenset()), ()).any()


def test_all_devices_are_chosen_and_never_twice_on_one_film() -> None:
    rng = np.random.default_rng(1)
    chosen = [choose_devices(rng) for _ in range(600)]
    assert {name for names in chosen for name in names} == set(PAINTERS)
    assert all(len(set(names)) == len(names) in (1, 2) for names in chosen)


def test_the_weights_are_a_distribution_over_all_devices() -> None:
    assert len(WEIGHTS) == len(PAINTERS)
    assert sum(WEIGHTS) == pytest.approx(1.0)

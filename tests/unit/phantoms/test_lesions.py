import itertools

import numpy as np
import pytest

from xraygpt_core.phantoms.anatomy import Anatomy, draw_anatomy
from xraygpt_core.phantoms.canvas import Canvas
from xraygpt_core.phantoms.findings import LABELS, SIDES
from xraygpt_core.phantoms.lesions import Lesions, Nodule, Opacity, add_nodule, draw_lesions, opacity_mask


def drawn(seed: int, *labels: str, population: str = "train") -> tuple[Anatomy, Lesions]:
    rng = np.random.default_rng(seed)
    person = draw_anatomy(rng, population, "AP" if seed % 2 else "PA", frozenset(labels))  # type: ignore[arg-type]
    return person, draw_lesions(rng, person, frozenset(labels))


def test_every_label_has_its_lesion_and_no_other() -> None:
    for seed in range(60):
        rng = np.random.default_rng(seed)
        labels = {label for label in LABELS if rng.random() < 0.4}
        _, lesions = drawn(seed, *labels)
        assert {f"pneumothorax_{side}" for side in lesions.collapse} == {x for x in labels if "pneumo" in x}
        assert {f"effusion_{side}" for side in lesions.effusions} == {x for x in labels if "effusion" in x}
        assert len(lesions.opacities) == sum("consolidation" in label for label in labels)
        assert bool(lesions.nodules) == ("nodule" in labels)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("population", ["train", "held_out"])
def test_an_effusion_never_drowns_a_consolidation_of_its_side(side: str, population: str) -> None:
    zones = [f"consolidation_{side}_upper", f"consolidation_{side}_lower"]
    for seed in range(150):
        _, lesions = drawn(seed, f"effusion_{side}", *zones, population=population)
        for opacity in lesions.opacities:
            assert opacity.centre[1] < lesions.effusions[side].level - 15


@pytest.mark.parametrize("side", SIDES)
def test_a_pneumothorax_leaves_the_consolidated_lung_its_place(side: str) -> None:
    for seed in range(150):
        person, lesions = drawn(
            seed, f"pneumothorax_{side}", f"consolidation_{side}_upper", f"consolidation_{side}_lower"
        )
        lung, collapse = person.lungs[side], lesions.collapse[side]
        for opacity in lesions.opacities:
            x, y = opacity.centre
            assert x < float(lung.wall(y)) - float(collapse.inset(y, lung))
            assert y > lung.apex_y + collapse.rim


def test_zones_do_not_meet() -> None:
    for seed in range(150):
        person, lesions = drawn(seed, "consolidation_left_upper", "consolidation_left_lower")
        upper, lower = lesions.opacities
        lung = person.lungs["left"]
        assert upper.centre[1] <= lung.level(0.42)
        assert lower.centre[1] >= lung.level(0.55)


def test_pneumothorax_rims_range_from_narrow_to_wide() -> None:
    rims = [drawn(seed, "pneumothorax_left")[1].collapse["left"].rim for seed in range(200)]
    assert min(rims) > 9
    assert min(rims) < 18
    assert max(rims) > 45


def test_effusions_range_from_a_blunted_angle_to_mid_chest() -> None:
    depths = []
    for seed in range(200):
        person, lesions = drawn(seed, "effusion_right")
        depths.append(person.lungs["right"].angle_y - lesions.effusions["right"].level)
    assert min(depths) > 20
    assert min(depths) < 50
    assert max(depths) > 100


def test_fluid_under_air_is_often_level() -> None:
    flat = [drawn(seed, "effusion_left", "pneumothorax_left")[1].effusions["left"].bend == 0 for seed in range(200)]
    curved = [drawn(seed, "effusion_left")[1].effusions["left"].bend == 0 for seed in range(200)]
    assert 0.4 < np.mean(flat) < 0.8
    assert not any(curved)


@pytest.mark.parametrize("extra", [(), ("consolidation_left_upper", "consolidation_right_lower", "pneumothorax_left")])
def test_nodules_are_6_to_30_mm_and_lie_in_lung(extra: tuple[str, ...]) -> None:
    for seed in range(120):
        person, lesions = drawn(seed, "nodule", *extra)
        for nodule in lesions.nodules:
            x, y = nodule.centre
            side = "left" if x > 0 else "right"
            assert 3.0 <= nodule.radius <= 15.0
            assert float(person.heart.border(y, side)) < abs(x) < float(person.lungs[side].wall(y))


def test_nodules_keep_away_from_consolidations() -> None:
    clear = []
    for seed in range(120):
        _, lesions = drawn(seed, "nodule", "consolidation_left_upper", "consolidation_right_lower")
        for nodule, opacity in itertools.product(lesions.nodules, lesions.opacities):
            same_side = (nodule.centre[0] > 0) == (opacity.side == "left")
            off = np.hypot(
                (abs(nodule.centre[0]) - opacity.centre[0]) / opacity.radii[0],
                (nodule.centre[1] - opacity.centre[1]) / opacity.radii[1],
            )
            clear.append(not same_side or off > 1.0)
    assert np.mean(clear) == 1.0


def test_a_small_consolidation_is_not_round_and_sharp_like_a_nodule() -> None:
    for seed in range(300):
        _, lesions = drawn(seed, "cardiomegaly", "consolidation_left_lower")
        (opacity,) = lesions.opacities
        if opacity.radii[0] < 24:
            assert opacity.edge > 0.4
            assert opacity.lumps > 0.2
            assert opacity.radii[1] > 1.3 * opacity.radii[0]


def test_an_opacity_is_dense_at_its_centre_and_gone_far_away() -> None:
    canvas = Canvas(128, 400.0, (0.0, 0.0))
    opacity = Opacity("left", (60.0, 20.0), (30.0, 30.0), 0.8, 0.3, 0.0, 0.0, fissure=False)
    mask = opacity_mask(canvas, np.random.default_rng(0), opacity, sign=1.0)
    column, row = (round(v) for v in canvas.pixel((60.0, 20.0)))
    assert mask[row, column] == pytest.approx(0.8)
    assert mask[:, : canvas.n // 2].max() == 0.0


def test_a_nodule_touches_only_its_own_pixels() -> None:
    canvas = Canvas(200, 400.0, (0.0, 0.0))
    value = np.zeros((canvas.n, canvas.n), dtype=np.float32)
    add_nodule(canvas, value, Nodule((-50.0, 30.0), 6.0, 0.4, 0.8))
    rows, columns = np.nonzero(value)
    assert value.max() == pytest.approx(0.4, abs=0.02)
    assert np.abs((columns.mean() - canvas.n / 2) * canvas.mm + 50.0) < 2.0
    assert (rows.max() - rows.min()) * canvas.mm < 18.0


def test_a_nodule_beyond_the_edge_is_no_error() -> None:
    canvas = Canvas(128, 400.0, (0.0, 0.0))
    value = np.zeros((canvas.n, canvas.n), dtype=np.float32)
    add_nodule(canvas, value, Nodule((-900.0, 0.0), 6.0, 0.4, 0.8))
    assert not value.any()

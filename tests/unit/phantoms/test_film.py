import numpy as np
import pytest

from xraygpt_core.phantoms.film import Exposure, collimate, draw_exposure, expose, mark, quantise, stamp


def exposure(**changes: float) -> Exposure:
    plain = {
        "field": 1.3,
        "centre": (0.0, 0.0),
        "turn": 0.0,
        "gamma": 1.0,
        "noise": 0.0,
        "sharpness": 1.0,
        "floor": 0.0,
        "ceiling": 1.0,
        "vignette": 0.0,
        "bits": 12,
    }
    return Exposure(**{**plain, **changes})  # type: ignore[arg-type]


def scene() -> np.ndarray:
    attenuation = np.full((144, 144), 0.5, dtype=np.float32)
    attenuation[40:60, 90:110] = 0.9
    return attenuation


def film(**changes: float) -> np.ndarray:
    return expose(scene(), np.random.default_rng(0), exposure(**changes), 128)


def test_a_plain_exposure_cuts_out_the_middle() -> None:
    assert np.allclose(film(), scene()[8:136, 8:136], atol=1e-3)


def test_dense_is_bright_and_window_and_gamma_keep_the_order() -> None:
    for changes in ({"gamma": 0.7}, {"gamma": 1.5}, {"floor": -0.1, "ceiling": 1.3}):
        out = film(**changes)
        assert out[40, 90] > out[5, 5]
        assert 0.0 <= out.min() <= out.max() <= 1.0


def test_a_low_gamma_is_brighter() -> None:
    assert film(gamma=0.7).mean() > film(gamma=1.0).mean() > film(gamma=1.4).mean()


def test_turning_moves_what_is_off_centre_and_keeps_the_middle() -> None:
    turned = film(turn=6.0)
    assert turned[64, 64] == pytest.approx(0.5, abs=1e-3)
    columns = [np.argwhere(image > 0.7).mean(axis=0)[1] for image in (film(), turned)]
    assert abs(columns[0] - columns[1]) > 1.0


def test_noise_is_as_strong_as_asked_on_the_detector() -> None:
    weak, strong = (film(noise=n)[:30, :30].std() for n in (0.005, 0.02))
    assert strong == pytest.approx(4 * weak, rel=0.2)


def test_a_coarse_detector_blurs_edges() -> None:
    sharp = np.abs(np.diff(film(), axis=1)).max()
    assert np.abs(np.diff(film(sharpness=0.45), axis=1)).max() < 0.8 * sharp


def test_a_vignette_darkens_the_corners_alone() -> None:
    out = film(vignette=0.3)
    assert out[0, 0] < 0.8 * out[64, 30]
    assert out[64, 64] == pytest.approx(0.5, abs=0.01)


def test_the_source_is_not_changed() -> None:
    source = scene()
    expose(source, np.random.default_rng(0), exposure(gamma=2.0, noise=0.1), 128)
    assert np.array_equal(source, scene())


@pytest.mark.parametrize("view", ["AP", "PA"])
def test_exposures_vary(view: str) -> None:
    drawn = [draw_exposure(np.random.default_rng(seed), "train", view) for seed in range(60)]  # type: ignore[arg-type]
    assert len({e.bits for e in drawn}) >= 4
    assert np.std([e.gamma for e in drawn]) > 0.1
    assert {e.vignette > 0 for e in drawn} == {True, False}


def test_portable_films_are_noisier_and_more_often_collimated() -> None:
    noise = {
        view: np.mean([draw_exposure(np.random.default_rng(s), "train", view).noise for s in range(80)])  # type: ignore[arg-type]
        for view in ("AP", "PA")
    }
    assert noise["AP"] > 1.2 * noise["PA"]
    cut = {}
    for view in ("AP", "PA"):
        dark = []
        for seed in range(200):
            image = np.ones((64, 64), dtype=np.float32)
            collimate(image, np.random.default_rng(seed), view)  # type: ignore[arg-type]
            dark.append(bool((image < 0.5).any()))
        cut[view] = np.mean(dark)
    assert cut["AP"] > cut["PA"] + 0.1


def test_collimation_spares_the_middle() -> None:
    for seed in range(60):
        image = np.ones((100, 100), dtype=np.float32)
        collimate(image, np.random.default_rng(seed), "AP")
        assert image[12:88, 12:88].min() == 1.0


def test_marks_write_on_the_top_edge_and_leave_the_chest_alone() -> None:
    for seed in range(40):
        image = np.full((300, 300), 0.5, dtype=np.float32)
        mark(image, np.random.default_rng(seed), "PA")
        assert image[:14].max() > 0.9
        assert np.all(image[90:] == 0.5)


def test_a_stamp_cannot_be_changed_by_its_users() -> None:
    with pytest.raises(ValueError, match="read-only"):
        stamp("L", 20)[0, 0] = 1.0


@pytest.mark.parametrize("bits", [8, 12, 15])
def test_stored_values_use_the_whole_range_and_no_more(bits: int) -> None:
    values = quantise(np.array([[-0.5, 0.0, 0.5, 1.0, 2.0]], dtype=np.float32), bits)
    assert values.dtype == np.uint16
    assert values.tolist() == [[0, 0, round((2**bits - 1) / 2), 2**bits - 1, 2**bits - 1]]

"""Noise is no picture, and what was decoded wrongly is no film; real ones pass."""

import hashlib
import sys
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from tests.support.broken_pixels import HELD, SET, plate, stored, stretch, window
from xraygpt_core.dicom import plausible
from xraygpt_core.dicom.normalise import normalise
from xraygpt_core.errors import Rejected
from xraygpt_core.phantoms.draw import draw_phantom
from xraygpt_core.states import Flag, ReasonCode

WINDOW = {"WindowCenter": 2048, "WindowWidth": 4096}
# Kinds that no measure sees, or not in most films; benchmarks/RESULTS.md has how many.
UNSEEN = {"a JPEG with bytes lost", "rows exchanged in pairs", "eight bands in another order"}
SEEN_AT_TIMES = {"brightness overflows", "lower half repeats its first row", "wrong sign, window"}


@pytest.fixture(scope="module")
def phantoms():
    drawn = (draw_phantom(seed, "held_out", side=256) for seed in range(3))
    return [(each.pixels >> (each.bits_stored - 8)).astype(np.uint8) for each in drawn]


def verdict(values, grey):
    """The reason, or the doubts."""
    try:
        plausible.refuse_noise(values)
    except Rejected as rejection:
        return (rejection.reason.value,)
    return plausible.doubts(grey)


def reason(data, limits):
    with pytest.raises(Rejected) as caught:
        normalise(data, limits)
    return caught.value.reason


def test_an_unexposed_plate_is_blank():
    outcomes = [verdict(values, stretch(values)[1]) for values in map(plate, range(12))]
    assert all(outcomes)
    assert outcomes.count(("blank",)) >= 11  # a steep fall-off inside a collimator looks like structure, and is doubted


@pytest.mark.parametrize("header", [{}, WINDOW, {"WindowCenter": 500, "WindowWidth": 9}])
@pytest.mark.parametrize("marker", [0, 4000])
def test_a_plate_is_blank_whatever_its_header_says(make_dicom, limits, header, marker):
    noise = np.random.default_rng(3).normal(900, 9, (280, 260)).astype(np.uint16)
    if marker:
        noise[200:240, 20:50] = marker
    for photometric in ("MONOCHROME1", "MONOCHROME2"):
        data = make_dicom(noise, PhotometricInterpretation=photometric, **header)
        assert reason(data, limits) is ReasonCode.BLANK


@pytest.mark.parametrize("covered", [0, 4095])
@pytest.mark.parametrize("breadth", [1, 9, 60])
def test_a_plate_within_a_round_or_slanted_collimator_is_blank(make_dicom, limits, covered, breadth):
    down, across = np.mgrid[-1:1:280j, -1:1:260j]
    noise = np.random.default_rng(5).normal(900, breadth, down.shape)
    for inside in (np.hypot(down, across) < 0.9, np.abs(down + 0.3 * across) + np.abs(across) < 1.1):
        plate = np.where(inside, noise, covered).astype(np.uint16)
        assert reason(make_dicom(plate), limits) is ReasonCode.BLANK


def test_a_plate_of_signed_values_is_blank(make_dicom, limits):
    noise = np.random.default_rng(4).normal(-700, 3, (280, 260)).astype(np.int16)
    assert reason(make_dicom(noise, BitsStored=16, HighBit=15), limits) is ReasonCode.BLANK


def test_a_constant_plate_with_a_marker_is_blank(make_dicom, limits):
    plain = np.full((280, 260), 900, np.uint16)
    plain[200:240, 20:50] = 4000
    assert reason(make_dicom(plain), limits) is ReasonCode.BLANK


def test_a_plate_of_little_noise_and_several_markers_is_blank(make_dicom, limits):
    values = np.random.default_rng(8).normal(900, 0.4, (256, 240)).round().astype(np.uint16)
    for top, left in ((10, 10), (40, 180), (120, 90), (200, 20), (210, 190)):
        values[top : top + 30, left : left + 20] = 4000
    assert reason(make_dicom(values), limits) is ReasonCode.BLANK


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_picture_of_a_plate_is_blank(limits, kind):
    buffer = BytesIO()
    Image.fromarray(np.random.default_rng(5).normal(90, 9, (300, 300)).astype(np.uint8)).save(buffer, kind)
    assert reason(buffer.getvalue(), limits) is ReasonCode.BLANK


def test_noise_over_the_whole_range_is_no_plate_but_was_not_decoded(make_dicom, limits):
    chance = np.random.default_rng(6).integers(0, 4096, (280, 260)).astype(np.uint16)
    assert reason(make_dicom(chance), limits) is ReasonCode.UNDECODABLE


@pytest.mark.parametrize("kind", sorted({**SET, **HELD}.keys() - UNSEEN))
def test_a_film_that_was_decoded_wrongly_is_doubted(phantoms, kind):
    found = []
    for seed, grey in enumerate(phantoms):
        read = {**SET, **HELD}[kind](stored(grey, seed), np.random.default_rng(seed))
        found.append(bool(verdict(*read)))
    assert all(found) or (any(found) and kind in SEEN_AT_TIMES)


def test_a_doubtful_film_is_accepted_and_flagged(make_dicom, limits, film):
    image = normalise(make_dicom(film, WindowCenter=32768, WindowWidth=65535), limits)
    assert Flag.IMPLAUSIBLE_PIXELS in image.flags


def test_a_phantom_is_plausible(phantoms):
    assert [verdict(grey, grey) for grey in phantoms] == [()] * 3


@pytest.mark.parametrize(("contrast", "sigma"), [(0.35, 1), (1, 8), (0.6, 5)])
def test_a_film_of_low_contrast_or_much_noise_is_plausible(phantoms, contrast, sigma):
    for seed, grey in enumerate(phantoms):
        noise = np.random.default_rng(seed).normal(0, sigma, grey.shape)
        seen = np.clip((grey - 128.0) * contrast + 128 + noise, 0, 255).astype(np.uint8)
        assert verdict(seen, seen) == ()


def test_a_film_in_the_middle_of_a_wide_black_frame_is_plausible(phantoms):
    framed = np.zeros((400, 420), np.uint8)
    framed[70:326, 80:336] = phantoms[0]
    assert verdict(framed, framed) == ()


def test_gaps_in_the_histogram_are_no_doubt(phantoms):
    for grey in phantoms:
        combed = (grey // 3 * 3).astype(np.uint8)
        assert verdict(combed, combed) == ()


def test_a_narrow_window_does_not_make_a_film_blank(phantoms):
    """The stored values have the structure that the window hides; so it is shown, and doubted."""
    values = stored(phantoms[0], 0)
    assert verdict(*window(values, float(np.percentile(values, 99)), 20))[0] not in ("blank", "undecodable")


@pytest.mark.parametrize("shape", [(224, 224), (225, 3000), (3000, 225), (2048, 2048)])
def test_every_accepted_shape_is_measured(shape):
    ramp = (np.add.outer(np.arange(shape[0]), np.arange(shape[1])) % 256).astype(np.uint8)
    assert set(plausible.measures(ramp)) == {*plausible.AT_LEAST, *plausible.AT_MOST}


@pytest.mark.long
def test_figures_on_all_real_films_and_all_kinds_of_damage(shared_data, capsys):
    """Prints what benchmarks/RESULTS.md quotes."""
    names = sorted(path.relative_to(shared_data) for path in (shared_data / "images").rglob("*.jpg"))
    halves = {0: [], 1: []}
    for name in names:
        halves[hashlib.sha256(str(name).encode()).digest()[0] % 2].append(name)
    lines = []
    for half, films in halves.items():
        found = [verdict(grey, grey) for grey in (film(shared_data / name) for name in films)]
        refused = sum(one[:1] in (("blank",), ("undecodable",)) for one in found)
        flagged = sum(bool(one) for one in found) - refused
        lines.append(f"real pictures, half {half}: {refused} refused, {flagged} flagged of {len(films)}")
        assert refused == 0
        assert flagged <= 0.01 * len(films)
        for title, kinds in (("set", SET), ("held out", HELD)):
            caught = dict.fromkeys(kinds, 0)
            some = films[::33]
            for kind, damage in kinds.items():
                for name in some:
                    seed = int.from_bytes(hashlib.sha256(f"{name} {kind}".encode()).digest()[:4])
                    read = damage(stored(film(shared_data / name), seed), np.random.default_rng(seed))
                    caught[kind] += bool(verdict(*read))
            total = sum(caught.values())
            share = total / (len(some) * len(kinds))
            lines.append(f"kinds {title}, films of half {half}: {total} of {len(some) * len(kinds)} ({share:.1%})")
            lines += [f"    {kind}: {n} of {len(some)}" for kind, n in caught.items() if n < len(some)]
    plates = [plate(seed) for seed in range(1000, 1200)]
    outcomes = [verdict(values, stretch(values)[1]) for values in plates]
    blank = outcomes.count(("blank",))
    lines.append(f"unexposed plates: {blank} blank, {sum(map(bool, outcomes)) - blank} flagged of {len(plates)}")
    with capsys.disabled():
        sys.stdout.write("\n".join(["", *lines, ""]))


def film(path):
    return np.asarray(Image.open(path).convert("L"))

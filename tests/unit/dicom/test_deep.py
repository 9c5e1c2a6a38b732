"""The 16-bit copy: the film's own values, in the sense and position of its 8-bit picture."""

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom.dataset import Dataset

from xraygpt_core.dicom.deep import deep_values
from xraygpt_core.dicom.normalise import normalise
from xraygpt_core.dicom.png import chunks
from xraygpt_core.dicom.transforms import Mapped, window
from xraygpt_core.dicom.types import DeepCopy, Limits, NormalisedImage

LIMITS = Limits(max_pixels=64_000_000, decode_seconds=30, decode_memory_bytes=2**31)
INVERTED = {"PhotometricInterpretation": "MONOCHROME1"}


def pixels(png):
    return np.asarray(Image.open(BytesIO(png))).astype(np.float64)


def read(data: bytes) -> tuple[NormalisedImage, DeepCopy]:
    image = normalise(data, LIMITS, deep=True)
    assert image.deep is not None
    assert pixels(image.deep.png).shape == pixels(image.normalised_png).shape
    return image, image.deep


def own(copy: DeepCopy):
    """The film's own values, as a reader gets them back."""
    first, step = copy.scale
    return first + step * pixels(copy.png)


def windowed(copy: DeepCopy):
    """What the copy shows in the window that it names, as the desk does it (LINEAR_EXACT)."""
    centre, width = copy.window
    level = (own(copy) - centre) / width
    return 255 * np.clip((level if copy.scale[1] > 0 else -level) + 0.5, 0, 1)


def png(array):
    buffer = BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def table(count, first, bits, entries):
    item = Dataset()
    item.add_new(0x00283002, "US", [count, first, bits])
    item.add_new(0x00283006, "US", [int(entry) for entry in entries])
    return item


def test_every_value_of_a_12_bit_film_comes_back(make_dicom, film):
    image, copy = read(make_dicom())
    assert np.array_equal(own(copy), film)
    assert len(np.unique(own(copy))) > 2000 > len(np.unique(pixels(image.normalised_png)))


def test_a_monochrome1_film_is_bright_where_its_values_are_low(make_dicom, film):
    image, copy = read(make_dicom(**INVERTED))
    assert np.array_equal(own(copy), film)
    assert copy.scale[1] == -1
    order = np.argsort(pixels(copy.png), axis=None)
    assert (np.diff(pixels(image.normalised_png).ravel()[order]) >= 0).all()


def test_a_signed_16_bit_film_comes_back_in_its_rescaled_values(make_dicom, film):
    stored = (film.astype(np.int32) * 16 - 32768).clip(-32768, 32767).astype(np.int16)
    _, copy = read(make_dicom(stored, BitsStored=16, HighBit=15, RescaleSlope="2", RescaleIntercept="-1024.5"))
    assert np.array_equal(own(copy), 2.0 * stored - 1024.5)


@pytest.mark.parametrize("slope", ["0.1", "-0.25", "3"])
@pytest.mark.parametrize("sense", [{}, INVERTED])
def test_any_slope_and_sense_keep_all_values_apart(make_dicom, film, slope, sense):
    _, copy = read(make_dicom(RescaleSlope=slope, RescaleIntercept="7", **sense))
    assert np.allclose(own(copy), float(slope) * film + 7, rtol=0, atol=1e-6)
    assert (copy.scale[1] > 0) == (not sense)


def test_of_several_modality_tables_the_first_that_can_be_used_makes_the_values(make_dicom, film):
    curve = (np.arange(4096) ** 2 // 300).astype(np.uint16)
    tables = [table(1, 0, 16, [7]), table(4096, 0, 16, curve), table(4096, 0, 16, curve[::-1])]
    _, copy = read(make_dicom(ModalityLUTSequence=tables))
    assert np.array_equal(own(copy), curve[film].astype(float))


def test_of_several_voi_tables_none_is_in_the_values_and_the_window_is_the_nearest_line(make_dicom, film):
    curve = 65535 / (1 + np.exp(-(np.arange(4096) - 1500) / 300))
    tables = [table(2, 0, 16, [0, 0]), table(4096, 0, 16, curve), table(4096, 0, 16, 65535 - curve)]
    image, copy = read(make_dicom(VOILUTSequence=tables))
    assert np.array_equal(own(copy), film)
    assert copy.scale[1] == 1
    assert np.abs(windowed(copy) - pixels(image.normalised_png)).mean() < 25


@pytest.mark.parametrize("sense", [{}, INVERTED])
@pytest.mark.parametrize("windows", [(None, None), (1500, 900), ([9, 2000], [1, 3000])])
def test_the_window_it_names_shows_the_8_bit_picture(make_dicom, sense, windows):
    image, copy = read(make_dicom(WindowCenter=windows[0], WindowWidth=windows[1], **sense))
    assert np.abs(windowed(copy) - pixels(image.normalised_png)).max() <= 0.51


def test_its_window_is_that_of_the_header_in_the_film_s_values(make_dicom):
    _, copy = read(make_dicom(WindowCenter=1500, WindowWidth=900, RescaleIntercept="-100", RescaleSlope="1"))
    assert copy.window == pytest.approx((1499.5, 899))  # PS3.3 C.11.2.1.2.1, as LINEAR_EXACT


@given(st.floats(-500, 5000), st.floats(2, 6000), st.booleans())
def test_the_line_of_any_window_is_found_again(centre, width, falls):
    values = np.arange(0.0, 4096.0)
    seen = window(values, centre, width, "LINEAR_EXACT")
    if np.count_nonzero((seen > 0) & (seen < 1)) > 1:
        found = deep_values(Mapped(values), 1 - seen if falls else seen, np.ones(4096))
        assert found is not None
        assert found.window == pytest.approx((centre, width), rel=1e-6, abs=1e-3)
        assert (found.scale[1] < 0) == falls


def test_padding_is_as_dark_as_the_darkest(make_dicom, film):
    stored = film.copy()
    stored[:, :20] = 4095
    _, copy = read(make_dicom(stored, PixelPaddingValue=4095))
    assert (pixels(copy.png)[:, :20] == 0).all()
    assert own(copy)[:, 20:].max() == stored[:, 20:].max()


def test_it_is_turned_as_its_picture_is(make_dicom, film):
    _, copy = read(make_dicom(PatientOrientation=["R", "F"]))
    assert np.array_equal(own(copy), film[:, ::-1])


def test_a_film_as_large_as_any_is_as_small_as_its_picture_and_stays_in_its_range(make_dicom):
    rows, columns = np.mgrid[0:3000, 0:600]
    values = (np.sin(rows / 300) * 1500 + columns / 2 + 1600).clip(100, 4000).astype(np.uint16)
    values[1000:1400, 200:400] = 4095  # a sharp edge, beyond which resampling swings
    image, copy = read(make_dicom(values))
    assert max(pixels(copy.png).shape) == 2048
    assert (own(copy).min(), own(copy).max()) == (values.min(), 4095)
    assert np.abs(windowed(copy) - pixels(image.normalised_png)).mean() < 0.6


def test_a_16_bit_picture_has_one_too(film):
    _, copy = read(png(film))
    assert np.array_equal(own(copy), film)


def test_there_is_none_where_8_bits_hold_every_value(make_dicom, film):
    eight = (film >> 4).astype(np.uint8)
    for data in (make_dicom(eight), png(eight), png(np.dstack([eight] * 3))):
        assert normalise(data, LIMITS, deep=True).deep is None


def test_an_8_bit_film_has_one_where_its_window_hides_values(make_dicom, film):
    eight = (film >> 4).astype(np.uint8)
    _, copy = read(make_dicom(eight, WindowCenter=100, WindowWidth=60))
    assert np.array_equal(own(copy), eight)


def test_there_is_none_unless_it_is_asked_for(make_dicom):
    assert normalise(make_dicom(), LIMITS).deep is None


def test_a_scale_without_sense_leaves_none():
    counts, seen = np.ones(600), np.linspace(0, 1, 600)
    for meant in (np.full(600, 1e300), np.linspace(-1, 1, 600) * 1e308, np.full(600, np.inf)):
        assert deep_values(Mapped(meant), seen, counts) is None
    assert deep_values(Mapped(np.arange(600.0)), np.zeros(600), counts) is None


def test_nothing_of_the_header_is_in_it(make_dicom):
    data = make_dicom(PatientName="CANARY^NAME", InstitutionName="CANARY CLINIC")
    _, copy = read(data)
    assert b"CANARY" in data
    assert b"CANARY" not in copy.png
    assert {kind for kind, _, _ in chunks(copy.png)} == {b"IHDR", b"IDAT", b"IEND"}


def test_the_rest_of_the_image_is_the_same_with_it(make_dicom):
    data = make_dicom()
    with_it, without = normalise(data, LIMITS, deep=True), normalise(data, LIMITS)
    assert with_it.normalised_png == without.normalised_png
    assert with_it.pixel_sha256 == without.pixel_sha256

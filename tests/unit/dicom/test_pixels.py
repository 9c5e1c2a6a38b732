"""The grey-scale pipeline, value by value."""

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_windowing
from pydicom.uid import ImplicitVRLittleEndian

from xraygpt_core.dicom.normalise import normalise
from xraygpt_core.dicom.pixels import grey_of_colour, grey_of_dicom, grey_of_wide, histogram_gaps
from xraygpt_core.dicom.transforms import window
from xraygpt_core.errors import Rejected
from xraygpt_core.states import ReasonCode


def header(**values):
    made = Dataset()
    made.PhotometricInterpretation, made.PixelRepresentation = "MONOCHROME2", 0
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def lut(count, first, bits, data):
    item = Dataset()
    item.add_new(0x00283002, "SS" if first < 0 else "US", [count, first, bits])
    item.add_new(0x00283006, "OW" if isinstance(data, bytes) else "US", data)
    return [item]


def shown(values, described, stored_bits=12):
    return grey_of_dicom(np.asarray(values), described, stored_bits)


def grey(values, stored_bits=12, **elements):
    return shown(values, header(**elements), stored_bits).grey


RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)
values_12_bit = hnp.arrays(np.uint16, (16, 16), elements=st.integers(0, 4095)).filter(lambda v: v.min() < v.max())
windows = st.tuples(st.floats(-500, 5000), st.floats(1, 6000), st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]))


@given(values_12_bit)
def test_monochrome1_of_inverted_values_is_monochrome2(values):
    inverted = grey(4095 - values, PhotometricInterpretation="MONOCHROME1")
    assert np.abs(grey(values).astype(int) - inverted).max() <= 1  # a half may be rounded up or down


def test_monochrome1_of_an_inverted_film_is_monochrome2_to_the_bit(film):
    assert np.array_equal(grey(film), grey(4095 - film, PhotometricInterpretation="MONOCHROME1"))


@given(values_12_bit, st.floats(10, 4000), st.floats(100, 5000))
def test_monochrome1_of_inverted_values_in_a_mirrored_window_is_monochrome2(values, center, width):
    exact = {"VOILUTFunction": "LINEAR_EXACT", "WindowWidth": width}
    plain = grey(values, WindowCenter=center, **exact).astype(int)
    inverted = grey(4095 - values, WindowCenter=4095 - center, PhotometricInterpretation="MONOCHROME1", **exact)
    assert np.abs(plain - inverted).max() <= 1  # rounding


@given(values_12_bit, windows)
def test_brighter_values_never_become_darker(values, chosen):
    center, width, function = chosen
    seen = grey(values, WindowCenter=center, WindowWidth=width, VOILUTFunction=function)
    order = np.argsort(values, axis=None, kind="stable")
    assert (np.diff(seen.ravel()[order].astype(int)) >= 0).all()


@given(values_12_bit, st.integers(-2000, 2000), st.floats(0.25, 4))
def test_rescaling_values_and_window_alike_changes_nothing(values, intercept, slope):
    plain = grey(values, WindowCenter=2000, WindowWidth=1500, VOILUTFunction="LINEAR_EXACT").astype(int)
    rescaled = grey(
        values, RescaleSlope=slope, RescaleIntercept=intercept, VOILUTFunction="LINEAR_EXACT",
        WindowCenter=2000 * slope + intercept, WindowWidth=1500 * slope,
    )  # fmt: skip
    assert np.abs(plain - rescaled).max() <= 1


@given(values_12_bit)
def test_signed_values_with_their_intercept_equal_the_unsigned(values):
    signed = values.astype(np.int16) - 2048
    shifted = grey(
        signed, PixelRepresentation=1, RescaleSlope=1, RescaleIntercept=2048, WindowCenter=2000, WindowWidth=900
    )
    assert np.array_equal(grey(values, WindowCenter=2000, WindowWidth=900), shifted)


@settings(deadline=None)
@given(windows)
def test_windows_agree_with_pydicom(chosen):
    center, width, function = chosen
    described = header(
        WindowCenter=f"{center:.6g}", WindowWidth=f"{width:.6g}", VOILUTFunction=function, BitsStored=12,
        RescaleSlope=1, RescaleIntercept=0,
    )  # fmt: skip
    with np.errstate(over="ignore"):
        theirs = np.asarray(apply_windowing(RAMP, described)) / 4095.0
    ours = window(RAMP.ravel().astype(float), float(described.WindowCenter), float(described.WindowWidth), function)
    assert np.allclose(theirs.ravel(), ours, atol=1e-3)


def test_the_linear_window_at_the_standard_s_own_points():
    # PS3.3 C.11.2.1.2.1: center 2048, width 4096 maps 0 to 0 and 4095 to the maximum.
    seen = grey(RAMP, WindowCenter=2048, WindowWidth=4096)
    assert (seen[0, 0], seen[-1, -1]) == (0, 255)
    assert np.array_equal(seen, np.rint(RAMP / 4095 * 255))


def test_a_linear_window_of_width_one_is_a_threshold():
    seen = grey(RAMP, WindowCenter=100, WindowWidth=1)
    assert set(np.unique(seen)) == {0, 255}
    assert (seen == 255).sum() == 4096 - 100


def test_the_first_of_several_windows_counts():
    several = grey(RAMP, WindowCenter=[1000, 3000], WindowWidth=[500, 100])
    assert np.array_equal(several, grey(RAMP, WindowCenter=1000, WindowWidth=500))


@pytest.mark.parametrize(("center", "width"), [(90_000, 100), (2000, 0), (2000, -5)])
def test_a_window_that_shows_nothing_is_ignored(center, width):
    assert np.array_equal(grey(RAMP, WindowCenter=center, WindowWidth=width), grey(RAMP))


def test_without_a_window_a_hot_pixel_does_not_darken_the_film():
    hot = np.clip(RAMP // 8, 100, 500)
    hot[0, 0] = 4095
    assert grey(hot).mean() > 100


def test_eight_bit_values_without_a_window_are_grey_levels_already():
    values = np.arange(100, 200, dtype=np.uint8).reshape(10, 10)
    assert np.array_equal(grey(values, 8), values)
    signed = (values.astype(int) - 128).astype(np.int8)
    assert np.array_equal(grey(signed, 8, PixelRepresentation=1), values)


def test_presentation_lut_shape_inverse_inverts_once():
    plain = grey(RAMP)
    assert np.array_equal(grey(RAMP, PresentationLUTShape="INVERSE"), 255 - plain)
    assert np.array_equal(
        grey(RAMP, PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="INVERSE"), 255 - plain
    )
    assert np.array_equal(grey(RAMP, PresentationLUTShape="IDENTITY"), plain)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_does_not_count_for_the_range(photometric):
    values = RAMP // 4 + 1000
    values[:, :10] = 4095
    seen = grey(values, PixelPaddingValue=4095, PhotometricInterpretation=photometric)
    assert (seen[:, :10] == 0).all()
    assert seen[:, 10:].max() == 255


def test_a_padding_range_covers_both_of_its_ends():
    values = RAMP.copy()
    seen = grey(values, PixelPaddingValue=0, PixelPaddingRangeLimit=99, PhotometricInterpretation="MONOCHROME1")
    assert (seen.ravel()[:100] == 0).all()
    assert seen.ravel()[100] == 255


def test_a_padding_value_of_the_wrong_sign_is_understood():
    values = RAMP.astype(np.int16)
    values[0, 0] = -2000
    described = header(PixelRepresentation=1, PhotometricInterpretation="MONOCHROME1")
    described.add_new(0x00280120, "US", 0x10000 - 2000)
    assert shown(values, described, 16).grey[0, 0] == 0


def test_all_padding_but_one_value_is_blank():
    values = np.full((20, 20), 7, dtype=np.uint16)
    values[0] = 4095
    with pytest.raises(Rejected) as caught:
        grey(values, PixelPaddingValue=4095)
    assert caught.value.reason is ReasonCode.BLANK


def test_a_rescale_slope_of_zero_is_taken_as_one():
    assert np.array_equal(grey(RAMP, RescaleSlope=0, RescaleIntercept=0), grey(RAMP))


def test_a_negative_slope_turns_the_values_round():
    assert np.array_equal(grey(RAMP, RescaleSlope=-1, RescaleIntercept=4095), 255 - grey(RAMP))


def test_a_modality_lut_is_applied_as_pydicom_does():
    table = ((np.arange(4096) * 7) % 4096).astype("<u2")
    described = header(ModalityLUTSequence=lut(4096, 0, 16, table.tobytes()), WindowCenter=2048, WindowWidth=4096)
    described.set_original_encoding(is_implicit_vr=False, is_little_endian=True)
    theirs = apply_modality_lut(RAMP, described)
    assert np.array_equal(shown(RAMP, described).grey, np.rint(theirs / 4095 * 255))


@pytest.mark.parametrize("wide", [True, False])
def test_a_voi_lut_outweighs_the_window(wide):
    table = (np.sqrt(np.arange(4096) / 4095) * (65535 if wide else 255)).astype("<u2" if wide else "u1")
    sequence = lut(4096, 0, 16 if wide else 8, table.tobytes())
    seen = grey(RAMP, VOILUTSequence=sequence, WindowCenter=1, WindowWidth=1)
    assert np.abs(seen - np.sqrt(RAMP / 4095) * 255).max() <= 1


def test_a_voi_lut_starts_at_its_first_input_and_clamps_outside():
    seen = grey(RAMP, VOILUTSequence=lut(2, 1000, 8, [0, 255]))
    assert set(seen.ravel()[:1001]) == {0}
    assert set(seen.ravel()[1001:]) == {255}


def test_a_voi_lut_may_start_below_zero():
    seen = grey(RAMP.astype(np.int16) - 2048, PixelRepresentation=1, VOILUTSequence=lut(2, -5, 8, [10, 250]))
    assert (seen.ravel()[2043], seen.ravel()[2044]) == (10, 250)


def test_a_lut_whose_descriptor_promises_too_many_bits_is_not_dark():
    table = np.arange(4096, dtype="<u2")
    assert grey(RAMP, VOILUTSequence=lut(4096, 0, 16, table.tobytes())).max() == 255


@pytest.mark.parametrize(("bits", "pixels"), [(8, np.uint8), (10, np.uint16), (14, np.uint16), (16, np.uint16)])
def test_every_bit_depth_uses_the_whole_range(make_dicom, limits, bits, pixels):
    ramp = np.linspace(0, 2**bits - 1, 230 * 230).reshape(230, 230).astype(pixels)
    image = normalise(make_dicom(ramp, BitsStored=bits, HighBit=bits - 1), limits)
    seen = np.asarray(Image.open(BytesIO(image.normalised_png)))
    assert (seen.min(), seen.max()) == (0, 255)


def test_bits_outside_the_stored_ones_do_not_count(make_dicom, limits, film):
    overlaid = film | np.uint16(0xA000)
    shifted = film << np.uint16(4)
    plain = normalise(make_dicom(film), limits)
    assert normalise(make_dicom(overlaid), limits) == plain
    assert normalise(make_dicom(shifted, HighBit=15), limits).normalised_png == plain.normalised_png


def test_colour_becomes_luma():
    colours = np.zeros((2, 2, 3), dtype=np.uint8)
    colours[0, 0], colours[0, 1], colours[1, 0] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    assert grey_of_colour(colours, 8).tolist() == [[76, 150], [29, 0]]


def test_the_teeth_of_a_comb_are_a_share_of_the_levels_between_its_ends():
    ramp = np.arange(40, 240, dtype=np.uint8).repeat(8).reshape(40, 40)
    assert histogram_gaps(ramp) == 0
    assert histogram_gaps(ramp & 0xFC) == pytest.approx(0.75, abs=0.01)


@given(hnp.arrays(np.uint16, (12, 12), elements=st.integers(0, 65535)).filter(lambda v: v.min() < v.max()))
def test_a_wide_picture_uses_the_whole_range(values):
    seen = grey_of_wide(values).grey
    assert seen.min() == 0
    assert seen.max() == 255


def test_without_pixel_representation_tables_and_padding_of_implicit_files_are_read(make_dicom, limits):
    ramp = np.linspace(100, 4095, 230 * 230).reshape(230, 230).astype(np.uint16)
    ramp[:, :9] = 0
    curve = np.sqrt(np.arange(4096) / 4095) * 4095
    elements = {"VOILUTSequence": lut(4096, 0, 12, curve.astype("<u2").tobytes()), "PixelPaddingValue": 0}
    data = make_dicom(
        ramp, syntax=ImplicitVRLittleEndian, PhotometricInterpretation="MONOCHROME1", **elements, PixelRepresentation=0
    )
    sign = b"\x28\0\x03\x01\2\0\0\0\0\0"
    assert sign in data
    without = normalise(data.replace(sign, b""), limits)
    assert without == normalise(data, limits)
    assert (np.asarray(Image.open(BytesIO(without.normalised_png)))[:, :9] == 0).all()

"""Codestreams that say something else than the header, or that are not all there."""

import struct
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from pydicom import uid
from pydicom.encaps import encapsulate

from xraygpt_core.dicom.codestream import CodestreamKind, identify
from xraygpt_core.dicom.normalise import normalise
from xraygpt_core.errors import Rejected
from xraygpt_core.states import Flag, ReasonCode

SC = "1.2.840.10008.5.1.4.1.1.7"
WINDOW = {"WindowCenter": 2048, "WindowWidth": 4096}


@pytest.fixture
def wrap(make_dataset, save_dataset):
    """A function that puts codestreams under a header made for ``pixels``."""

    def make(pixels, *frames, syntax=uid.JPEGBaseline8Bit, **header):
        dataset = make_dataset(pixels, PixelData=encapsulate(list(frames)), **header)
        dataset["PixelData"].is_undefined_length, dataset["PixelData"].VR = True, "OB"
        return save_dataset(dataset, syntax)

    return make


@pytest.fixture(scope="session")
def grey(film):
    return (film >> 4).astype(np.uint8)


def jpeg(pixels, **options):
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95, **options)
    return buffer.getvalue()


def seen(data, limits):
    image = normalise(data, limits)
    return np.asarray(Image.open(BytesIO(image.normalised_png))).astype(int), image.flags


def reason(data, limits):
    with pytest.raises(Rejected) as caught:
        normalise(data, limits)
    return caught.value.reason


def frame_of(data):
    """The codestream of a file with one fragment."""
    at = data.rindex(b"\xe0\x7f\x10\0") + 12
    table = int.from_bytes(data[at + 4 : at + 8], "little")
    at += 8 + table
    return data[at + 8 : at + 8 + int.from_bytes(data[at + 4 : at + 8], "little")]


def test_twelve_bits_of_jpeg_extended_are_decoded(make_dicom, recode, film, limits):
    data = recode(make_dicom(**WINDOW), "JPEGExtendedProcess2_4")
    picture, flags = seen(data, limits)
    assert np.abs(picture - np.rint(film / 4095 * 255)).max() <= 1
    assert Flag.HEADER_CONTRADICTS_PIXELS not in flags


@pytest.mark.parametrize("options", [{}, {"keep_rgb": True}, {"progressive": True}, {"subsampling": 0}])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2", "RGB", "YBR_FULL_422"])
def test_three_components_are_colours_whatever_the_header_says(wrap, grey, limits, options, photometric):
    colours = np.stack([grey, grey // 2, 255 - grey], -1)
    header = {"SOPClassUID": SC, "SamplesPerPixel": 1 if photometric.startswith("M") else 3}
    data = wrap(grey, jpeg(colours, **options), PhotometricInterpretation=photometric, **header)
    luma = np.asarray(Image.fromarray(colours).convert("L")).astype(int)
    picture, flags = seen(data, limits)
    assert np.abs(picture - (255 - luma if photometric == "MONOCHROME1" else luma)).mean() < 2.5
    assert (Flag.HEADER_CONTRADICTS_PIXELS in flags) or photometric[0] in "RY"


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL_422"])
def test_one_component_is_grey_whatever_the_header_says(wrap, grey, limits, photometric):
    data = wrap(np.zeros((*grey.shape, 3), np.uint8), jpeg(grey), PhotometricInterpretation=photometric, SOPClassUID=SC)
    picture, flags = seen(data, limits)
    assert np.abs(picture - grey).mean() < 2
    assert Flag.HEADER_CONTRADICTS_PIXELS in flags


def test_four_components_are_undecodable(wrap, grey, limits):
    four = BytesIO()
    Image.fromarray(grey).convert("CMYK").save(four, "JPEG")
    assert reason(wrap(grey, four.getvalue()), limits) is ReasonCode.UNDECODABLE


@pytest.mark.parametrize("kind", ["JPEG2000Lossless", "JPEGLosslessProcess14_1", "JPEGLSLossless", "RLELossless"])
@pytest.mark.parametrize("header", [
    {"BitsStored": 8, "HighBit": 7}, {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}, {"Rows": 240, "Columns": 256},
])  # fmt: skip
def test_precision_and_size_are_the_codestream_s(make_dicom, recode, wrap, film, limits, kind, header):
    right = normalise(make_dicom(**WINDOW), limits)
    data = wrap(film, frame_of(recode(make_dicom(), kind)), syntax=uid.JPEG2000, **WINDOW, **header)
    image = normalise(data, limits)
    assert (image.normalised_png, image.pixel_sha256) == (right.normalised_png, right.pixel_sha256)
    assert Flag.HEADER_CONTRADICTS_PIXELS in image.flags


def test_rows_that_only_the_codestream_knows_are_enough(make_dicom, recode, wrap, film, limits):
    frame = frame_of(recode(make_dicom(), "JPEGLSLossless"))
    image = normalise(wrap(film, frame, syntax=uid.JPEGLSLossless, Rows=None, Columns=None), limits)
    assert (image.rows, image.columns) == film.shape


def test_a_codestream_too_large_is_refused_before_it_is_decoded(wrap, film, limits):
    bomb = b"\xff\xd8\xff\xc0" + struct.pack(">HBHHB", 11, 8, 60_000, 60_000, 1) + b"\1\x11\0"
    bomb += b"\xff\xda\0\x08\1\1\0\0\x3f\0" + bytes(100) + b"\xff\xd9"
    assert reason(wrap(film, bomb), limits) is ReasonCode.TOO_LARGE


@pytest.mark.parametrize("kind", ["JPEGBaselineProcess1", "JPEGExtendedProcess2_4", "JPEGLosslessProcess14_1"])
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_jpeg_with_its_end_mark_and_a_part_of_its_data_is_truncated(
    make_dicom, recode, wrap, film, grey, limits, kind, kept
):
    pixels = grey if kind == "JPEGBaselineProcess1" else film
    whole = frame_of(recode(make_dicom(pixels), kind))
    short = whole[: int(len(whole) * kept)] + b"\xff\xd9"
    assert reason(wrap(pixels, short + b"\0" * (len(short) % 2)), limits) is ReasonCode.TRUNCATED


def test_a_restart_marker_that_is_missing_is_a_part_that_is_missing(wrap, grey, limits):
    whole = jpeg(grey, restart_marker_rows=4)
    first, second = whole.index(b"\xff\xd1"), whole.index(b"\xff\xd3")
    assert normalise(wrap(grey, whole), limits).rows == 256
    assert reason(wrap(grey, whole[:first] + whole[second:]), limits) is ReasonCode.TRUNCATED


@pytest.mark.parametrize("kept", [0.3, 0.99])
def test_a_jpeg_2000_stream_without_its_last_tile_data_is_truncated(make_dicom, recode, wrap, film, limits, kept):
    whole = frame_of(recode(make_dicom(), "JPEG2000Lossless"))
    short = whole[: int(len(whole) * kept) // 2 * 2]
    assert reason(wrap(film, short, syntax=uid.JPEG2000), limits) is ReasonCode.TRUNCATED


def test_an_rle_segment_that_ends_early_is_truncated(make_dicom, recode, wrap, film, limits):
    whole = frame_of(recode(make_dicom(), "RLELossless"))
    assert reason(wrap(film, whole[: len(whole) // 4 * 3], syntax=uid.RLELossless), limits) is ReasonCode.TRUNCATED


def test_a_film_whose_lower_half_is_grey_is_whole(wrap, grey, limits):
    film = grey.copy()
    film[120:] = 128
    assert np.abs(seen(wrap(film, jpeg(film)), limits)[0] - film).mean() < 2


@pytest.mark.parametrize("kind", ["JPEG2000Lossless", "JPEGLSLossless"])
def test_two_codestreams_are_two_frames(make_dicom, recode, wrap, film, limits, kind):
    frame = frame_of(recode(make_dicom(), kind))
    assert reason(wrap(film, frame, frame), limits) is ReasonCode.MULTI_FRAME


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xc0\0\x0b", b"\xff\x4f\xff\x51\0", bytes(64), b"\1\0\0\0"]
)
def test_bytes_that_begin_no_codestream_are_none(data):
    assert identify(data) is None


def test_a_jp2_box_around_a_codestream_is_opened(make_dicom, recode):
    frame = frame_of(recode(make_dicom(), "JPEG2000Lossless"))
    found = identify(b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0\0\0\0jp2c" + frame)
    assert found is not None
    assert (found.kind, found.rows, found.precision) == (CodestreamKind.JPEG_2000, 256, 16)

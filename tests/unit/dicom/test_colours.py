"""Three samples of a grey film: red, green and blue, or a luminance and two chrominances of 128."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from pydicom import uid
from pydicom.encaps import encapsulate

from tests.support.films.verdict import grey_of
from xraygpt_core.dicom.normalise import normalise
from xraygpt_core.states import Flag


@pytest.fixture(scope="module")
def grey(film):
    return (film // 16).astype(np.uint8)


def off(image, grey):
    return np.abs(grey_of(image).astype(int) - grey).mean()


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize(
    ("label", "truth"),
    [("RGB", "YCbCr"), (None, "YCbCr"), ("YBR_FULL", "RGB"), ("YBR_RCT", "RGB"), ("MONOCHROME2", "YCbCr")],
)
def test_the_samples_say_whether_they_are_colours_or_luminance(make_dicom, grey, limits, label, truth, planar):
    samples = np.asarray(Image.fromarray(np.stack([grey] * 3, axis=-1)).convert(truth))
    data = samples if planar == 0 else samples.transpose(2, 0, 1)
    header = {"PhotometricInterpretation": label, "PlanarConfiguration": planar, "PixelData": data.tobytes()}
    image = normalise(make_dicom(samples, **header), limits)
    assert off(image, grey) < 1.5
    assert Flag.HEADER_CONTRADICTS_PIXELS in image.flags


@pytest.mark.parametrize("label", ["YBR_ICT", "YBR_RCT", "YBR_PARTIAL_420", "RGB", None])
@pytest.mark.parametrize("samples", [1, 3])
def test_a_jpeg_without_a_word_about_its_colours_is_ycbcr(make_dataset, save_dataset, grey, limits, label, samples):
    buffer = BytesIO()
    Image.fromarray(np.stack([grey] * 3, axis=-1)).save(buffer, "JPEG", quality=95)
    stream = buffer.getvalue()
    bare = stream[:2] + stream[4 + int.from_bytes(stream[4:6]) :]  # without JFIF
    header = {"PhotometricInterpretation": label, "SamplesPerPixel": samples}
    dataset = make_dataset(grey, PixelData=encapsulate([bare]), **header)
    dataset["PixelData"].is_undefined_length, dataset["PixelData"].VR = True, "OB"
    assert off(normalise(save_dataset(dataset, uid.JPEGBaseline8Bit), limits), grey) < 2.5


def test_colours_of_a_jpeg_that_nothing_names_are_ycbcr(make_dataset, save_dataset, grey, limits):
    """No film has such colours; so it is not the samples that say it."""
    colours = np.stack([grey, 255 - grey, grey // 2], axis=-1)
    buffer = BytesIO()
    Image.fromarray(colours).save(buffer, "JPEG", quality=95)
    stream = buffer.getvalue()
    bare = stream[:2] + stream[4 + int.from_bytes(stream[4:6]) :]
    dataset = make_dataset(grey, PixelData=encapsulate([bare]), PhotometricInterpretation=None, SamplesPerPixel=3)
    dataset["PixelData"].is_undefined_length, dataset["PixelData"].VR = True, "OB"
    image = normalise(save_dataset(dataset, uid.JPEGBaseline8Bit), limits)
    assert off(image, np.asarray(Image.open(buffer).convert("L"))) < 2.5


def test_a_codestream_is_the_frame_though_no_number_of_bits_is_given(make_dataset, save_dataset, film, limits):
    buffer = BytesIO()
    Image.fromarray((film // 16).astype(np.uint8)).save(buffer, "JPEG")
    dataset = make_dataset(film, PixelData=encapsulate([buffer.getvalue()], has_bot=False), BitsAllocated=None)
    dataset["PixelData"].is_undefined_length, dataset["PixelData"].VR = True, "OB"
    data, table = save_dataset(dataset, uid.JPEGBaseline8Bit), b"\xfe\xff\0\xe0\0\0\0\0"
    assert data.count(table) == 1
    assert normalise(data.replace(table, b""), limits).rows == film.shape[0]

"""Every way pixels are stored, and that they come back the same."""

import warnings
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom import uid
from pydicom.encaps import encapsulate

from xraygpt_core.dicom import codecs, decode
from xraygpt_core.dicom.normalise import normalise
from xraygpt_core.dicom.parse import is_dicom, parse
from xraygpt_core.errors import Rejected
from xraygpt_core.states import ReasonCode

NATIVE = {
    "implicit little endian": uid.ImplicitVRLittleEndian,
    "explicit little endian": uid.ExplicitVRLittleEndian,
    "explicit big endian": uid.ExplicitVRBigEndian,
    "deflated": uid.DeflatedExplicitVRLittleEndian,
}
SC = "1.2.840.10008.5.1.4.1.1.7"
SHIPPED = sorted(Path(pydicom.__file__).parent.glob("data/test_files/*.dcm"))


def read(data, limits):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as normalise does
        return decode.decode(parse(data, limits)).values


def reason(data, limits):
    with pytest.raises(Rejected) as caught:
        normalise(data, limits)
    return caught.value.reason


@pytest.mark.parametrize("syntax", NATIVE.values(), ids=NATIVE)
def test_native_pixels_come_back_as_written(make_dicom, film, limits, syntax):
    stored = film.astype(">u2") if syntax == uid.ExplicitVRBigEndian else film
    assert np.array_equal(read(make_dicom(stored, syntax=syntax), limits), film)


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16, np.uint16])
@pytest.mark.parametrize(
    "syntax", ["native", "JPEGLosslessProcess14_1", "JPEG2000Lossless", "RLELossless", "JPEGLSLossless"]
)
def test_every_number_format_survives_every_lossless_codec(make_dicom, recode, limits, kind, syntax):
    wide, signed = np.dtype(kind).itemsize == 2, np.dtype(kind).kind == "i"
    bits = 12 if wide else 8
    rows, columns = np.mgrid[0:230, 0:240]
    values = ((rows * 13 + columns * 5) % 2**bits - (2 ** (bits - 1) if signed else 0)).astype(kind)
    data = make_dicom(values)
    assert np.array_equal(read(data if syntax == "native" else recode(data, syntax), limits), values)


@pytest.mark.parametrize(
    "syntax",
    [
        "JPEGLosslessProcess14", "JPEGLosslessProcess14_1", "JPEGLSLossless", "JPEGLSNearLossless",
        "JPEG2000Lossless", "JPEG2000", "RLELossless",
    ],
)  # fmt: skip
def test_a_compressed_film_has_the_hash_of_the_native_one(make_dicom, recode, limits, syntax):
    # GDCM's encoders are lossless at their default settings, the lossy syntaxes included.
    right = normalise(make_dicom(), limits)
    recoded = normalise(recode(make_dicom(), syntax), limits)

    assert replace(recoded, facts=right.facts) == right  # GDCM adds a spacing of its own


def test_jpeg_baseline_is_close_to_the_native_film(make_dicom, recode, film, limits):
    narrow = (film >> 4).astype(np.uint8)
    values = read(recode(make_dicom(narrow), "JPEGBaselineProcess1"), limits)
    assert np.abs(values.astype(int) - narrow).max() <= 3


def test_pydicom_s_own_encoders_agree(make_dataset, save_dataset, film, limits):
    for syntax in (uid.RLELossless, uid.JPEG2000Lossless):
        dataset = make_dataset(film)
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
        dataset.compress(syntax, generate_instance_uid=False)
        assert np.array_equal(read(save_dataset(dataset, syntax), limits), film)


def test_a_frame_in_several_fragments_is_one_frame(make_dicom, save_dataset, limits, make_dataset, film):
    narrow = (film >> 4).astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(narrow).save(buffer, format="JPEG", quality=95)
    encoded = encapsulate([buffer.getvalue()], fragments_per_frame=4)
    dataset = make_dataset(narrow, PixelData=encoded)
    dataset["PixelData"].is_undefined_length = True
    dataset["PixelData"].VR = "OB"
    values = read(save_dataset(dataset, uid.JPEGBaseline8Bit), limits)
    assert np.abs(values.astype(int) - narrow).max() <= 20


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_pixels_of_pydicom_s_test_files_equal_pydicom_s(path, limits):
    data = path.read_bytes()
    if not is_dicom(data):
        return
    try:
        values = read(data, limits)
    except Rejected:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path)
        if path.name in ("JPEG-lossy.dcm", "JPGExtended.dcm"):
            return  # 12-bit DCT, which pydicom does not hand to GDCM
        theirs = dataset.pixel_array
        if int(dataset.get("NumberOfFrames") or 1) > 1:
            theirs = theirs[0]
        if dataset.PhotometricInterpretation == "PALETTE COLOR":
            theirs = pydicom.pixels.apply_color_lut(theirs, dataset) >> 8
    assert np.array_equal(values, theirs)


def test_most_of_pydicom_s_test_files_with_pixels_are_read(limits):
    read_files = set()
    for path in SHIPPED:
        data = path.read_bytes()
        try:
            if is_dicom(data):
                read(data, limits)
                read_files.add(path.name)
        except Rejected:
            continue
    assert len(read_files) >= 35
    assert {"MR_small_expb.dcm", "image_dfl.dcm", "JPEG2000.dcm", "JPEGLSNearLossless_16.dcm"} <= read_files


@pytest.mark.parametrize("photometric", ["YBR_FULL", "YBR_FULL_422", "RGB"])
@pytest.mark.parametrize("planar", [0, 1])
def test_uncompressed_colour_is_read_as_its_luma(make_dicom, limits, photometric, planar):
    if photometric == "YBR_FULL_422" and planar:
        return  # PS3.3 C.7.6.3.1.2: chrominance is interleaved
    luma = np.tile(np.arange(240, dtype=np.uint8), (230, 1))
    luma[1] = 255 - luma[1]
    grey = np.full_like(luma, 128)
    if photometric == "RGB":
        pixels = np.stack([luma] * 3, axis=-1)
    elif photometric == "YBR_FULL":
        pixels = np.stack([luma, grey, grey], axis=-1)
    else:
        pairs = luma.reshape(230, 120, 2)
        pixels = np.concatenate([pairs, np.full((230, 120, 2), 128, np.uint8)], axis=-1).reshape(230, 240, 2)
    stored = pixels.transpose(2, 0, 1) if planar else pixels
    header = {"SamplesPerPixel": 3, "PhotometricInterpretation": photometric, "PlanarConfiguration": planar}
    data = make_dicom(np.zeros((230, 240, 3), np.uint8), SOPClassUID=SC, PixelData=stored.tobytes(), **header)
    seen = np.asarray(Image.open(BytesIO(normalise(data, limits).normalised_png)))
    assert np.abs(seen.astype(int) - luma).max() <= 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(("side", "photometric"), [(231, "YBR_FULL"), (231, "YBR_FULL_422"), (240, "YBR_FULL_422")])
def test_pixels_that_cannot_share_their_colour_are_read_otherwise_or_refused(
    make_dicom, limits, side, photometric, dtype
):
    """An odd number of them, or with 16 bits, whatever the label and the length say; never a crash of the decoder."""
    header = {"SamplesPerPixel": 3, "PhotometricInterpretation": photometric, "PlanarConfiguration": 0}
    pixels = np.tile(np.arange(side, dtype=dtype), (side, 1))[..., None].repeat(3, axis=-1)
    for size in (1, 2, 3, 4, 6, 8):
        value = np.resize(pixels, side * side * size).astype(np.uint8).tobytes() + b"\0"
        data = make_dicom(pixels, SOPClassUID=SC, PixelData=value, **header)
        with suppress(Rejected):
            assert normalise(data, limits).normalised_png


def test_a_palette_is_looked_up(make_dicom, limits):
    indices = np.tile(np.arange(240, dtype=np.uint8), (230, 1))
    table = np.arange(256, dtype="<u2")[::-1] * 257
    header = {}
    for colour in ("Red", "Green", "Blue"):
        header[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        header[f"{colour}PaletteColorLookupTableData"] = table.tobytes()
    data = make_dicom(indices, SOPClassUID=SC, PhotometricInterpretation="PALETTE COLOR", **header)
    seen = np.asarray(Image.open(BytesIO(normalise(data, limits).normalised_png)))
    assert seen[0, :3].tolist() == [255, 254, 253]


def test_a_palette_that_is_missing_is_undecodable(make_dicom, limits):
    indices = np.tile(np.arange(240, dtype=np.uint8), (230, 1))
    data = make_dicom(indices, SOPClassUID=SC, PhotometricInterpretation="PALETTE COLOR")
    assert reason(data, limits) is ReasonCode.UNDECODABLE


@pytest.mark.parametrize("header", [{"PhotometricInterpretation": "HSV"}, {"BitsAllocated": 32, "Rows": 100}])
def test_a_description_that_the_data_cannot_mend_is_undecodable(make_dicom, limits, header):
    data = make_dicom(np.zeros((300, 300), np.uint16) + np.arange(300, dtype=np.uint16), **header)
    assert reason(data, limits) in (ReasonCode.UNDECODABLE, ReasonCode.TOO_SMALL)


def test_fragments_of_a_video_are_undecodable(make_dataset, save_dataset, film, limits):
    dataset = make_dataset(film, PixelData=encapsulate([b"\0\0\1\xb3" + bytes(4000)]))
    dataset["PixelData"].is_undefined_length, dataset["PixelData"].VR = True, "OB"
    assert reason(save_dataset(dataset, uid.MPEG2MPML), limits) is ReasonCode.UNDECODABLE


def test_garbage_in_a_codestream_is_undecodable(make_dataset, save_dataset, film, limits):
    for syntax in (
        uid.JPEGBaseline8Bit,
        uid.JPEGLosslessSV1,
        uid.JPEGLSLossless,
        uid.JPEG2000,
        uid.RLELossless,
        uid.HTJ2K,
    ):
        dataset = make_dataset(film, PixelData=encapsulate([b"\xff\xd8\xff\xe0 not an image at all"]))
        dataset["PixelData"].is_undefined_length = True
        dataset["PixelData"].VR = "OB"
        assert reason(save_dataset(dataset, syntax), limits) is ReasonCode.UNDECODABLE


@pytest.mark.parametrize("seed", range(8))
def test_broken_runs_are_read_or_undecodable(make_dicom, recode, limits, seed):
    data = bytearray(recode(make_dicom(), "RLELossless"))
    start = data.index(b"\xe0\x7f\x10\x00") + 100
    chance = np.random.default_rng(seed)
    for where in chance.integers(start, len(data) - 16, 400):
        data[where] = chance.integers(0, 256)
    try:
        read(bytes(data), limits)
    except Rejected as caught:
        rejection = caught
    else:
        return
    assert rejection.reason is ReasonCode.UNDECODABLE


def test_pixel_data_without_a_value_is_no_pixels(make_dicom, limits):
    whole = make_dicom()
    at = whole.index(b"\xe0\x7f\x10\x00")
    for vr in (b"OW\0\0", b"OB\0\0"):
        assert reason(whole[: at + 4] + vr + bytes(4), limits) is ReasonCode.NO_PIXELS
    assert reason(whole[: at + 4] + b"O\xff\0\0", limits) in (ReasonCode.NO_PIXELS, ReasonCode.UNDECODABLE)


def test_no_gpl_decoder_is_ever_asked():
    """pylibjpeg-libjpeg serves the JPEG syntaxes of pydicom's pylibjpeg plug-in; openjpeg serves JPEG 2000."""
    asked = {syntax for calls in codecs.PLUGINS.values() for syntax, plugin in calls if plugin == "pylibjpeg"}
    assert asked == {uid.JPEG2000, uid.HTJ2K}
    assert all(calls and all(plugin for _, plugin in calls) for calls in codecs.PLUGINS.values())


def test_the_pixel_hash_knows_values_and_shape(film):
    known = decode.pixel_sha256(film)
    assert decode.pixel_sha256(film.astype(">u2")) == known
    assert decode.pixel_sha256(film.astype(np.int16)) == known
    assert decode.pixel_sha256(film.reshape(240, 256)) != known
    assert decode.pixel_sha256(film + 1) != known
    assert decode.pixel_sha256(np.full((2, 2), -1, np.int16)) != decode.pixel_sha256(np.full((2, 2), 65535, np.uint16))


def test_windowing_changes_the_picture_and_not_the_hash(make_dicom, limits):
    plain, windowed = normalise(make_dicom(), limits), normalise(make_dicom(WindowCenter=900, WindowWidth=400), limits)
    assert plain.pixel_sha256 == windowed.pixel_sha256
    assert plain.normalised_png != windowed.normalised_png

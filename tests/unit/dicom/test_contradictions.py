"""Files whose header describes other pixels than there are: the picture is exact, and the image says so."""

import zlib
from dataclasses import replace

import numpy as np
import pytest
from pydicom import uid
from pydicom.encaps import encapsulate

from xraygpt_core.dicom.decode import decode
from xraygpt_core.dicom.normalise import normalise
from xraygpt_core.dicom.parse import parse
from xraygpt_core.errors import Rejected
from xraygpt_core.states import Flag, ReasonCode

WINDOW = {"WindowCenter": 2048, "WindowWidth": 4096}
UNCOMPRESSED_FRAGMENTS = "1.2.840.10008.1.2.1.98"
SC = "1.2.840.10008.5.1.4.1.1.7"


@pytest.fixture
def right(make_dicom, limits):
    return normalise(make_dicom(**WINDOW), limits)


def assert_mended(data, right, limits):
    """The picture of ``right``, and the flag that it has not; GDCM adds a spacing of its own where it recodes."""
    seen = normalise(data, limits)
    assert Flag.HEADER_CONTRADICTS_PIXELS in seen.flags
    assert replace(seen, flags=right.flags, facts=right.facts) == right


def labelled(data, syntax):
    """The same bytes under another Transfer Syntax UID."""
    length = int.from_bytes(data[140:144], "little")
    old = uid.ExplicitVRLittleEndian.encode() + b"\0"
    new = syntax.encode() + b"\0" * (len(syntax) % 2)
    meta = data[144 : 144 + length].replace(bytes([len(old), 0]) + old, bytes([len(new), 0]) + new)
    return data[:140] + len(meta).to_bytes(4, "little") + meta + data[144 + length :]


def in_fragments(make_dataset, save_dataset, film, fragments, syntax, **header):
    dataset = make_dataset(film, PixelData=encapsulate(fragments), **header)
    dataset["PixelData"].is_undefined_length, dataset["PixelData"].VR = True, "OB"
    return save_dataset(dataset, syntax)


@pytest.mark.parametrize(
    "syntax",
    [
        uid.ExplicitVRBigEndian,
        uid.ImplicitVRLittleEndian,
        uid.JPEG2000,
        uid.RLELossless,
        uid.DeflatedExplicitVRLittleEndian,
        uid.MPEG2MPML,
        UNCOMPRESSED_FRAGMENTS,
    ],
)
def test_native_pixels_are_read_under_any_label(make_dicom, right, limits, syntax):
    assert_mended(labelled(make_dicom(**WINDOW), syntax), right, limits)


def test_big_endian_data_are_read_under_a_little_endian_label(make_dicom, film, right, limits):
    big = make_dicom(film.astype(">u2"), syntax=uid.ExplicitVRBigEndian, **WINDOW)
    assert_mended(big.replace(uid.ExplicitVRBigEndian.encode(), uid.ExplicitVRLittleEndian.encode()), right, limits)


def test_deflated_data_are_inflated_under_a_label_that_does_not_say_so(make_dicom, right, limits):
    data = make_dicom(**WINDOW)
    head = 144 + int.from_bytes(data[140:144], "little")
    deflate = zlib.compressobj(wbits=-15)
    assert_mended(data[:head] + deflate.compress(data[head:]) + deflate.flush(), right, limits)


@pytest.mark.parametrize("bits", [15, 31])
def test_deflated_data_may_have_the_header_of_zlib_or_gzip(make_dicom, right, limits, bits):
    data = labelled(make_dicom(**WINDOW), uid.DeflatedExplicitVRLittleEndian)
    head = 144 + int.from_bytes(data[140:144], "little")
    deflate = zlib.compressobj(wbits=bits)
    deflated = data[:head] + deflate.compress(data[head:]) + deflate.flush()
    assert normalise(deflated, limits) == right
    with pytest.raises(Rejected) as caught:
        normalise(deflated[: len(deflated) // 2], limits)
    assert caught.value.reason is ReasonCode.TRUNCATED


@pytest.mark.parametrize("kind", ["JPEG2000Lossless", "JPEGLosslessProcess14_1", "JPEGLSLossless", "RLELossless"])
@pytest.mark.parametrize("label", [uid.ExplicitVRLittleEndian, uid.JPEGBaseline8Bit, uid.HTJ2K])
def test_a_codestream_is_known_by_its_first_bytes(make_dicom, recode, right, limits, kind, label):
    data = recode(make_dicom(**WINDOW), kind)
    at = data.index(b"\x02\0\x10\0UI") + 8
    length = int.from_bytes(data[at - 2 : at], "little")
    new = label.encode() + b"\0" * (len(label) % 2)
    data = data[: at - 2] + len(new).to_bytes(2, "little") + new + data[at + length :]
    assert_mended(data, right, limits)


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.JPEG2000])
@pytest.mark.parametrize("table", [True, False])
def test_native_values_in_fragments_are_one_film(make_dataset, save_dataset, film, right, limits, syntax, table):
    stored = film.tobytes()
    data = in_fragments(make_dataset, save_dataset, film, [stored], syntax, **WINDOW)
    if not table:
        data = data.replace(b"\xfe\xff\x00\xe0\x04\0\0\0\0\0\0\0", b"")
    assert_mended(data, right, limits)


def test_fragments_are_what_encapsulated_uncompressed_means(make_dataset, save_dataset, film, right, limits):
    data = in_fragments(make_dataset, save_dataset, film, [film.tobytes()], UNCOMPRESSED_FRAGMENTS, **WINDOW)
    assert normalise(data, limits) == right


@pytest.mark.parametrize(("behind", "doubted"), [(2, False), (480, True), (122_880, True)])
def test_zeros_of_a_row_and_more_behind_the_pixels_are_doubted(make_dicom, film, right, limits, behind, doubted):
    seen = normalise(make_dicom(PixelData=film.tobytes() + bytes(behind), **WINDOW), limits)
    assert (Flag.HEADER_CONTRADICTS_PIXELS in seen.flags) is doubted
    assert seen.normalised_png == right.normalised_png


def test_words_in_the_other_byte_order_are_seen_to_be_so(make_dicom, film, right, limits):
    assert_mended(make_dicom(film.byteswap(), **WINDOW), right, limits)


def test_noise_is_read_in_the_order_of_its_dataset(make_dicom, limits):
    noise = np.random.default_rng(3).integers(0, 4096, (256, 240)).astype(np.uint16)
    found = decode(parse(make_dicom(noise), limits))
    assert np.array_equal(found.values, noise)
    assert not found.contradicted


@pytest.mark.parametrize("header", [
    {"BitsAllocated": 8}, {"BitsAllocated": None}, {"BitsAllocated": 12},
    {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}, {"BitsStored": 17}, {"BitsStored": 10, "HighBit": 9},
    {"HighBit": 3}, {"HighBit": 15}, {"BitsStored": None, "HighBit": None},
    {"PixelRepresentation": 1}, {"SamplesPerPixel": 3}, {"SamplesPerPixel": 4}, {"PhotometricInterpretation": "RGB"},
    {"PhotometricInterpretation": "RGB", "SamplesPerPixel": 1}, {"Rows": 240, "Columns": 256},
])  # fmt: skip
def test_a_wrong_description_of_native_pixels_is_outvoted(make_dicom, right, limits, header):
    assert_mended(make_dicom(**WINDOW, **header), right, limits)


def test_what_half_of_a_description_implies_is_no_contradiction(make_dicom, right, limits):
    assert normalise(make_dicom(**WINDOW, HighBit=None), limits) == right


def test_bytes_under_16_allocated_bits_are_bytes(make_dicom, film, limits):
    narrow = (film >> 4).astype(np.uint8)
    header = {"BitsAllocated": 16, "BitsStored": 16, "HighBit": 15}
    assert_mended(make_dicom(narrow, **header), normalise(make_dicom(narrow), limits), limits)


@pytest.mark.parametrize("extended", [True, False])
def test_signed_values_under_an_unsigned_header_are_signed(make_dicom, film, limits, extended):
    signed = film.astype(np.int16) - 2048
    right = normalise(make_dicom(signed, WindowCenter=0, WindowWidth=4096), limits)
    stored = signed if extended else signed & 0xFFF
    header = {"PixelRepresentation": 0, "PixelData": stored.tobytes(), "WindowCenter": 0, "WindowWidth": 4096}
    assert_mended(make_dicom(film, **header), right, limits)


def test_old_overlays_in_the_bits_above_are_dropped(make_dicom, film, right, limits):
    drawn = film.copy()
    drawn[40:60, 30:90] |= 1 << 15
    drawn[100, ::3] |= 1 << 13
    assert normalise(make_dicom(drawn, **WINDOW), limits) == right


@pytest.mark.parametrize("brightest", [110, 220])
def test_white_letters_on_black_are_no_sign(make_dicom, limits, brightest):
    film = np.zeros((256, 240), np.uint8)
    film[60:200, 60:180] = np.linspace(30, brightest, 120).astype(np.uint8)
    film[10:40, 10:200:2] = 255
    assert Flag.HEADER_CONTRADICTS_PIXELS not in normalise(make_dicom(film), limits).flags


@pytest.mark.parametrize("planar", [0, 1])
def test_colour_planes_are_found_where_the_header_has_them_elsewhere(make_dicom, film, limits, planar):
    grey = (film >> 4).astype(np.uint8)
    pixels = np.stack([grey, grey // 2, 255 - grey], -1)
    right = normalise(make_dicom(pixels, SOPClassUID=SC, Modality="CR"), limits)
    stored = pixels.transpose(2, 0, 1) if planar else pixels
    header = {"PixelData": stored.tobytes(), "PlanarConfiguration": 1 - planar}
    assert_mended(make_dicom(pixels, SOPClassUID=SC, **header), right, limits)


def test_a_palette_of_16_bits_may_hold_8(make_dicom, limits):
    indices = np.tile(np.arange(240, dtype=np.uint8), (230, 1))

    def film(entries):
        header = {}
        for colour in ("Red", "Green", "Blue"):
            header[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
            header[f"{colour}PaletteColorLookupTableData"] = entries.astype("<u2").tobytes()
        return make_dicom(indices, SOPClassUID=SC, PhotometricInterpretation="PALETTE COLOR", **header)

    levels = np.arange(256)[::-1]
    assert_mended(film(levels), normalise(film(levels * 257), limits), limits)


def test_neither_fragments_nor_pixels_are_undecodable_and_not_truncated(make_dicom, limits):
    data = labelled(make_dicom(PixelData=b"\1\2\3\4" * 500), uid.JPEG2000)
    with pytest.raises(Rejected) as caught:
        normalise(data, limits)
    assert caught.value.reason is ReasonCode.UNDECODABLE

"""Look-up tables as writers write them: every reading must give the curve that was meant."""

import numpy as np
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from xraygpt_core.dicom.pixels import grey_of_dicom
from xraygpt_core.dicom.tables import read_table

STORED = np.arange(4096, dtype=np.uint16).reshape(64, 64)
CURVE = np.rint(4095 * np.sqrt(np.arange(4096) / 4095)).astype("<u2")  # rises fast, so a lost table shows
CURVE_8 = (CURVE >> 4).astype(np.uint8)
WINDOW = {"WindowCenter": 2048, "WindowWidth": 4096}
LINEAR = np.rint(STORED / 4095 * 255)


def item(descriptor, data, *, vr="US", data_vr="OW", big=False):
    made = Dataset()
    if vr in ("UN", "OW"):
        descriptor = np.array(descriptor, dtype=">u2" if big else "<u2").tobytes()
    if descriptor is not None:
        made.add_new(0x00283002, vr, descriptor if isinstance(descriptor, bytes) else list(descriptor))
    if data is not None:
        made.add_new(0x00283006, data_vr, data)
    made.set_original_encoding(is_implicit_vr=False, is_little_endian=not big)
    return made


def seen(values=STORED, **elements):
    header = Dataset()
    header.PhotometricInterpretation, header.PixelRepresentation = "MONOCHROME2", int(values.dtype.kind == "i")
    for keyword, value in elements.items():
        setattr(header, keyword, value)
    return grey_of_dicom(values, header, 12)


def is_curve(shown):
    return np.abs(shown.grey - CURVE[STORED] / 4095 * 255).max() <= 1


@pytest.mark.parametrize(
    ("descriptor", "data", "contradicted"),
    [
        ((4096, 0, 12), CURVE.tobytes(), False),
        ((4096, 0, 12), CURVE.tobytes() + b"\xff\0" * 50, False),  # more than promised
        ((4096, 0, 12), CURVE.tobytes()[:-2], False),  # one entry less
        ((4096, 0, 12), CURVE.tobytes()[:-1], False),  # half an entry less
        ((4096, 0, 16), CURVE.tobytes(), False),  # 16 bits over 12
        ((4096, 0, 8), CURVE_8.tobytes(), False),
        ((4096, 0, 8), CURVE_8.astype("<u2").tobytes(), False),  # 8 bits, each padded to a word
        ((4096, 0, 16), CURVE_8.tobytes(), True),
        ((4096, 0, 12), CURVE_8.tobytes(), True),
        ((4096, 0, 8), CURVE_8.astype("<u2").tobytes()[:-2], False),  # the same, one entry less
        ((4096, 0, 8), CURVE.tobytes(), True),
        ((4096, 0, 12), CURVE.byteswap().tobytes(), True),
        ((4096, 0, 0), CURVE.tobytes(), False),
        ((4096, 0, 0), CURVE_8.tobytes(), False),
    ],
)
def test_the_width_of_an_entry_is_the_descriptor_s_unless_only_the_other_can_be(descriptor, data, contradicted):
    shown = seen(VOILUTSequence=[item(descriptor, data)])
    assert is_curve(shown)
    assert shown.contradicted is contradicted


def test_the_last_entry_stands_for_those_that_are_missing():
    half = CURVE[:2048]
    shown = seen(VOILUTSequence=[item((4096, 0, 12), half.tobytes())])
    assert np.array_equal(shown.grey, np.rint(half[np.minimum(STORED, 2047)] / 4095 * 255))
    assert shown.contradicted  # half of the pixels hit what is not there


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize(("vr", "data_vr"), [("US", "OW"), ("OW", "OW"), ("UN", "UN"), ("US", "US")])
@pytest.mark.parametrize("bits", [8, 12])
def test_a_table_means_the_same_in_every_vr_and_byte_order(big, vr, data_vr, bits):
    entries = CURVE if bits == 12 else np.frombuffer(CURVE_8.tobytes(), "<u2")
    data = [int(one) for one in entries] if data_vr == "US" else entries.astype(">u2" if big else "<u2").tobytes()
    table = read_table(item([4096, 0, bits], data, vr=vr, data_vr=data_vr, big=big))
    assert np.array_equal(table.entries, CURVE if bits == 12 else CURVE_8)
    assert not table.contradicted


def test_no_entries_are_65536():
    table = read_table(item([0, 0, 16], np.arange(65536, dtype="<u2").tobytes()))
    assert (table.descriptor.count, len(table.entries)) == (65536, 65536)


@pytest.mark.parametrize(
    ("first", "vr"),
    [([4096, 64512, 12], "US"), ([4096, -1024, 12], "SS"), ([4096, 64512, 12], "UN"), ([4096, 64512, 12], "OW")],
)
def test_the_first_input_is_negative_where_the_values_are(first, vr):
    voi = [item(first, CURVE.tobytes(), vr=vr)]
    assert is_curve(seen(RescaleIntercept=-1024, VOILUTSequence=voi))  # of unsigned pixels
    assert is_curve(seen(STORED.astype(np.int16) - 1024, VOILUTSequence=voi))
    assert is_curve(seen(STORED.astype(np.int16) - 1024, ModalityLUTSequence=voi, **WINDOW))


@pytest.mark.parametrize(("first", "vr"), [([4096, 61440, 12], "US"), ([4096, -4096, 12], "SS")])
def test_the_first_input_is_positive_where_the_values_are(first, vr):
    assert is_curve(seen(STORED + np.uint16(61440), VOILUTSequence=[item(first, CURVE.tobytes(), vr=vr)]))


FLAT = np.full(4096, 4095, dtype="<u2").tobytes()
UNUSABLE = {
    "empty": item(None, None),
    "without data": item([4096, 0, 12], None),
    "of no bytes": item([4096, 0, 12], b""),
    "flat": item([4096, 0, 12], FLAT),
    "of one entry": item([1, 0, 12], b"\xff\x0f"),
    "without descriptor": item(None, CURVE.tobytes()),
    "half a descriptor": item([4096, 0], CURVE.tobytes()),
    "outside all values": item([4096, 9000, 12], CURVE.tobytes()),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_a_voi_lut_that_shows_nothing_is_passed_over(kind):
    unusable = UNUSABLE[kind]
    assert is_curve(seen(VOILUTSequence=[unusable, item([4096, 0, 12], CURVE.tobytes())], **WINDOW))
    beside_a_window = seen(VOILUTSequence=[unusable], **WINDOW)
    assert np.array_equal(beside_a_window.grey, LINEAR)
    assert not beside_a_window.contradicted
    assert np.array_equal(seen(VOILUTSequence=[unusable]).grey, seen().grey)


@pytest.mark.parametrize("kind", UNUSABLE)
def test_a_modality_lut_that_cannot_be_used_gives_way_to_the_rescale_and_is_told(kind):
    shown = seen(ModalityLUTSequence=[UNUSABLE[kind]], RescaleSlope=2, WindowCenter=4096, WindowWidth=8191)
    assert np.abs(shown.grey - LINEAR).max() <= 1
    assert shown.contradicted


def test_a_modality_lut_outweighs_the_rescale():
    assert is_curve(seen(ModalityLUTSequence=[item([4096, 0, 12], CURVE.tobytes())], RescaleSlope=-5, **WINDOW))


@pytest.mark.parametrize("first", [(90_000, 100), (2000, 0), ("", 4096)])
def test_a_window_that_shows_nothing_gives_way_to_the_second(first):
    shown = seen(WindowCenter=[first[0], 2048], WindowWidth=[first[1], 4096])
    assert np.array_equal(shown.grey, LINEAR)


def test_a_window_that_is_no_number_does_not_spoil_the_second():
    header = Dataset()
    header.PhotometricInterpretation, header.WindowWidth = "MONOCHROME2", 4096
    header[0x00281050] = RawDataElement(Tag(0x00281050), "DS", 10, b"none\\2048 ", 0, False, True)
    assert np.array_equal(grey_of_dicom(STORED, header, 12).grey, LINEAR)


def test_a_presentation_lut_comes_last():
    table = [item([4096, 0, 12], CURVE.tobytes())]
    assert is_curve(seen(PresentationLUTSequence=table, **WINDOW))
    falling = [item([4096, 0, 12], CURVE[::-1].tobytes())]
    turned = seen(PresentationLUTSequence=falling, PhotometricInterpretation="MONOCHROME1", **WINDOW)
    assert np.array_equal(turned.grey, seen(PresentationLUTSequence=falling, **WINDOW).grey)
    rising = seen(PresentationLUTSequence=table, PhotometricInterpretation="MONOCHROME1", **WINDOW)
    assert np.array_equal(rising.grey, np.rint(CURVE[4095 - STORED] / 4095 * 255))

"""Elements that do not keep to the standard, and that the film behind them is found all the same."""

import struct

import numpy as np
import pytest
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from xraygpt_core.dicom.normalise import normalise
from xraygpt_core.dicom.walk import guess_encoding, walk
from xraygpt_core.errors import Rejected
from xraygpt_core.states import ReasonCode

WINDOW = {"WindowCenter": 2048, "WindowWidth": 4096}


@pytest.mark.parametrize("vr", [b"  ", b"\0\0", b"ZZ", b"us", b"--"])
@pytest.mark.parametrize("element", [b"\x28\0\x20\x01US", b"\x28\0\x02\0US", b"\x28\0\x50\x10DS", b"\x08\0\x16\0UI"])
def test_an_element_without_a_vr_is_read_by_the_dictionary(make_dicom, limits, vr, element):
    data = make_dicom(**WINDOW, PixelPaddingValue=0)
    at = data.index(element, 144)
    broken = data[: at + 4] + vr + data[at + 6 :]
    assert normalise(broken, limits) == normalise(data, limits)


def test_pixel_data_without_a_vr_are_pixel_data(make_dicom, limits):
    data = make_dicom(**WINDOW)
    assert normalise(data.replace(b"\xe0\x7f\x10\0OW", b"\xe0\x7f\x10\0  "), limits) == normalise(data, limits)


def test_a_private_element_of_an_impossible_vr_is_stepped_over(make_dicom, limits):
    data = make_dicom(**WINDOW)
    at = data.rindex(b"\xe0\x7f\x10\0")
    assert normalise(data[:at] + b"\xdf\x7f\x01\x10ZZ\4\0" + b"1234" + data[at:], limits) == normalise(data, limits)


def icon():
    made = Dataset()
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.Rows = made.Columns = 64
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 8, 8, 7, 0
    made.PixelData = np.arange(64 * 64, dtype=np.uint16).astype(np.uint8).tobytes()
    made["PixelData"].VR = "OB"
    return made


def with_icon(make_dataset, save_dataset, film, syntax, *, private, undefined):
    dataset = make_dataset(film, **WINDOW)
    if private:
        dataset.private_block(0x0009, "SOMEBODY", create=True).add_new(1, "SQ", Sequence([icon()]))
    else:
        dataset.IconImageSequence = Sequence([icon()])
    sequence = next(element for element in dataset if element.VR == "SQ")
    sequence.is_undefined_length = sequence.value[0].is_undefined_length_sequence_item = undefined
    return save_dataset(dataset, syntax)


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian])
@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("missing", [0, 2, 8, 64, 3000, 4108])
def test_an_icon_that_counts_too_few_bytes_is_not_the_film(
    make_dataset, save_dataset, film, make_dicom, limits, syntax, private, missing
):
    data = bytearray(with_icon(make_dataset, save_dataset, film, syntax, private=private, undefined=False))
    item = data.index(b"\xfe\xff\0\xe0")
    for at in (item - 4, item + 4):  # the sequence, and its only item
        length = struct.unpack_from("<I", data, at)[0]
        struct.pack_into("<I", data, at, length - missing)
    assert normalise(bytes(data), limits) == normalise(make_dicom(**WINDOW), limits)


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian])
def test_an_icon_whose_pixels_count_too_few_bytes_is_not_the_film(
    make_dataset, save_dataset, film, make_dicom, limits, syntax
):
    data = bytearray(with_icon(make_dataset, save_dataset, film, syntax, private=False, undefined=True))
    at = data.index(b"\xe0\x7f\x10\0") + (8 if syntax == uid.ExplicitVRLittleEndian else 4)
    struct.pack_into("<I", data, at, 4000)
    assert normalise(bytes(data), limits) == normalise(make_dicom(**WINDOW), limits)


def test_an_icon_alone_is_no_film(make_dataset, save_dataset, film, limits):
    dataset = make_dataset(film)
    dataset.IconImageSequence = Sequence([icon()])
    del dataset.PixelData
    with pytest.raises(Rejected) as caught:
        normalise(save_dataset(dataset), limits)
    assert caught.value.reason is ReasonCode.NO_PIXELS


def test_a_repair_never_takes_a_nested_patient_for_the_patient(make_dataset, save_dataset, film, limits):
    other = Dataset()
    other.PatientID, other.TypeOfPatientID = "SOMEBODY-ELSE", "TEXT"
    dataset = make_dataset(film)
    dataset.OtherPatientIDsSequence = Sequence([other])
    data = bytearray(save_dataset(dataset))
    item = data.index(b"\xfe\xff\0\xe0")
    for at in (item - 4, item + 4):
        struct.pack_into("<I", data, at, struct.unpack_from("<I", data, at)[0] - 6)
    assert normalise(bytes(data), limits).identifiers.patient_id == "CANARY-PATIENT"


def test_elements_out_of_order_are_read(make_dicom, limits):
    data = make_dicom(**WINDOW)
    at = data.index(b"\x18\0\x15\0CS")
    late = b"\x08\0\x70\0LO\4\0ACME"
    assert normalise(data[:at] + late + data[at:], limits) == normalise(data, limits)


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian])
def test_the_walk_ends_with_the_pixels_of_every_encoding(make_dicom, film, syntax):
    data = make_dicom(film, syntax=syntax)
    offset = 144 + int.from_bytes(data[140:144], "little")
    encoding = guess_encoding(data, offset)
    assert encoding is not None
    found = walk(data, offset, encoding)
    assert found[-1].tag == 0x7FE00010
    assert data[found[-1].start : found[-1].value_end] == film.tobytes()


def test_pixels_that_no_element_leads_to_are_undecodable_and_neither_missing_nor_cut(make_dicom, limits):
    data = make_dicom()
    at = data.rindex(b"\xe0\x7f\x10\0")
    soup = b"\x30\0\1\0US\4\0" * 40_000  # takes each next element for its value
    with pytest.raises(Rejected) as caught:
        normalise(data[:at] + b"\x29\0\0\x20UN\0\0\6\0\0\0" + soup + data[at:] + b"not an element" * 9, limits)
    assert caught.value.reason is ReasonCode.UNDECODABLE

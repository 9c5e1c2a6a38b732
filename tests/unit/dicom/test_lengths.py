"""Elements whose length, or VR, is not what the file says: the film is found, and doubted where it may be wrong."""

import struct
from dataclasses import replace

import pytest
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from xraygpt_core.dicom.normalise import normalise
from xraygpt_core.errors import Rejected
from xraygpt_core.states import Flag, ReasonCode

WINDOW = {"WindowCenter": 2000, "WindowWidth": 4000}
PIXELS = b"\xe0\x7f\x10\0OW\0\0"


@pytest.fixture
def data(make_dicom):
    return make_dicom(**WINDOW, PixelPaddingValue=1)


@pytest.mark.parametrize("by", [-2, -1, 1, 2, 4])
@pytest.mark.parametrize("element", [b"\x28\0\x50\x10DS", b"\x28\0\x51\x10DS", b"\x28\0\x10\0US", b"\x28\0\x20\x01US"])
def test_a_length_that_is_a_little_wrong_costs_nothing(data, limits, element, by):
    at = data.index(element, 144) + 6
    length = struct.unpack_from("<H", data, at)[0] + by
    seen, right = normalise(data[:at] + struct.pack("<H", length) + data[at + 2 :], limits), normalise(data, limits)
    assert Flag.HEADER_CONTRADICTS_PIXELS in seen.flags
    assert replace(seen, flags=right.flags) == right


@pytest.mark.parametrize("tag", [b"\x09\0\x10\x10", b"\x19\0\x10\x10", b"\x01\x5f\x10\x10"])
def test_a_private_value_of_odd_length_may_be_padded(make_dicom, data, limits, tag):
    odd = tag + b"OB\0\0" + struct.pack("<I", 5) + b"abcde\0"
    behind = {0x09: b"\x10\0\x20\0LO", 0x19: b"\x20\0\x0d\0UI", 0x01: PIXELS}[tag[0]]
    at = data.rindex(behind)
    assert normalise(data[:at] + odd + data[at:], limits) == normalise(data, limits)


@pytest.mark.parametrize("blank", [b"  ", b"\0\0", b"??"])
def test_a_header_without_any_vr_is_read_by_the_dictionary(data, limits, blank):
    broken, at = bytearray(data), 144 + int.from_bytes(data[140:144], "little")
    while not broken.startswith(PIXELS, at):
        broken[at + 4 : at + 6] = blank
        at += 8 + struct.unpack_from("<H", broken, at + 6)[0]
    assert normalise(bytes(broken), limits) == normalise(data, limits)


@pytest.mark.parametrize("vr", [b"US", b"SS", b"UN", b"SQ"])
def test_pixel_data_are_pixel_data_under_any_vr(data, limits, vr):
    assert normalise(data.replace(PIXELS, PIXELS[:4] + vr + b"\0\0"), limits) == normalise(data, limits)


@pytest.mark.parametrize("promised", [0, 2, 60_000, 122_878])
def test_pixels_that_stand_behind_the_end_that_is_promised_are_read(data, limits, promised):
    at = data.rindex(PIXELS) + 8
    seen, right = normalise(data[:at] + struct.pack("<I", promised) + data[at + 4 :], limits), normalise(data, limits)
    assert Flag.HEADER_CONTRADICTS_PIXELS in seen.flags
    assert replace(seen, flags=right.flags) == right


def test_an_icon_of_odd_length_is_not_the_film(make_dataset, save_dataset, film, make_dicom, limits):
    icon = Dataset()
    icon.BitsAllocated = 8
    icon.Rows = icon.Columns = 64
    icon.PixelData = bytes(range(256)) * 16
    dataset = make_dataset(film, **WINDOW, PixelPaddingValue=1, IconImageSequence=Sequence([icon]))
    dataset["IconImageSequence"].is_undefined_length = icon.is_undefined_length_sequence_item = True
    data = save_dataset(dataset, uid.ImplicitVRLittleEndian)
    at = data.index(b"\xe0\x7f\x10\0\0\x10\0\0") + 4
    right = normalise(make_dicom(**WINDOW, PixelPaddingValue=1), limits)
    assert normalise(data[:at] + struct.pack("<I", 4095) + data[at + 4 :], limits) == right


def test_a_header_that_ends_in_an_icon_is_truncated(make_dataset, save_dataset, film, limits):
    icon = Dataset()
    icon.BitsAllocated = 8
    icon.PixelData = bytes(4096)
    data = save_dataset(make_dataset(film, **WINDOW, IconImageSequence=Sequence([icon])), uid.ExplicitVRLittleEndian)
    with pytest.raises(Rejected) as caught:
        normalise(data[: data.index(b"\xe0\x7f\x10\0") + 2000], limits)
    assert caught.value.reason is ReasonCode.TRUNCATED

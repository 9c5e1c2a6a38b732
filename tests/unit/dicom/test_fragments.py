"""One frame is all fragments, whatever the tables of offsets say (PS3.5 A.4)."""

import struct
from itertools import pairwise

import pytest
from pydicom import uid

from xraygpt_core.dicom.fragments import read_fragments
from xraygpt_core.dicom.normalise import normalise
from xraygpt_core.errors import Rejected
from xraygpt_core.states import ReasonCode

WINDOW = {"WindowCenter": 2048, "WindowWidth": 4096}
END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def item(body, *, length=None):
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(body) if length is None else length) + body


@pytest.fixture(scope="module")
def stream(make_dicom, tmp_path_factory):
    """A JPEG-LS codestream of the film."""
    import gdcm

    source = tmp_path_factory.mktemp("native") / "film.dcm"
    source.write_bytes(make_dicom())
    reader, change = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax()
    reader.SetFileName(str(source))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLSLossless))
    change.SetInput(reader.GetImage())
    assert change.Change()
    fragments = change.GetOutput().GetDataElement().GetSequenceOfFragments()
    return fragments.GetFragment(0).GetByteValue().GetBuffer().encode("utf-8", "surrogateescape")


@pytest.fixture
def film_of(make_dicom):
    """A function that writes these bytes as the value of Pixel Data, of undefined length."""

    def make(value, **header):
        data = make_dicom(**WINDOW, **header)
        at = data.rindex(b"\xe0\x7f\x10\0")
        whole = data[:at] + b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff" + value
        label, new = uid.ExplicitVRLittleEndian.encode() + b"\0", uid.JPEGLSLossless.encode()
        meta = whole[144:at].replace(bytes([len(label), 0]) + label, bytes([len(new), 0]) + new, 1)
        length = int.from_bytes(whole[140:144], "little") + len(new) - len(label)
        return whole[:140] + struct.pack("<I", length) + meta + whole[at:]

    return make


def parts(stream, *cuts):
    ends = [0, *cuts, len(stream)]
    return [stream[a:b] for a, b in pairwise(ends)]


def offsets(*numbers):
    return item(struct.pack(f"<{len(numbers)}I", *numbers))


@pytest.mark.parametrize(
    "table",
    [b"", offsets(), offsets(0), offsets(0, 1008), offsets(4_000_000_000), offsets(0, 0, 0, 0), item(b"\xff" * 6)],
    ids=["left out", "empty", "right", "of fragments", "beyond", "of frames", "no numbers"],
)
def test_the_table_of_offsets_costs_nothing(make_dicom, film_of, stream, limits, table):
    data = film_of(table + b"".join(map(item, parts(stream, 1000, 5000))) + END)
    assert normalise(data, limits) == normalise(make_dicom(**WINDOW), limits)


def test_the_extended_tables_cost_nothing(make_dicom, film_of, stream, limits):
    header = {"ExtendedOffsetTable": struct.pack("<Q", 10**9), "ExtendedOffsetTableLengths": struct.pack("<Q", 4)}
    data = film_of(offsets() + item(stream) + END, **header)
    assert normalise(data, limits) == normalise(make_dicom(**WINDOW), limits)


@pytest.mark.parametrize("frames", [None, "1", "0"])
def test_the_number_of_frames_costs_nothing(make_dicom, film_of, stream, limits, frames):
    data = film_of(offsets() + b"".join(map(item, parts(stream, 4000))) + END, NumberOfFrames=frames)
    assert normalise(data, limits) == normalise(make_dicom(**WINDOW), limits)


@pytest.mark.parametrize(
    "tail",
    [b"", END + bytes(700), item(b"") + END, item(bytes(300)) + END, END + b"\xfc\xff\xfc\xffOB\0\0\4\0\0\0abcd"],
    ids=["no delimiter", "padding", "an empty fragment", "a fragment of padding", "trailing padding"],
)  # fmt: skip
def test_what_follows_the_codestream_costs_nothing(make_dicom, film_of, stream, limits, tail):
    assert normalise(film_of(offsets() + item(stream) + tail), limits) == normalise(make_dicom(**WINDOW), limits)


@pytest.mark.parametrize("padded", [True, False])
def test_odd_fragments_are_joined_without_what_makes_them_even(make_dicom, film_of, stream, limits, padded):
    first, second = parts(stream, 4001)
    body = item(first) + (b"\0" if padded else b"") + item(b"") + item(second)
    assert normalise(film_of(offsets() + body + END), limits) == normalise(make_dicom(**WINDOW), limits)


def test_a_fragment_that_promises_more_than_the_file_has_is_truncated(film_of, stream, limits):
    data = film_of(offsets() + item(stream[:5000], length=len(stream)))
    with pytest.raises(Rejected) as caught:
        normalise(data, limits)
    assert caught.value.reason is ReasonCode.TRUNCATED


def test_what_begins_with_no_item_is_no_fragments():
    assert read_fragments(b"\xff\xd8\xff\xe0" + bytes(100)) is None
    assert read_fragments(b"") is None

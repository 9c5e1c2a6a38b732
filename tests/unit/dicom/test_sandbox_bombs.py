"""Files made to take the decoder down: bombs, lying headers, damaged codestreams."""

import struct
import zlib

import pytest
from pydicom import uid

from tests.support.sandbox_tools import refused
from xraygpt_core.dicom.sandbox import Sandbox
from xraygpt_core.dicom.types import Limits
from xraygpt_core.errors import Rejected
from xraygpt_core.states import ReasonCode


class TestBombs:
    def test_a_deflated_film_of_four_billion_pixels(self, sandbox, make_dataset, save_dataset, film, make_dicom):
        dataset = make_dataset(film, Rows=65535, Columns=65535, PixelData=bytes(8 * 2**20))
        assert (
            refused(sandbox, save_dataset(dataset, uid.DeflatedExplicitVRLittleEndian)).reason is ReasonCode.TOO_LARGE
        )
        assert sandbox.normalise(make_dicom()).view == "PA"

    def test_a_deflated_film_that_never_ends(self, sandbox, make_dicom):
        data = make_dicom(syntax=uid.DeflatedExplicitVRLittleEndian)
        head = 144 + int.from_bytes(data[140:144], "little")
        deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
        bomb = b"".join(deflate.compress(bytes(2**20)) for _ in range(450))
        assert refused(sandbox, data[:head] + bomb).reason in (ReasonCode.TOO_LARGE, ReasonCode.UNDECODABLE)
        assert sandbox.normalise(make_dicom()).view == "PA"

    def test_a_codestream_that_is_larger_than_its_header_says(self, sandbox, make_dicom, recode):
        data = bytearray(recode(make_dicom(), "JPEG2000Lossless"))
        size = data.index(b"\xff\x4f\xff\x51") + 8  # SIZ marker: Xsiz, Ysiz (ISO/IEC 15444-1 A.5.1)
        for at in (size, size + 4, size + 16, size + 20):  # and one tile as large
            data[at : at + 4] = struct.pack(">I", 60_000)
        assert refused(sandbox, bytes(data)).reason is ReasonCode.TOO_LARGE  # nothing is decoded to find that out
        assert sandbox.normalise(make_dicom()).view == "PA"

    def test_a_picture_within_its_pixels_and_beyond_its_memory(self, make_dicom):
        header = struct.pack(">IIBBBBB", 30_000, 30_000, 16, 6, 0, 0, 0)
        rows = zlib.compress(bytes(10**6), 9)
        body = [(b"IHDR", header), (b"IDAT", rows), (b"IEND", b"")]
        png = b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            for kind, data in body
        )
        with Sandbox(Limits(10**10, 20.0, 2**28)) as small:
            assert refused(small, png).reason in (ReasonCode.TOO_LARGE, ReasonCode.UNDECODABLE)
            assert small.normalise(make_dicom()).view == "PA"

    @pytest.mark.parametrize("syntax", ["JPEGLosslessProcess14_1", "JPEGLSLossless", "JPEG2000Lossless", "RLELossless"])
    def test_corrupt_codestreams_never_take_the_sandbox_down(self, sandbox, make_dicom, recode, syntax):
        data, good = recode(make_dicom(), syntax), make_dicom()
        start = data.index(b"\xe0\x7f\x10\x00")
        for seed in range(12):
            broken = bytearray(data)
            for step in range(1 + seed):
                broken[start + 30 + (seed * 7919 + step * 104729) % (len(data) - start - 40)] ^= 1 + (seed * step) % 255
            try:
                sandbox.normalise(bytes(broken))
            except Rejected as caught:
                assert caught.reason in (ReasonCode.UNDECODABLE, ReasonCode.TRUNCATED, ReasonCode.BLANK)  # noqa: PT017
        assert sandbox.normalise(good).view == "PA"

"""Finding the dataset: preambles, cut files, and bytes that are no DICOM."""

import time
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import uid

from xraygpt_core.dicom.normalise import normalise
from xraygpt_core.dicom.parse import is_dicom, parse
from xraygpt_core.dicom.types import Limits
from xraygpt_core.errors import Rejected
from xraygpt_core.states import Flag, ReasonCode

LIMITS = Limits(max_pixels=16_000_000, decode_seconds=10, decode_memory_bytes=2**30)


def reason(data, limits=LIMITS):
    with pytest.raises(Rejected) as caught:
        normalise(data, limits)
    return caught.value.reason


def bare(data):
    """The dataset without preamble and file meta information."""
    length = int.from_bytes(data[140:144], "little")
    return data[144 + length :]


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian])
def test_a_dataset_without_preamble_and_meta_is_read(make_dicom, film, syntax):
    stored = film.astype(">u2") if syntax == uid.ExplicitVRBigEndian else film
    data = make_dicom(stored, syntax=syntax)
    assert normalise(bare(data), LIMITS) == normalise(data, LIMITS)


def test_meta_without_preamble_is_read(make_dicom):
    data = make_dicom()
    assert normalise(data[132:], LIMITS) == normalise(data, LIMITS)


def test_meta_that_names_another_encoding_is_outvoted_by_the_bytes(make_dicom):
    implicit, explicit = make_dicom(syntax=uid.ImplicitVRLittleEndian), make_dicom()
    liar = explicit[: len(explicit) - len(bare(explicit))] + bare(implicit)
    seen, honest = normalise(liar, LIMITS), normalise(explicit, LIMITS)
    assert replace(seen, flags=()) == replace(honest, flags=())
    assert set(seen.flags) - set(honest.flags) == {Flag.HEADER_CONTRADICTS_PIXELS}


def test_a_preamble_may_hold_anything(make_dicom):
    data = make_dicom()
    for magic in (b"II*\0", b"\x89PNG\r\n\x1a\n", b"MZ"):
        assert normalise(magic + data[len(magic) :], LIMITS) == normalise(data, LIMITS)


def test_zero_bytes_are_empty():
    assert reason(b"") is ReasonCode.EMPTY


@pytest.mark.parametrize("data", [b"\0", b"GIF89a" * 40, b"%PDF-1.7" * 40, b"\0" * 500, b"\x08\0" * 300, b"DICM" * 20])
def test_what_is_neither_dicom_nor_picture_says_so(data):
    assert reason(data) is ReasonCode.NOT_DICOM_OR_IMAGE


@settings(max_examples=300)
@given(st.binary(min_size=1, max_size=2000))
def test_random_bytes_are_no_dicom(data):
    assert not is_dicom(data)


@given(st.binary(max_size=600))
def test_random_bytes_after_the_first_element_are_no_dicom(data):
    assert not is_dicom(b"\x08\0\x05\0CS\x0a\0ISO_IR 100" + data)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(1, 120_000))
def test_a_cut_file_is_truncated_wherever_it_is_cut(make_dicom, cut):
    data = make_dicom()
    found = reason(data[: max(200, len(data) - cut)])
    assert found is ReasonCode.TRUNCATED


@pytest.mark.parametrize("syntax", ["JPEG2000Lossless", "JPEGLosslessProcess14_1", "RLELossless", "JPEGLSLossless"])
@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9, 0.999])
def test_a_cut_compressed_file_is_truncated(make_dicom, recode, syntax, kept):
    data = recode(make_dicom(), syntax)
    assert reason(data[: int(len(data) * kept)]) is ReasonCode.TRUNCATED


def test_a_cut_deflated_file_is_truncated(make_dicom):
    data = make_dicom(syntax=uid.DeflatedExplicitVRLittleEndian)
    assert reason(data[: len(data) // 2]) is ReasonCode.TRUNCATED


def test_a_corrupt_deflated_file_is_undecodable(make_dicom):
    data = make_dicom(syntax=uid.DeflatedExplicitVRLittleEndian)
    head = len(data) - len(bare(data))
    assert reason(data[:head] + b"\xff" * 500) is ReasonCode.UNDECODABLE


def test_a_deflate_bomb_is_too_large(make_dicom):
    data = make_dicom(syntax=uid.DeflatedExplicitVRLittleEndian)
    head = len(data) - len(bare(data))
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = b"".join(deflate.compress(bytes(2**20)) for _ in range(40)) + deflate.flush()
    assert reason(data[:head] + bomb, Limits(1_000_000, 1, 1)) is ReasonCode.TOO_LARGE


def test_a_dataset_without_pixels_says_so(make_dataset, save_dataset, film):
    dataset = make_dataset(film)
    del dataset.PixelData
    assert reason(save_dataset(dataset)) is ReasonCode.NO_PIXELS


def test_an_empty_pixel_element_is_no_pixels(make_dicom):
    assert reason(make_dicom(PixelData=b"")) is ReasonCode.NO_PIXELS


def test_constant_pixels_are_blank(make_dicom):
    assert reason(make_dicom(np.full((230, 230), 7, np.uint16))) is ReasonCode.BLANK


def test_bytes_behind_the_pixels_do_not_matter(make_dicom):
    data = make_dicom()
    assert normalise(data + bytes(512), LIMITS) == normalise(data, LIMITS)
    padded = make_dicom(DataSetTrailingPadding=bytes(64))
    assert normalise(padded, LIMITS) == normalise(data, LIMITS)


def test_megabytes_of_padding_behind_the_pixels_cost_nothing(make_dicom):
    data, started = make_dicom(), time.thread_time()
    assert normalise(data + bytes(64 * 2**20), LIMITS) == normalise(data, LIMITS)
    assert time.thread_time() - started < 5


def test_sequences_nested_without_end_are_rejected(make_dicom):
    data = make_dicom()
    at = 144 + int.from_bytes(data[140:144], "little")
    nested = b"\x08\0\x32\x10SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff" * 3000
    assert reason(data[:at] + nested + data[at:]) in (ReasonCode.TRUNCATED, ReasonCode.UNDECODABLE)


def test_sequences_of_every_kind_are_stepped_over(make_dataset, save_dataset, film):
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    inner = Dataset()
    inner.CodeValue = "1"
    for undefined in (True, False):
        dataset = make_dataset(film)
        dataset.ProcedureCodeSequence = Sequence([inner, inner])
        dataset["ProcedureCodeSequence"].is_undefined_length = undefined
        for item in dataset.ProcedureCodeSequence:
            item.is_undefined_length_sequence_item = undefined
        parsed = parse(save_dataset(dataset), LIMITS)
        assert not parsed.cut
        assert parsed.pixels is not None
        assert parsed.pixels.value == film.tobytes()


@pytest.fixture(scope="module")
def films(make_dicom):
    return [
        make_dicom(),
        make_dicom(syntax=uid.ImplicitVRLittleEndian),
        make_dicom(syntax=uid.ExplicitVRBigEndian),
        make_dicom(syntax=uid.DeflatedExplicitVRLittleEndian),
        make_dicom(WindowCenter="2048", WindowWidth="4096", PatientID="CANARY", StudyDescription="CANARY"),
    ]


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_mutated_file_is_read_or_rejected_and_never_raises_anything_else(films, data):
    film = bytearray(data.draw(st.sampled_from(films)))
    for _ in range(data.draw(st.integers(1, 6))):
        where = data.draw(st.integers(0, 1400) | st.integers(0, len(film) - 1))
        film[min(where, len(film) - 1)] = data.draw(st.integers(0, 255))
    try:
        normalise(bytes(film), Limits(200_000, 1, 1))
    except Rejected as caught:
        rejection = caught
    else:
        return
    assert "CANARY" not in rejection.detail

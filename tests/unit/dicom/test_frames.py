"""The protocol between sandbox and child, against a peer that does not keep to it."""

import json
import math
import socket
import struct
import time
from dataclasses import asdict, replace
from datetime import date
from datetime import time as clock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xraygpt_core.clinical_text import LONGEST, Clinical
from xraygpt_core.dicom import frames
from xraygpt_core.dicom.types import NO_FACTS, DeepCopy, HeaderFacts, Identifiers, NormalisedImage, StatedFacts
from xraygpt_core.errors import Rejected
from xraygpt_core.states import Flag, Origin, ReasonCode

PNG = b"\x89PNG\r\n\x1a\n"
IMAGE = NormalisedImage(
    normalised_png=PNG + b"normalised",
    preview_png=PNG + b"preview",
    rows=3,
    columns=4,
    pixel_sha256="ab",
    view=None,
    modality="CR",
    kind="dicom",
    expected_images=2,
    flags=(Flag.SYNTHETIC, Flag.VIEW_UNKNOWN),
    identifiers=Identifiers(patient_id="Ü"),
    origin=Origin.BONE,
    facts=HeaderFacts(date(2021, 3, 4), clock(5, 6), "L", (0.5, 0.25), "patient"),
    clinical=Clinical("Hüsteln", None),
    histogram_gaps=0.25,
)


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def soon():
    return time.monotonic() + 0.2


def test_an_image_survives_the_crossing():
    assert frames.unpack(frames.pack_image(IMAGE)) == IMAGE


def test_an_image_survives_the_crossing_with_its_16_bit_copy():
    image = replace(IMAGE, deep=DeepCopy(PNG + b"deep", (4095.0, -1.0), (2047.5, 4095.0)))
    assert frames.unpack(frames.pack_image(image)) == image


@pytest.mark.parametrize(
    "hostile",
    [
        {"png": b"deep"},
        {"scale": (math.nan, 1.0)},
        {"scale": (0.0, 0.0)},
        {"scale": (0.0, 1.0, 2.0)},
        {"scale": ("0", "1")},
        {"window": (0.0, math.inf)},
        {"window": (0.0, -1.0)},
        {"window": None},
    ],
)
def test_a_16_bit_copy_that_is_none_breaks_the_protocol(hostile):
    copy = replace(DeepCopy(PNG + b"deep", (0.0, 1.0), (5.0, 9.0)), **hostile)
    with pytest.raises(frames.ProtocolError):
        frames.unpack(frames.pack_image(replace(IMAGE, deep=copy)))


def test_pixels_of_16_bits_that_nothing_describes_break_the_protocol():
    body = frames.pack_image(IMAGE)
    sizes = struct.unpack(">IIII", body[:16])
    with pytest.raises(frames.ProtocolError):
        frames.unpack(struct.pack(">IIII", *sizes[:3], len(PNG)) + body[16:] + PNG)


def test_identifiers_survive_the_crossing_and_are_held_to_be_text():
    assert frames.unpack_identifiers(frames.pack_identifiers(IMAGE.identifiers)) == IMAGE.identifiers
    with pytest.raises(frames.ProtocolError):
        frames.unpack_identifiers(frames.pack_identifiers(Identifiers(patient_id=7)))


@pytest.mark.parametrize("hostile", [Clinical(7), Clinical("x" * (LONGEST + 1)), Clinical(technique=["x"])])
def test_clinical_text_is_held_to_be_text_of_a_bounded_length(hostile):
    with pytest.raises(frames.ProtocolError):
        frames.unpack(frames.pack_image(replace(IMAGE, clinical=hostile)))


def test_facts_survive_the_crossing():
    stated = StatedFacts(IMAGE.facts, 3, None, exchanged=True)

    assert frames.unpack_facts(frames.pack_facts(stated)) == stated


@pytest.mark.parametrize(
    "hostile",
    [
        {"spacing_mm": (math.nan, 1.0)},
        {"spacing_mm": (1.0,)},
        {"spacing_mm": (0.0, 1.0)},
        {"spacing_mm": ("1", "2")},
        {"spacing_mm": 7},
        {"laterality": "both"},
        {"spacing_at": ["patient"]},
    ],
)
def test_facts_that_are_none_break_the_protocol(hostile):
    facts = replace(IMAGE.facts, **hostile)
    with pytest.raises(frames.ProtocolError):
        frames.unpack(frames.pack_image(replace(IMAGE, facts=facts)))
    with pytest.raises(frames.ProtocolError):
        frames.unpack_facts(frames.pack_facts(StatedFacts(facts, 3, 4, exchanged=False)))
    with pytest.raises(frames.ProtocolError):
        frames.unpack_facts(frames.pack_facts(StatedFacts(IMAGE.facts, "3", 4, exchanged=False)))


def test_a_rejection_survives_the_crossing():
    with pytest.raises(Rejected) as caught:
        frames.unpack(frames.pack_rejection(Rejected(ReasonCode.BLANK, "why")))
    assert (caught.value.reason, caught.value.detail) == (ReasonCode.BLANK, "why")


def test_frames_arrive_in_order_and_whole(pair):
    ours, theirs = pair
    for body in (b"one", b"", b"three"):
        frames.send(ours, body)
    assert [frames.receive(theirs, most=10) for _ in range(3)] == [b"one", b"", b"three"]


def test_a_close_between_frames_is_the_end(pair):
    ours, theirs = pair
    ours.close()
    assert frames.receive(theirs, most=10) is None


def test_a_close_within_a_frame_is_an_error(pair):
    for sent in (b"\0\0", struct.pack(">Q", 9), struct.pack(">Q", 9) + b"half"):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.sendall(sent)
            ours.close()
            with pytest.raises(frames.ProtocolError):
                frames.receive(theirs, most=10)


def test_a_frame_that_is_too_long_is_refused_before_it_is_read(pair):
    ours, theirs = pair
    ours.sendall(struct.pack(">Q", 2**60))
    with pytest.raises(frames.ProtocolError):
        frames.receive(theirs, most=2**20)


def test_silence_ends_at_the_deadline(pair):
    with pytest.raises(TimeoutError):
        frames.receive(pair[0], most=10, deadline=soon())


def test_a_drip_of_bytes_does_not_move_the_deadline(pair):
    ours, theirs = pair
    ours.sendall(struct.pack(">Q", 100) + b"a few")
    with pytest.raises(TimeoutError):
        frames.receive(theirs, most=1000, deadline=soon())


def test_a_peer_that_does_not_read_ends_the_send_at_the_deadline(pair):
    with pytest.raises(TimeoutError):
        frames.send(pair[0], bytes(64 * 2**20), soon())


@given(st.binary(max_size=200))
def test_random_replies_are_protocol_errors(reply):
    with pytest.raises(frames.ProtocolError):
        frames.unpack(reply)


@pytest.mark.parametrize(
    "answer",
    [
        {}, [], "x", {"image": {}}, {"rejected": ["no such reason", "x"]}, {"rejected": 1},
        {"image": {"flags": ["no such flag"]}}, {"image": {"flags": [], "identifiers": {"name": "X"}}},
        {"image": {"flags": [], "identifiers": {}}},
    ],
)  # fmt: skip
def test_an_answer_of_another_shape_is_a_protocol_error(answer):
    body = json.dumps(answer).encode()
    with pytest.raises(frames.ProtocolError):
        frames.unpack(struct.pack(">IIII", len(body), 1, 1, 0) + body + b"ab")


@pytest.mark.parametrize(
    "changed",
    [{"rows": "3"}, {"columns": None}, {"rows": True}, {"view": ["PA"]}, {"expected_images": "2"}, {"extra": 1}],
)
def test_a_field_of_another_kind_is_a_protocol_error(changed):
    fields = {**asdict(IMAGE), "facts": asdict(NO_FACTS), **changed}
    normalised, preview = fields.pop("normalised_png"), fields.pop("preview_png")
    body = json.dumps({"image": fields}).encode()
    reply = struct.pack(">IIII", len(body), len(normalised), len(preview), 0) + body + normalised + preview
    with pytest.raises(frames.ProtocolError):
        frames.unpack(reply)


def test_identifiers_must_be_text():
    with pytest.raises(frames.ProtocolError):
        frames.unpack(frames.pack_image(replace(IMAGE, identifiers=Identifiers(patient_id=7))))


def test_an_image_without_pixels_is_a_protocol_error():
    body = frames.pack_image(IMAGE)
    size = struct.unpack(">IIII", body[:16])[0]
    with pytest.raises(frames.ProtocolError):
        frames.unpack(struct.pack(">IIII", size, 0, 0, 0) + body[16 : 16 + size])

"""Sealed numbers: only the right key opens them, only for the right image, and a box tells nothing by its length."""

import hashlib
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.test_privacy import settings_with
from xraygpt_core.errors import ConfigurationError
from xraygpt_core.sealing import Numbers, SealedNumbers, Sealer, load_sealer

KEY, OTHER = (hashlib.sha256(word).digest() for word in (b"sealing", b"another"))
SEALER = Sealer(KEY)
IMAGE = UUID(int=7)
NUMBERS = Numbers(accession="ACC1003", patient="PAT7", patient_issuer="CLINIC")

texts = st.none() | st.text(max_size=80)


def sealed(numbers: Numbers = NUMBERS, image: UUID = IMAGE) -> SealedNumbers:
    box = SEALER.seal(image, numbers)
    assert box is not None
    return box


def test_what_was_sealed_opens_for_its_image() -> None:
    assert SEALER.open(IMAGE, sealed()) == NUMBERS


def test_a_box_that_was_moved_to_another_image_does_not_open() -> None:
    assert SEALER.open(UUID(int=8), sealed()) is None


def test_another_key_does_not_open_it_whatever_fingerprint_is_claimed() -> None:
    thief = Sealer(OTHER)
    assert thief.open(IMAGE, sealed()) is None
    assert thief.open(IMAGE, SealedNumbers(sealed().box, thief.fingerprint)) is None


def test_the_key_before_opens_what_it_sealed_and_new_boxes_are_the_new_keys() -> None:
    both = Sealer(OTHER, SEALER)
    assert both.open(IMAGE, sealed()) == NUMBERS
    again = both.seal(IMAGE, NUMBERS)
    assert again is not None
    assert (again.key_fingerprint, both.fingerprints) == (both.fingerprint, (both.fingerprint, SEALER.fingerprint))
    assert SEALER.open(IMAGE, again) is None


def test_equal_numbers_make_boxes_that_nobody_sees_to_be_equal() -> None:
    assert sealed().box != sealed().box


@given(st.integers(0, 30))
def test_a_boxs_length_does_not_tell_the_numbers(length: int) -> None:
    assert len(sealed(Numbers(accession="x" * (length + 1))).box) == len(sealed(Numbers(patient="1")).box)


@given(st.integers(min_value=0), st.integers(1, 255))
def test_a_box_with_a_changed_byte_does_not_open(place: int, change: int) -> None:
    raw = bytearray(b64decode(sealed().box))
    raw[place % len(raw)] ^= change
    assert SEALER.open(IMAGE, SealedNumbers(b64encode(bytes(raw)).decode(), SEALER.fingerprint)) is None


@given(st.text(max_size=60))
def test_what_is_no_box_does_not_open(text: str) -> None:
    assert SEALER.open(IMAGE, SealedNumbers(text, SEALER.fingerprint)) is None


@given(st.builds(Numbers, texts, texts, texts, texts))
def test_every_number_comes_back_without_its_padding(numbers: Numbers) -> None:
    box = SEALER.seal(IMAGE, numbers)
    assert (box is None) == (not (numbers.accession or numbers.patient))
    if box is not None:
        expected = {name: value and value.strip(" \0") for name, value in vars(numbers).items()}
        assert vars(SEALER.open(IMAGE, box) or "") == expected


def test_half_a_letter_and_a_header_without_end_are_cut() -> None:
    opened = SEALER.open(IMAGE, sealed(Numbers(accession="A\ud800" + "9" * 5000)))
    assert opened is not None
    assert opened.accession is not None
    assert opened.accession.startswith("A?9")
    assert len(opened.accession) == 256


def test_neither_numbers_nor_key_show_in_a_repr() -> None:
    assert "ACC1003" not in repr(NUMBERS)
    assert KEY.hex() not in repr(SEALER)


def test_an_installation_keeps_none_unless_it_is_switched_on() -> None:
    assert load_sealer(settings_with(sealing_key=KEY.hex())) is None


def key_file(folder: Path, mode: int = 0o600) -> Path:
    path = folder / f"{uuid4().hex}.key"
    path.write_text(KEY.hex())
    path.chmod(mode)
    return path


def test_the_key_is_read_from_its_file_beside_the_one_before(tmp_path: Path) -> None:
    given = {"sealed_numbers": True, "sealing_key_file": key_file(tmp_path), "sealing_old_key": OTHER.hex()}
    sealer = load_sealer(settings_with(**given))
    assert sealer is not None
    assert sealer.fingerprints == (SEALER.fingerprint, Sealer(OTHER).fingerprint)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "XRAYGPT_SEALING_KEY_FILE"),
        ({"sealing_key": "00" * 32}, "can be guessed"),
        ({"sealing_key": "abc"}, "64 hex digits"),
        ({"sealing_key": KEY.hex(), "hmac_key": KEY.hex()}, "two different keys"),
        ({"sealing_key_file": Path("/nowhere/sealing.key")}, "restore it from the back-up"),
    ],
)
def test_a_missing_or_impossible_key_is_said(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        load_sealer(settings_with(sealed_numbers=True, **given))


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="chmod 600"):
        load_sealer(settings_with(sealed_numbers=True, sealing_key_file=key_file(tmp_path, 0o640)))


def test_a_key_comes_from_one_place(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="set one of XRAYGPT_SEALING_KEY_FILE and XRAYGPT_SEALING_KEY, not both"):
        settings_with(sealing_key=KEY.hex(), sealing_key_file=key_file(tmp_path))

"""Clinical text under seal: it opens for its own image and under its own key alone, and shows itself nowhere."""

import hashlib
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.test_privacy import settings_with
from xraygpt_core.clinical_sealing import ClinicalSealer, box_key, load_clinical_sealer
from xraygpt_core.clinical_text import LONGEST, UNKNOWN, Clinical
from xraygpt_core.errors import ConfigurationError

KEY, OTHER = (hashlib.sha256(word).digest() for word in (b"clinical", b"another"))
SEALER = ClinicalSealer(KEY)
IMAGE = UUID(int=7)
WORDS = Clinical("cough and fever", "CHEST; Thorax p.a.")

texts = st.none() | st.text(max_size=80)


def sealed(clinical: Clinical = WORDS, image: UUID = IMAGE) -> bytes:
    box = SEALER.seal(image, clinical)
    assert box is not None
    return box


def test_what_was_sealed_opens_for_its_image() -> None:
    assert SEALER.open(IMAGE, sealed()) == WORDS


def test_a_film_that_is_read_again_has_the_same_box_and_another_image_another_one() -> None:
    assert sealed() == sealed()
    assert sealed()[:12] != sealed(image=UUID(int=8))[:12]


def test_the_words_of_another_image_or_under_another_key_do_not_open() -> None:
    assert SEALER.open(UUID(int=8), sealed()) == UNKNOWN
    assert ClinicalSealer(OTHER).open(IMAGE, sealed()) == UNKNOWN


@given(st.integers(0, 200), st.binary(max_size=60))
def test_a_box_that_was_changed_or_is_none_does_not_open(at: int, junk: bytes) -> None:
    box = bytearray(sealed())
    box[at] ^= 1
    assert SEALER.open(IMAGE, bytes(box)) == UNKNOWN
    assert SEALER.open(IMAGE, junk) == UNKNOWN


@given(texts, texts, texts)
def test_whatever_a_header_says_can_be_sealed_and_opened(
    indication: str | None, technique: str | None, more: str | None
) -> None:
    box = SEALER.seal(IMAGE, Clinical(indication, technique, more))
    if box is not None:
        opened = SEALER.open(IMAGE, box)
        assert (opened.indication or "") == (indication or "").strip(" \0")


def test_nothing_makes_no_box_and_a_long_text_is_cut() -> None:
    assert SEALER.seal(IMAGE, UNKNOWN) is None
    assert SEALER.seal(IMAGE, Clinical("", " ")) is None
    assert len(SEALER.open(IMAGE, sealed(Clinical("x" * 5000))).indication or "") == LONGEST


def test_a_boxs_length_does_not_tell_whether_a_word_more_was_said() -> None:
    assert len(sealed(Clinical("cough"))) == len(sealed(Clinical("cough, fever and weight loss")))


def test_neither_words_nor_key_are_shown() -> None:
    assert "cough" not in repr(WORDS)
    assert repr(SEALER) == "ClinicalSealer()"
    key, sha256 = box_key(sealed())
    assert key == f"clinical/{sha256[:2]}/{sha256}.box"


def test_without_the_setting_there_is_no_sealer() -> None:
    assert load_clinical_sealer(settings_with(clinical_key=KEY.hex())) is None


def test_the_key_may_stand_in_a_file_of_its_owners(tmp_path: Path) -> None:
    file = tmp_path / "clinical.key"
    file.write_text(KEY.hex())
    file.chmod(0o600)
    sealer = load_clinical_sealer(settings_with(clinical_text=True, clinical_key_file=file))
    assert sealer is not None
    assert sealer.open(IMAGE, sealed()) == WORDS


@pytest.mark.parametrize(
    ("given_key", "message"),
    [
        ({}, "XRAYGPT_CLINICAL_KEY_FILE"),
        ({"clinical_key": "0" * 64}, "can be guessed"),
        ({"clinical_key": KEY.hex(), "sealing_key": KEY.hex().upper()}, "another key than the others"),
    ],
)
def test_a_missing_weak_or_shared_key_is_refused(given_key: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load_clinical_sealer(settings_with(clinical_text=True, **given_key))

"""Clinical text under seal: who seals cannot open; it opens for its own image and with its own key alone."""

import hashlib
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.clinical_keys import ANOTHER_KEY, ANOTHER_OPENER, KEY, OPENER, SEALER
from tests.unit.core.test_privacy import settings_with
from workers import sealing_half as command
from xraygpt_core import clinical_sealing
from xraygpt_core.clinical_sealing import (
    ClinicalOpener,
    ClinicalSealer,
    box_key,
    load_clinical_opener,
    load_clinical_sealer,
    sealing_half,
)
from xraygpt_core.clinical_text import LONGEST, UNKNOWN, Clinical
from xraygpt_core.errors import ConfigurationError

HALF = OPENER.sealing_half.hex()
IMAGE = UUID(int=7)
WORDS = Clinical("cough and fever", "CHEST; Thorax p.a.")

texts = st.none() | st.text(max_size=80)


def sealed(clinical: Clinical = WORDS, image: UUID = IMAGE) -> bytes:
    box = SEALER.seal(image, clinical)
    assert box is not None
    return box


def test_what_was_sealed_opens_for_its_image() -> None:
    assert OPENER.open(IMAGE, sealed()) == WORDS


def test_what_seals_is_no_key_and_does_not_tell_it() -> None:
    assert not hasattr(SEALER, "open")
    for part in (OPENER.sealing_half[:32], OPENER.sealing_half[32:64]):
        assert part != bytes.fromhex(KEY)
        assert ClinicalOpener(part).open(IMAGE, sealed()) == UNKNOWN


def test_a_film_that_is_read_again_has_the_same_box_and_another_image_or_word_another_one() -> None:
    assert sealed() == sealed()
    ephemeral_keys = {
        box[:32] for box in (sealed(), sealed(image=UUID(int=8)), sealed(Clinical("cough and fever", "CHEST")))
    }
    assert len(ephemeral_keys) == 3


def test_a_box_cannot_be_made_from_the_public_key_alone() -> None:
    guessed = half_of(OPENER.sealing_half[:32] + hashlib.sha256(b"a guess").digest())
    assert ClinicalSealer(guessed).seal(IMAGE, WORDS) != sealed()


def half_of(parts: bytes) -> bytes:
    """With the bytes that tell that it is whole."""
    return parts + hashlib.sha256(b"xraygpt clinical text 2|" + parts).digest()[:4]


@pytest.mark.parametrize(
    "half",
    [
        OPENER.sealing_half[32:64] + OPENER.sealing_half[:32] + OPENER.sealing_half[64:],
        bytes([OPENER.sealing_half[0] ^ 1]) + OPENER.sealing_half[1:],
        ANOTHER_OPENER.sealing_half[:32] + OPENER.sealing_half[32:],
    ],
    ids=["exchanged", "mistyped", "of two keys"],
)
def test_a_half_that_is_damaged_seals_nothing(half: bytes) -> None:
    with pytest.raises(ConfigurationError, match="damaged"):
        ClinicalSealer(half)


def test_the_words_of_another_image_or_for_another_key_do_not_open() -> None:
    assert OPENER.open(UUID(int=8), sealed()) == UNKNOWN
    assert ANOTHER_OPENER.open(IMAGE, sealed()) == UNKNOWN


def test_what_was_sealed_for_a_former_key_opens_while_that_is_kept() -> None:
    opener = ClinicalOpener(hashlib.sha256(b"new").digest(), [bytes.fromhex(key) for key in (ANOTHER_KEY, KEY)])
    assert opener.open(IMAGE, sealed()) == WORDS
    assert opener.open(UUID(int=8), sealed()) == UNKNOWN
    assert opener.sealing_half != OPENER.sealing_half


@given(st.integers(0, 200), st.binary(max_size=60))
def test_a_box_that_was_changed_or_is_none_does_not_open(at: int, junk: bytes) -> None:
    box = bytearray(sealed())
    box[at] ^= 1
    assert OPENER.open(IMAGE, bytes(box)) == UNKNOWN
    assert OPENER.open(IMAGE, junk) == UNKNOWN


@pytest.mark.parametrize("sender", [bytes(32), b"\1" + bytes(31)])
def test_a_sender_of_low_order_opens_nothing(sender: bytes) -> None:
    assert OPENER.open(IMAGE, sender + bytes(272)) == UNKNOWN


@pytest.mark.parametrize(
    "plain", [b"x", b"\xff", b"[]", b'{"a": 1}', b'{"indication": {"a": 1}}', b'{"indication": 7}', b"[" * 100_000]
)
def test_what_is_no_text_is_not_taken_for_words_whoever_sealed_it(
    plain: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json, "dumps", lambda _: plain.decode("latin-1"))
    assert OPENER.open(IMAGE, sealed()) == UNKNOWN


def test_more_letters_than_are_kept_are_not_shown_whoever_sealed_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clinical_sealing, "LONGEST", 10**6)
    box = sealed(Clinical("x" * 5000))
    monkeypatch.undo()
    assert len(OPENER.open(IMAGE, box).indication or "") == LONGEST


@given(texts, texts, texts)
def test_whatever_a_header_says_can_be_sealed_and_opened(
    indication: str | None, technique: str | None, more: str | None
) -> None:
    box = SEALER.seal(IMAGE, Clinical(indication, technique, more))
    if box is not None:
        opened = OPENER.open(IMAGE, box)
        assert (opened.indication or "") == (indication or "").strip(" \0")


def test_nothing_makes_no_box_and_a_long_text_is_cut() -> None:
    assert SEALER.seal(IMAGE, UNKNOWN) is None
    assert SEALER.seal(IMAGE, Clinical("", " ")) is None
    assert len(OPENER.open(IMAGE, sealed(Clinical("x" * 5000))).indication or "") == LONGEST


def test_a_boxs_length_does_not_tell_whether_a_word_more_was_said() -> None:
    assert len(sealed(Clinical("cough"))) == len(sealed(Clinical("cough, fever and weight loss")))


def test_neither_words_nor_key_are_shown() -> None:
    assert "cough" not in repr(WORDS)
    assert (repr(SEALER), repr(OPENER)) == ("ClinicalSealer()", "ClinicalOpener()")
    key, sha256 = box_key(sealed())
    assert key == f"clinical/{sha256[:2]}/{sha256}.box"


def test_without_the_setting_nothing_is_sealed_or_opened() -> None:
    assert load_clinical_sealer(settings_with(clinical_sealing_half=HALF)) is None
    assert load_clinical_opener(settings_with(clinical_key=KEY)) is None


def test_key_and_half_may_stand_in_files_of_their_owners(tmp_path: Path) -> None:
    key, half = tmp_path / "clinical.key", tmp_path / "clinical.half"
    for file, text in ((key, KEY), (half, HALF)):
        file.write_text(text + "\n")
        file.chmod(0o600)
    opener = load_clinical_opener(settings_with(clinical_text=True, clinical_key_file=key))
    sealer = load_clinical_sealer(settings_with(clinical_text=True, clinical_sealing_half_file=half))
    assert opener is not None
    assert sealer is not None
    assert opener.open(IMAGE, sealer.seal(IMAGE, WORDS) or b"") == WORDS


def test_a_worker_is_given_the_former_keys_too() -> None:
    new = hashlib.sha256(b"new").hexdigest()
    former = f"{ANOTHER_KEY}\n{KEY}\n"
    opener = load_clinical_opener(settings_with(clinical_text=True, clinical_key=new, clinical_old_key=former))
    assert opener is not None
    assert opener.open(IMAGE, sealed()) == WORDS


@pytest.mark.parametrize(
    ("given_key", "message"),
    [
        ({}, "XRAYGPT_CLINICAL_KEY_FILE"),
        ({"clinical_key": "0" * 64}, "can be guessed"),
        ({"clinical_key": KEY, "sealing_key": KEY.upper()}, "another key than the others"),
        (
            {"clinical_key": KEY, "clinical_old_key": ANOTHER_KEY, "hmac_key": ANOTHER_KEY},
            "another key than the others",
        ),
        ({"clinical_key": KEY, "clinical_old_key": f"{ANOTHER_KEY}\n00"}, "must be 64 hex digits"),
    ],
)
def test_a_missing_weak_or_shared_key_is_refused(given_key: dict[str, str], message: str) -> None:
    for load in (load_clinical_opener, sealing_half):
        with pytest.raises(ConfigurationError, match=message):
            load(settings_with(clinical_text=True, **given_key))


@pytest.mark.parametrize(
    ("given_half", "message"),
    [
        ({}, "python -m workers.sealing_half"),
        ({"clinical_sealing_half": HALF, "clinical_key": KEY}, "for GPU workers alone"),
        ({"clinical_sealing_half": HALF, "clinical_old_key_file": Path("old")}, "for GPU workers alone"),
        ({"clinical_sealing_half": HALF, "hmac_key": KEY}, "another key than the others"),
        ({"clinical_sealing_half": KEY}, "must be 136 hex digits"),
        ({"clinical_sealing_half": "0" * 136}, "make one with: python -m workers.sealing_half"),
    ],
)
def test_who_seals_is_asked_for_the_half_and_not_for_the_key(given_half: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load_clinical_sealer(settings_with(clinical_text=True, **given_half))


def test_a_command_prints_the_half_of_the_key(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XRAYGPT_CLINICAL_KEY", KEY)
    assert command.main() == 0
    assert capsys.readouterr().out == HALF + "\n"
    monkeypatch.setenv("XRAYGPT_CLINICAL_KEY_FILE", "of/yours")
    assert command.main() == 1
    both = capsys.readouterr().err
    assert "not both" in both
    assert KEY[-8:] not in both
    for name in ("XRAYGPT_CLINICAL_KEY", "XRAYGPT_CLINICAL_KEY_FILE"):
        monkeypatch.delenv(name)
    assert command.main() == 1
    assert "XRAYGPT_CLINICAL_KEY_FILE" in capsys.readouterr().err

"""Pseudonyms: stable, separated by domain, and only with the right key."""

import hashlib
import hmac
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xraygpt_core.errors import ConfigurationError
from xraygpt_core.privacy import Pseudonymiser, load_pseudonymiser
from xraygpt_core.settings import Settings

KEY = hashlib.sha256(b"a key").digest()
pseudonyms = Pseudonymiser(KEY)


def settings_with(**given: object) -> Settings:
    return Settings.model_validate(
        {
            "database_url": "postgresql://u:p@127.0.0.1/x",
            "redis_url": "redis://127.0.0.1/0",
            "bucket": "source",
            "derived_bucket": "derived",
            **given,
        }
    )


def expected(message: str) -> str:
    return hmac.new(KEY, message.encode(), hashlib.sha256).hexdigest()


def test_a_pseudonym_is_the_documented_hmac() -> None:
    assert pseudonyms.patient("4711", "CLINIC") == expected("patient|CLINIC|4711")
    assert pseudonyms.patient("4711") == expected("patient||4711")
    assert pseudonyms.accession("A1", "RIS") == expected("accession|RIS|A1")
    assert pseudonyms.study("1.2.3") == expected("study|1.2.3")
    assert pseudonyms.sop("1.2.3") == expected("sop|1.2.3")


def test_the_same_digits_differ_between_domains() -> None:
    made = {
        pseudonyms.patient("1.2.3"),
        pseudonyms.accession("1.2.3"),
        pseudonyms.study("1.2.3"),
        pseudonyms.sop("1.2.3"),
    }
    assert len(made) == 4


def test_an_absent_issuer_is_told_from_a_contradicting_one() -> None:
    assert pseudonyms.patient_id("1", "X") == pseudonyms.patient_id("1 ", " Y") == pseudonyms.patient("1")
    assert pseudonyms.patient_id("1") is pseudonyms.patient_id("1", "  ") is None


def test_the_issuer_tells_two_patients_apart() -> None:
    assert pseudonyms.patient("4711", "NORTH") != pseudonyms.patient("4711", "SOUTH")


@pytest.mark.parametrize("blank", [None, "", " ", "\0", " \t\0"])
def test_a_blank_identifier_has_no_pseudonym(blank: str | None) -> None:
    assert pseudonyms.patient(blank, "CLINIC") is None
    assert pseudonyms.study(blank) is None
    assert pseudonyms.accession(blank, "CLINIC") is None
    assert pseudonyms.sop(blank) is None


def test_dicom_padding_changes_nothing() -> None:
    assert pseudonyms.study("1.2.3\0") == pseudonyms.study("1.2.3")
    assert pseudonyms.patient(" 4711 ", "CLINIC ") == pseudonyms.patient("4711", "CLINIC")


_part = st.text(alphabet="a|\\b", min_size=1, max_size=4)


@given(_part, _part, _part, _part)
def test_two_different_pairs_never_share_a_pseudonym(issuer: str, number: str, issuer2: str, number2: str) -> None:
    same = (issuer, number) == (issuer2, number2)
    assert (pseudonyms.patient(number, issuer) == pseudonyms.patient(number2, issuer2)) is same


def test_another_key_makes_other_pseudonyms_and_another_fingerprint() -> None:
    other = Pseudonymiser(b"x" * 32)
    assert other.patient("4711") != pseudonyms.patient("4711")
    assert other.fingerprint != pseudonyms.fingerprint


def test_neither_repr_nor_fingerprint_shows_the_key() -> None:
    assert KEY.hex() not in repr(pseudonyms)
    assert len(pseudonyms.fingerprint) == 16


def test_the_key_comes_from_a_file_only_its_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "hmac.key"
    path.write_text(KEY.hex() + "\n")
    path.chmod(0o600)
    assert load_pseudonymiser(settings_with(hmac_key_file=path)).fingerprint == pseudonyms.fingerprint


def test_the_key_comes_from_a_setting() -> None:
    assert load_pseudonymiser(settings_with(hmac_key=KEY.hex())).fingerprint == pseudonyms.fingerprint


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_file_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "hmac.key"
    path.write_text(KEY.hex())
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        load_pseudonymiser(settings_with(hmac_key_file=path))


def test_a_missing_key_file_says_restore_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="restore it from the back-up"):
        load_pseudonymiser(settings_with(hmac_key_file=tmp_path / "gone.key"))


def test_a_folder_in_place_of_the_key_is_one_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "hmac.key"
    folder.mkdir(mode=0o700)
    with pytest.raises(ConfigurationError, match="cannot read the pseudonymisation key"):
        load_pseudonymiser(settings_with(hmac_key_file=folder))


@pytest.mark.parametrize("text", ["", "abc", "zz" * 32, "00" * 31, "00" * 33])
def test_a_malformed_key_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ConfigurationError, match="64 hex digits") as caught:
        load_pseudonymiser(settings_with(hmac_key=text))
    assert not text or text not in str(caught.value)


@pytest.mark.parametrize(
    "key",
    [
        bytes(32),
        b"\xff" * 32,
        b"\x00" * 31 + b"\x01",
        b"secretkey" * 3 + b"secre",
        bytes(range(32)),
        bytes(range(99, 67, -1)),
    ],
)
def test_a_key_that_is_a_pattern_is_refused_with_the_way_to_draw_one(tmp_path: Path, key: bytes) -> None:
    path = tmp_path / "hmac.key"
    path.write_text(key.hex())
    path.chmod(0o600)
    for settings in (settings_with(hmac_key_file=path), settings_with(hmac_key=key.hex())):
        with pytest.raises(
            ConfigurationError, match="that can be guessed; make one with: openssl rand -hex 32"
        ) as caught:
            load_pseudonymiser(settings)
        assert key.hex() not in str(caught.value)


def test_a_process_that_pseudonymises_does_not_start_without_a_key() -> None:
    with pytest.raises(ConfigurationError, match="XRAYGPT_HMAC_KEY_FILE"):
        load_pseudonymiser(settings_with())

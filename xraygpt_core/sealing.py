"""Accession and patient numbers, sealed: kept where an installation wants them, opened by its gateway alone.

A seal is AES-256-GCM (NIST SP 800-38D) with a random nonce of 96 bits before the box, and with the image's id as
associated data: a box that is moved to another image does not open. What is sealed is padded, so that the box's
length does not tell the number's. The key lies outside the database, like that of the pseudonyms and apart from it.
"""

import hashlib
import hmac
import json
import os
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from dataclasses import asdict, dataclass, field
from typing import NamedTuple
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from xraygpt_core.errors import ConfigurationError
from xraygpt_core.key_files import KeyWords, read_key
from xraygpt_core.settings import Settings

_WORDS = KeyWords("sealing key", "no other key opens the numbers that it sealed")
_NONCE_BYTES = 12
_BLOCK_BYTES = 64
_LONGEST = 256  # letters of each; an id is 64 long at most (DICOM PS3.5, 6.2)
_PURPOSE = b"xraygpt sealed numbers 1|"


@dataclass(frozen=True)
class Numbers:
    """The hospital's own numbers of one image. No field is shown by ``repr``."""

    accession: str | None = field(default=None, repr=False)  # AccessionNumber (0008,0050)
    accession_issuer: str | None = field(default=None, repr=False)  # (0008,0051)
    patient: str | None = field(default=None, repr=False)  # PatientID (0010,0020)
    patient_issuer: str | None = field(default=None, repr=False)  # (0010,0021)


class SealedNumbers(NamedTuple):
    """A box, in base64, and the fingerprint of the key that opens it."""

    box: str
    key_fingerprint: str


class Sealer:
    """Seals and opens numbers.

    Args:
        former: that of the key before, while rows are still sealed under it.
    """

    def __init__(self, key: bytes, former: "Sealer | None" = None) -> None:
        self._cipher = AESGCM(key)
        self.fingerprint = hmac.new(key, b"sealing fingerprint", hashlib.sha256).hexdigest()[:16]
        self.former = former

    def __repr__(self) -> str:
        return f"Sealer(fingerprint={self.fingerprint!r})"

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """16 hex digits of this key, and of the former one if there is one."""
        return (self.fingerprint,) if self.former is None else (self.fingerprint, self.former.fingerprint)

    def seal(self, image_id: UUID, numbers: Numbers) -> SealedNumbers | None:
        """A box for this image; None where there is no number."""
        if not (numbers.accession or numbers.patient):
            return None
        plain = json.dumps({name: value and _storable(value) for name, value in asdict(numbers).items()}).encode()
        plain = plain.ljust(-(-len(plain) // _BLOCK_BYTES) * _BLOCK_BYTES)
        nonce = os.urandom(_NONCE_BYTES)
        box = nonce + self._cipher.encrypt(nonce, plain, _PURPOSE + image_id.bytes)
        return SealedNumbers(b64encode(box).decode(), self.fingerprint)

    def open(self, image_id: UUID, sealed: SealedNumbers) -> Numbers | None:
        """The numbers of an image; None where the box is another image's, was changed, or needs another key."""
        sealer = next((one for one in (self, self.former) if one and one.fingerprint == sealed.key_fingerprint), None)
        if sealer is None:
            return None
        try:
            box = b64decode(sealed.box, validate=True)
            plain = sealer._cipher.decrypt(box[:_NONCE_BYTES], box[_NONCE_BYTES:], _PURPOSE + image_id.bytes)
        except (InvalidTag, Base64Error, ValueError):
            return None
        return Numbers(**json.loads(plain))


def _storable(value: str) -> str:
    """Not without end, and without halves of letters, which no answer can hold."""
    return value[:_LONGEST].encode("utf-8", "replace").decode().strip(" \0")


def load_sealer(settings: Settings) -> Sealer | None:
    """The sealer of this installation; None where it keeps no numbers.

    Raises:
        ConfigurationError: it keeps numbers, and the key is missing, readable by others, no key, or no secret at all;
            or it is the pseudonymisation key.
    """
    if not settings.sealed_numbers:
        return None
    key = read_key(settings.sealing_key, settings.sealing_key_file, "XRAYGPT_SEALING_KEY", _WORDS)
    former = read_key(settings.sealing_old_key, settings.sealing_old_key_file, "XRAYGPT_SEALING_OLD_KEY", _WORDS)
    if key is None:
        raise ConfigurationError(
            "settings: XRAYGPT_SEALED_NUMBERS is true, and XRAYGPT_SEALING_KEY_FILE (or XRAYGPT_SEALING_KEY) is missing"
        )
    if key == read_key(settings.hmac_key, settings.hmac_key_file, "XRAYGPT_HMAC_KEY", _WORDS):
        raise ConfigurationError("settings: the sealing key and the pseudonymisation key must be two different keys")
    return Sealer(key, None if former in (None, key) else Sealer(former))

"""What was known when a film was asked for, under seal: gateway and ingest seal it, and who runs the model opens it.

A seal is AES-256-GCM (NIST SP 800-38D) with the image's id as associated data: the words of another image do not open.
Its nonce is a keyed hash of image and words, so that a film that is read twice has one box. The key is none of the
other keys: who opens words opens no numbers.
"""

import hashlib
import hmac
import json
from dataclasses import asdict
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from xraygpt_core.clinical_text import LONGEST, UNKNOWN, Clinical
from xraygpt_core.errors import ConfigurationError
from xraygpt_core.key_files import KeyWords, read_key
from xraygpt_core.key_settings import KeySettings

_WORDS = KeyWords("key of the clinical text", "no other key opens the text that it sealed")
_PURPOSE = b"xraygpt clinical text 1|"
_NONCE_BYTES = 12
_BLOCK_BYTES = 256  # a box does not tell how long its words are


class ClinicalSealer:
    """Seals and opens the words of one installation."""

    def __init__(self, key: bytes) -> None:
        self._key, self._cipher = key, AESGCM(key)

    def __repr__(self) -> str:
        return "ClinicalSealer()"

    def seal(self, image_id: UUID, clinical: Clinical) -> bytes | None:
        """A box for this image; None where nothing was given."""
        words = {name: _storable(text) for name, text in asdict(clinical).items()}
        if not any(words.values()):
            return None
        plain = json.dumps(words).encode()
        plain = plain.ljust(-(-len(plain) // _BLOCK_BYTES) * _BLOCK_BYTES)
        bound = _PURPOSE + image_id.bytes
        nonce = hmac.new(self._key, bound + plain, hashlib.sha256).digest()[:_NONCE_BYTES]
        return nonce + self._cipher.encrypt(nonce, plain, bound)

    def open(self, image_id: UUID, box: bytes) -> Clinical:
        """The words of an image; nothing where the box is another image's, or was sealed under another key."""
        try:
            plain = self._cipher.decrypt(box[:_NONCE_BYTES], box[_NONCE_BYTES:], _PURPOSE + image_id.bytes)
        except (InvalidTag, ValueError):
            return UNKNOWN
        return Clinical(**json.loads(plain))


def box_key(box: bytes) -> tuple[str, str]:
    """The key of a box in the derived bucket, which says nothing, and the SHA-256 of its bytes."""
    sha256 = hashlib.sha256(box).hexdigest()
    return f"clinical/{sha256[:2]}/{sha256}.box", sha256


def _storable(text: str | None) -> str | None:
    """Not without end, and without halves of letters."""
    return text and (text[:LONGEST].encode("utf-8", "replace").decode().strip(" \0") or None)


def load_clinical_sealer(settings: KeySettings) -> ClinicalSealer | None:
    """The sealer of this installation; None where it uses no clinical text.

    Raises:
        ConfigurationError: it does, and the key is missing, readable by others, no key, no secret, or another key too.
    """
    if not settings.clinical_text:
        return None
    key = read_key(settings.clinical_key, settings.clinical_key_file, "XRAYGPT_CLINICAL_KEY", _WORDS)
    if key is None:
        raise ConfigurationError(
            "settings: XRAYGPT_CLINICAL_TEXT is true, and XRAYGPT_CLINICAL_KEY_FILE (or XRAYGPT_CLINICAL_KEY) is "
            "missing: make a key with openssl rand -hex 32"
        )
    others = (
        read_key(settings.hmac_key, settings.hmac_key_file, "XRAYGPT_HMAC_KEY", _WORDS),
        read_key(settings.sealing_key, settings.sealing_key_file, "XRAYGPT_SEALING_KEY", _WORDS),
    )
    if key in others:
        raise ConfigurationError("settings: the key of the clinical text must be another key than the others")
    return ClinicalSealer(key)

"""What was known when a film was asked for, under seal: who seals cannot open, and who runs the model opens.

The key of the clinical text opens; gateway and ingest hold its sealing half: a public key (X25519, RFC 7748), and a
secret that draws the ephemeral key of each box from image and words, so that a film that is read twice has one box.
With that half a guess of all words can be tried against a box, and nothing else. A box is the ephemeral public key
and AES-256-GCM (NIST SP 800-38D) under a key of its own (HKDF, RFC 5869), with the image's id as associated data: the
words of another image do not open. The key is none of the other keys: who opens words opens no numbers.
"""

import hashlib
import json
from dataclasses import asdict
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from xraygpt_core.clinical_text import LONGEST, UNKNOWN, Clinical
from xraygpt_core.errors import ConfigurationError
from xraygpt_core.key_files import KeyWords, read_key
from xraygpt_core.key_settings import KeySettings

_KEY = KeyWords("key of the clinical text", "no other key opens the text that was sealed for it")
_HALF = KeyWords(
    "sealing half of the key of the clinical text",
    "`python -m workers.sealing_half` makes it again from the key",
    size=64,
)
_PURPOSE = b"xraygpt clinical text 2|"
_KEY_BYTES = 32
_ONCE = bytes(12)  # the nonce: each box has a key of its own
_BLOCK_BYTES = 256  # a box does not tell how long its words are


class ClinicalSealer:
    """Seals the words of one installation, and opens none.

    Args:
        half: the public key, and the secret that draws ephemeral keys; 32 bytes each.
    """

    def __init__(self, half: bytes) -> None:
        self._public, self._secret = half[:_KEY_BYTES], half[_KEY_BYTES:]

    def __repr__(self) -> str:
        return "ClinicalSealer()"

    def seal(self, image_id: UUID, clinical: Clinical) -> bytes | None:
        """A box for this image; None where nothing was given. The same words of the same image make the same box."""
        words = {name: _storable(text) for name, text in asdict(clinical).items()}
        if not any(words.values()):
            return None
        plain = json.dumps(words).encode()
        plain = plain.ljust(-(-len(plain) // _BLOCK_BYTES) * _BLOCK_BYTES)
        bound = _PURPOSE + image_id.bytes
        ephemeral = X25519PrivateKey.from_private_bytes(_derived(self._secret, bound + hashlib.sha256(plain).digest()))
        shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(self._public))
        sender = ephemeral.public_key().public_bytes_raw()
        return sender + _cipher(shared, sender, self._public).encrypt(_ONCE, plain, bound)


class ClinicalOpener:
    """Opens the words of one installation.

    Args:
        key: 32 bytes.
        former: that of the key before, for what was sealed for it.
    """

    def __init__(self, key: bytes, former: "ClinicalOpener | None" = None) -> None:
        self._private = X25519PrivateKey.from_private_bytes(_derived(key, b"opens"))
        self._public = self._private.public_key().public_bytes_raw()
        self._former = former
        self.sealing_half = self._public + _derived(key, b"draws")

    def __repr__(self) -> str:
        return "ClinicalOpener()"

    def open(self, image_id: UUID, box: bytes) -> Clinical:
        """The words of an image; nothing where the box is another image's, or was sealed for another key."""
        sender, sealed = box[:_KEY_BYTES], box[_KEY_BYTES:]
        try:
            shared = self._private.exchange(X25519PublicKey.from_public_bytes(sender))
            plain = _cipher(shared, sender, self._public).decrypt(_ONCE, sealed, _PURPOSE + image_id.bytes)
        except (InvalidTag, ValueError):
            return UNKNOWN if self._former is None else self._former.open(image_id, box)
        return Clinical(**json.loads(plain))


def _derived(secret: bytes, info: bytes) -> bytes:
    return HKDF(SHA256(), _KEY_BYTES, salt=None, info=_PURPOSE + info).derive(secret)


def _cipher(shared: bytes, sender: bytes, recipient: bytes) -> AESGCM:
    return AESGCM(_derived(shared, sender + recipient))


def box_key(box: bytes) -> tuple[str, str]:
    """The key of a box in the derived bucket, which says nothing, and the SHA-256 of its bytes."""
    sha256 = hashlib.sha256(box).hexdigest()
    return f"clinical/{sha256[:2]}/{sha256}.box", sha256


def _storable(text: str | None) -> str | None:
    """Not without end, and without halves of letters."""
    return text and (text[:LONGEST].encode("utf-8", "replace").decode().strip(" \0") or None)


def load_clinical_sealer(settings: KeySettings) -> ClinicalSealer | None:
    """What gateway and ingest seal with; None where the installation uses no clinical text.

    Raises:
        ConfigurationError: it does, and the sealing half is missing, readable by others, or none.
    """
    if not settings.clinical_text:
        return None
    half = read_key(settings.clinical_sealing_half, settings.clinical_sealing_half_file,
                    "XRAYGPT_CLINICAL_SEALING_HALF", _HALF)  # fmt: skip
    if half is None:
        raise ConfigurationError(
            "settings: XRAYGPT_CLINICAL_TEXT is true, and XRAYGPT_CLINICAL_SEALING_HALF_FILE (or "
            "XRAYGPT_CLINICAL_SEALING_HALF) is missing: `python -m workers.sealing_half` makes it from the key of the "
            "clinical text, which only GPU workers hold"
        )
    return ClinicalSealer(half)


def load_clinical_opener(settings: KeySettings) -> ClinicalOpener | None:
    """What a GPU worker opens with; None where the installation uses no clinical text. Raises as :func:`_opener`."""
    return _opener(settings) if settings.clinical_text else None


def sealing_half(settings: KeySettings) -> str:
    """The half of the key that seals, as hex digits. Raises as :func:`_opener`."""
    return _opener(settings).sealing_half.hex()


def _opener(settings: KeySettings) -> ClinicalOpener:
    """
    Raises:
        ConfigurationError: the key is missing, readable by others, no key, no secret, or another key too.
    """
    key = read_key(settings.clinical_key, settings.clinical_key_file, "XRAYGPT_CLINICAL_KEY", _KEY)
    former = read_key(settings.clinical_old_key, settings.clinical_old_key_file, "XRAYGPT_CLINICAL_OLD_KEY", _KEY)
    if key is None:
        raise ConfigurationError(
            "settings: XRAYGPT_CLINICAL_TEXT is true, and XRAYGPT_CLINICAL_KEY_FILE (or XRAYGPT_CLINICAL_KEY) is "
            "missing: make a key with openssl rand -hex 32"
        )
    others = (
        read_key(settings.hmac_key, settings.hmac_key_file, "XRAYGPT_HMAC_KEY", _KEY),
        read_key(settings.sealing_key, settings.sealing_key_file, "XRAYGPT_SEALING_KEY", _KEY),
    )
    if key in others:
        raise ConfigurationError("settings: the key of the clinical text must be another key than the others")
    return ClinicalOpener(key, ClinicalOpener(former) if former and former != key else None)

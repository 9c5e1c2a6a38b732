"""What was known when a film was asked for, under seal: who seals cannot open, and who runs the model opens.

The key of the clinical text opens; gateway and ingest hold its sealing half: a public key (X25519, RFC 7748), and a
secret that draws the ephemeral key of each box from image and words, so that a film that is read twice has one box.
With that half a guess of all words can be tried against a box, and nothing else. A box is the ephemeral public key
and AES-256-GCM (NIST SP 800-38D) under a key of its own (HKDF, RFC 5869), with the image's id as associated data: the
words of another image do not open. The key is none of the other keys: who opens words opens no numbers.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from xraygpt_core.clinical_text import LONGEST, UNKNOWN, Clinical
from xraygpt_core.errors import ConfigurationError
from xraygpt_core.key_files import KeyWords, read_key, read_keys
from xraygpt_core.key_settings import KeySettings

_KEY = KeyWords("key of the clinical text", "no other key opens the text that was sealed for it")
_OTHER = KeyWords("pseudonymisation or sealing key", "no other key does what it did")
_HALF_FROM = "python -m workers.sealing_half"
_HALF = KeyWords(
    "sealing half of the key of the clinical text", f"`{_HALF_FROM}` makes it again from the key", 68, _HALF_FROM
)
_SHARED = "settings: the key of the clinical text must be another key than the others"
_PURPOSE = b"xraygpt clinical text 2|"
_KEY_BYTES = 32
_CHECK_BYTES = 4  # of a half, against one that was typed or put together wrongly
_ONCE = bytes(12)  # the nonce: each box has a key of its own
_BLOCK_BYTES = 256  # a box does not tell how long its words are


class ClinicalSealer:
    """Seals the words of one installation, and opens none.

    Args:
        half: as :attr:`ClinicalOpener.sealing_half`.

    Raises:
        ConfigurationError: it is the half of no key.
    """

    def __init__(self, half: bytes) -> None:
        self._public, self._secret, check = half[:_KEY_BYTES], half[_KEY_BYTES : 2 * _KEY_BYTES], half[2 * _KEY_BYTES :]
        if check != _check(self._public + self._secret):
            raise ConfigurationError(f"settings: the {_HALF.name} is damaged: `{_HALF_FROM}` prints it")

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
        former: the keys before, for what was sealed for them.

    Attributes:
        sealing_half: the public key, the secret that draws ephemeral keys, and four bytes that tell whether both are
            whole.
    """

    def __init__(self, key: bytes, former: Iterable[bytes] = ()) -> None:
        self._private = X25519PrivateKey.from_private_bytes(_derived(key, b"opens"))
        self._public = self._private.public_key().public_bytes_raw()
        self._former = tuple(ClinicalOpener(one) for one in former if one != key)
        half = self._public + _derived(key, b"draws")
        self.sealing_half = half + _check(half)

    def __repr__(self) -> str:
        return "ClinicalOpener()"

    def open(self, image_id: UUID, box: bytes) -> Clinical:
        """The words of an image; nothing where the box is another image's, for another key, or holds none."""
        sender, sealed = box[:_KEY_BYTES], box[_KEY_BYTES:]
        try:
            shared = self._private.exchange(X25519PublicKey.from_public_bytes(sender))
            plain = _cipher(shared, sender, self._public).decrypt(_ONCE, sealed, _PURPOSE + image_id.bytes)
        except (InvalidTag, ValueError):
            return next((words for one in self._former if (words := one.open(image_id, box)) != UNKNOWN), UNKNOWN)
        return _words(plain)


def _words(plain: bytes) -> Clinical:
    """What a box holds. Who seals is trusted less than who opens: what is no text is not taken for words."""
    try:
        words = Clinical(**json.loads(plain))
    except (ValueError, TypeError, RecursionError):
        return UNKNOWN
    parts = asdict(words)
    if not all(text is None or isinstance(text, str) for text in parts.values()):
        return UNKNOWN
    return Clinical(**{name: _storable(text) for name, text in parts.items()})


def _check(half: bytes) -> bytes:
    return hashlib.sha256(_PURPOSE + half).digest()[:_CHECK_BYTES]


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
        ConfigurationError: it does, and the sealing half is missing, readable by others, none, or that of another key
            of this process; or the process is given a key that opens.
    """
    if not settings.clinical_text:
        return None
    opening = (settings.clinical_key, settings.clinical_key_file)
    if any((*opening, settings.clinical_old_key, settings.clinical_old_key_file)):
        raise ConfigurationError(
            "settings: XRAYGPT_CLINICAL_KEY and XRAYGPT_CLINICAL_OLD_KEY are for GPU workers alone: who seals words "
            "may not open them"
        )
    half = read_key(settings.clinical_sealing_half, settings.clinical_sealing_half_file,
                    "XRAYGPT_CLINICAL_SEALING_HALF", _HALF)  # fmt: skip
    if half is None:
        raise ConfigurationError(
            "settings: XRAYGPT_CLINICAL_TEXT is true, and XRAYGPT_CLINICAL_SEALING_HALF_FILE (or "
            f"XRAYGPT_CLINICAL_SEALING_HALF) is missing: `{_HALF_FROM}` makes it from the key of the clinical text, "
            "which only GPU workers hold"
        )
    if any(ClinicalOpener(one).sealing_half == half for one in _other_keys(settings)):
        raise ConfigurationError(_SHARED)
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
    former = read_keys(settings.clinical_old_key, settings.clinical_old_key_file, "XRAYGPT_CLINICAL_OLD_KEY", _KEY)
    if key is None:
        raise ConfigurationError(
            "settings: XRAYGPT_CLINICAL_KEY_FILE (or XRAYGPT_CLINICAL_KEY) is missing, the key of the clinical text: "
            f"make one with {_KEY.made_with}"
        )
    if not _other_keys(settings).isdisjoint((key, *former)):
        raise ConfigurationError(_SHARED)
    return ClinicalOpener(key, former)


def _other_keys(settings: KeySettings) -> set[bytes]:
    """Of pseudonyms and numbers, as far as this process has them."""
    names = ("hmac_key", "hmac_old_key", "sealing_key", "sealing_old_key")
    read = [
        read_key(getattr(settings, name), getattr(settings, f"{name}_file"), f"XRAYGPT_{name.upper()}", _OTHER)
        for name in names
    ]
    return {key for key in read if key is not None}

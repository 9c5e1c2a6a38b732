"""Keys that lie outside the database: bytes as hex digits, in a file of their owner's or in a setting."""

import re
import stat
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from pydantic import SecretStr

from xraygpt_core.errors import ConfigurationError

_HEX = re.compile(r"[0-9a-fA-F]+")
_FEWEST_DIFFERENT = 16  # bytes of 32


@dataclass(frozen=True)
class KeyWords:
    """How a key is spoken of.

    Attributes:
        name: such as ``pseudonymisation key``.
        loss: what another key in its place cannot do.
        size: its bytes.
        made_with: the command that makes one.
    """

    name: str
    loss: str
    size: int = 32
    made_with: str = "openssl rand -hex 32"


def read_key(given: SecretStr | None, file: Path | None, setting: str, words: KeyWords) -> bytes | None:
    """The key of a setting, else of a file; None where neither is given.

    Raises:
        ConfigurationError: it is missing, readable by others, not as many hex digits, or no secret at all.
    """
    if given is not None:
        return _parsed(given.get_secret_value(), setting, words)
    return None if file is None else _parsed(_read(file, words), str(file), words)


def read_keys(given: SecretStr | None, file: Path | None, setting: str, words: KeyWords) -> tuple[bytes, ...]:
    """The keys of a setting, else of a file, with white space between them; none where neither is given.

    Raises:
        ConfigurationError: as :func:`read_key`, of each.
    """
    text = given.get_secret_value() if given is not None else "" if file is None else _read(file, words)
    where = setting if given is not None else str(file)
    return tuple(_parsed(one, where, words) for one in text.split())


def _read(path: Path, words: KeyWords) -> str:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise ConfigurationError(
                f"{path}: mode is {mode:04o}, but only its owner may read this key: chmod 600 {path}"
            )
        return path.read_text("ascii")
    except FileNotFoundError:
        raise ConfigurationError(
            f"{path}: the {words.name} is not there; restore it from the back-up: {words.loss}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot read the {words.name} ({type(error).__name__})") from None


def _parsed(text: str, where: str, words: KeyWords) -> bytes:
    text = text.strip()
    if len(text) != 2 * words.size or not _HEX.fullmatch(text):
        raise ConfigurationError(f"{where}: the {words.name} must be {2 * words.size} hex digits ({words.size} bytes)")
    key = bytes.fromhex(text)
    if _is_guessable(key):
        raise ConfigurationError(
            f"{where}: this {words.name} is a pattern that can be guessed; make one with: {words.made_with}"
        )
    return key


def _is_guessable(key: bytes) -> bool:
    """One byte repeated, a short pattern repeated, or bytes that count up or down: not drawn at random.

    Of 32 random bytes fewer than 16 are different once in 10^16 keys.
    """
    steps = {(after - before) % 256 for before, after in pairwise(key)}
    return len(set(key)) < _FEWEST_DIFFERENT or len(steps) == 1

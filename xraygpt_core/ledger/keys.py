"""API keys: shown once, stored as a hash. They are long and random, so a plain SHA-256 cannot be turned back."""

import re
import secrets
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from xraygpt_core.errors import InvalidRequest, NotFound, Unauthorised
from xraygpt_core.ids import new_id
from xraygpt_core.ledger.core import Ledger
from xraygpt_core.states import KeyKind

LONGEST_NAME = 200
# Printable by their category, and yet nobody sees them (Unicode's Default_Ignorable_Code_Point, and the blank Braille
# cell); two blanks are shown as one.
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]|  "
)


@dataclass(frozen=True)
class ApiKey:
    """Who asks: a key as it is known, without the key itself."""

    key_id: UUID
    name: str
    kind: KeyKind

    @property
    def is_person(self) -> bool:
        """Whether it signs in its own name and nobody else's."""
        return self.kind is KeyKind.PERSON


def create_api_key(ledger: Ledger, name: str, kind: KeyKind = KeyKind.PERSON) -> str:
    """A new key, shown this once.

    Raises:
        InvalidRequest: nobody could sign with this name.
    """
    key = f"xgpt_{secrets.token_urlsafe(32)}"
    with ledger.work() as work:
        work.run(
            "INSERT INTO api_keys (id, name, kind, sha256) VALUES (:id, :name, :kind, :sha256)",
            {"id": new_id(), "name": readable(name), "kind": kind, "sha256": _hash(key)},
        )
    return key


def readable(name: str) -> str:
    """A name that a signature may bear: what is read is what is stored.

    Raises:
        InvalidRequest: it is empty, too long, or has letters that nobody sees or that turn others around.
    """
    seen = name.isprintable() and not _UNSEEN.search(name)
    if not name.strip() or name != name.strip() or not seen or len(name) > LONGEST_NAME:
        raise InvalidRequest(f"a name has 1 to {LONGEST_NAME} visible letters and no blank at either end")
    return name


def check_api_key(ledger: Ledger, key: str) -> ApiKey:
    """Whose key it is.

    Raises:
        Unauthorised: it is unknown or revoked.
    """
    with ledger.work() as work:
        row = work.row(
            "SELECT id, name, kind FROM api_keys WHERE sha256 = :sha256 AND revoked_at IS NULL",
            {"sha256": _hash(key)},
        )
    if row is None:
        raise Unauthorised("the API key is unknown or was revoked")
    return ApiKey(row["id"], row["name"], KeyKind(row["kind"]))


def revoke_api_key(ledger: Ledger, name: str) -> None:
    """Revoke every key of this name.

    Raises:
        NotFound: there is no valid key of this name.
    """
    with ledger.work() as work:
        revoked = work.run(
            "UPDATE api_keys SET revoked_at = clock_timestamp() WHERE name = :name AND revoked_at IS NULL",
            {"name": name},
        )
    if not revoked:
        raise NotFound(f"there is no valid API key named {name!r}")


def _hash(key: str) -> str:
    return sha256(key.encode()).hexdigest()

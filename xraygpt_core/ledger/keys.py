"""API keys: shown once, stored as a hash. They are long and random, so a plain SHA-256 cannot be turned back."""

import secrets
from hashlib import sha256

from xraygpt_core.errors import NotFound, Unauthorised
from xraygpt_core.ids import new_id
from xraygpt_core.ledger.core import Ledger


def create_api_key(ledger: Ledger, name: str) -> str:
    """A new key, shown this once."""
    key = f"xgpt_{secrets.token_urlsafe(32)}"
    with ledger.work() as work:
        work.run(
            "INSERT INTO api_keys (id, name, sha256) VALUES (:id, :name, :sha256)",
            {"id": new_id(), "name": name, "sha256": _hash(key)},
        )
    return key


def check_api_key(ledger: Ledger, key: str) -> str:
    """The name of the key.

    Raises:
        Unauthorised: it is unknown or revoked.
    """
    with ledger.work() as work:
        row = work.row(
            "SELECT name FROM api_keys WHERE sha256 = :sha256 AND revoked_at IS NULL", {"sha256": _hash(key)}
        )
    if row is None:
        raise Unauthorised("the API key is unknown or was revoked")
    return str(row["name"])


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

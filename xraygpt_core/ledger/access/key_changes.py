"""Listing, replacing and ending API keys."""

from collections.abc import Sequence
from datetime import datetime
from itertools import chain, count
from uuid import UUID

from sqlalchemy.engine import RowMapping

from xraygpt_core.errors import Conflict
from xraygpt_core.ledger.access.api_keys import VALID, NewKey, insert_key, lock_keys
from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.states import KeyKind, Role

_KEYS = f"""
    SELECT id AS key_id, name, kind, roles, stat, owner, created_at, expires_at, last_used_at, replaced_by, revoked_at,
           ({VALID}) AS valid
    FROM api_keys k WHERE :ended OR ({VALID}) ORDER BY name, created_at, id
"""

_KEY = f"SELECT name, kind, roles, stat, owner, expires_at, replaced_by FROM api_keys k WHERE id = :id AND {VALID}"

# A key never lives longer by being replaced.
_REPLACE = """
    UPDATE api_keys SET replaced_by = :new,
        expires_at = LEAST(expires_at, clock_timestamp() + make_interval(secs => :overlap))
    WHERE id = :id
"""

_END = f"UPDATE api_keys k SET revoked_at = clock_timestamp() WHERE id = :id AND {VALID}"

# A key that was replaced is about to end.
_ADMINS_LEFT = f"""
    SELECT FROM api_keys k WHERE '{Role.ADMIN}' = ANY(roles) AND {VALID} AND replaced_by IS NULL AND id <> :id LIMIT 1
"""


def keys(ledger: Ledger, *, ended: bool = False) -> Sequence[RowMapping]:
    """Every valid key by name, without the key itself; with ``ended``, every key."""
    with ledger.work() as work:
        record(work, "keys listed")
        return work.rows(_KEYS, {"ended": ended})


def free_name(ledger: Ledger, name: str) -> str:
    """The name, or the name with the first number, that no valid key bears."""
    with ledger.work() as work:
        borne = {row["name"] for row in work.rows("SELECT name FROM api_keys WHERE revoked_at IS NULL")}
    return next(one for one in chain([name], (f"{name} ({number})" for number in count(2))) if one not in borne)


def rotate_key(
    ledger: Ledger, key_id: UUID, overlap_seconds: float, expires_at: datetime | None = None
) -> tuple[UUID, str]:
    """A key in the place of another one, with its name, roles and rights: its id, and the key itself.

    Args:
        overlap_seconds: for how long the old key stays valid; its sessions end with it.
        expires_at: of the new key; None: when the old one would have.

    Raises:
        NotFound: there is no valid key of this id.
        Conflict: it was replaced before.
    """
    with ledger.work() as work:
        row = _locked(work, key_id)
        if row["replaced_by"]:
            raise Conflict(f"this key was replaced by {row['replaced_by']}: rotate that one")
        work.run("UPDATE api_keys SET replaced_by = id WHERE id = :id", {"id": key_id})  # its name is free from here on
        roles = [Role(role) for role in row["roles"]]
        until = expires_at or row["expires_at"]
        wanted = NewKey(row["name"], KeyKind(row["kind"]), roles, row["stat"], row["owner"], until)
        new_id, key = insert_key(work, wanted)
        work.run(_REPLACE, {"id": key_id, "new": new_id, "overlap": overlap_seconds})
        record(work, "key rotated", subject=key_id, detail={"new": str(new_id), "overlap_seconds": overlap_seconds})
    return new_id, key


def end_key(ledger: Ledger, key_id: UUID) -> None:
    """End a key.

    Raises:
        NotFound: there is no valid key of this id.
        Conflict: it is the last one that may make keys.
    """
    with ledger.work() as work:
        row = _locked(work, key_id)
        admin = Role.ADMIN in row["roles"] and not row["replaced_by"]
        if admin and work.row(_ADMINS_LEFT, {"id": key_id}) is None:
            raise Conflict("no key with the role admin would be left: make another one first")
        work.run(_END, {"id": key_id})
        record(work, "key ended", subject=key_id)


def _locked(work: Work, key_id: UUID) -> RowMapping:
    """A valid key; no other key changes until the commit."""
    lock_keys(work)
    return work.found(_KEY, {"id": key_id}, f"there is no valid API key {key_id}")

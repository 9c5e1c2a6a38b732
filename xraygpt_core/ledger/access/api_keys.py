"""API keys: shown once, stored as a hash. They are long and random, so a plain SHA-256 cannot be inverted."""

import re
import secrets
import unicodedata
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from xraygpt_core.errors import Conflict, InvalidRequest, NotFound, Unauthorised, Unavailable
from xraygpt_core.ids import new_id
from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.states import KeyKind, Lane, Role

LONGEST_NAME = 200
EVERY_ROLE = frozenset(Role)
# Printable by their category, and yet invisible (Unicode's Default_Ignorable_Code_Point, and the blank Braille
# cell); two blanks are shown as one.
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]|  "
)
# What makes a key of the table k a valid one.
VALID = "k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())"
_MAY_ASK_FOR_STAT = frozenset({Role.LEAD, Role.OPERATOR})


@dataclass(frozen=True)
class ApiKey:
    """The caller of a request: a key, without its secret, or a session.

    Attributes:
        key_id: None for a session that a login opened, not a key.
        stat: whether the key was made to ask for the lane ``stat``.
        expires_at: of the key; None: never.
        session_id: of the session; None for a bare key.
    """

    key_id: UUID | None
    name: str
    kind: KeyKind
    roles: frozenset[Role] = EVERY_ROLE
    stat: bool = False
    expires_at: datetime | None = None
    session_id: UUID | None = None

    @property
    def is_person(self) -> bool:
        """Whether it signs in its own name only."""
        return self.kind is KeyKind.PERSON

    @property
    def identity(self) -> str:
        """The same for all sessions of one key, or of one person whose login uses no key."""
        return str(self.key_id) if self.key_id else f"person {self.name}"

    def has(self, *roles: Role) -> bool:
        """Whether it holds one of these roles."""
        return not self.roles.isdisjoint(roles)

    def may_ask_for(self, lane: Lane) -> bool:
        """``stat`` is a right of its own. Every caller that may submit has the other lanes."""
        return lane is not Lane.STAT or self.stat or self.has(*_MAY_ASK_FOR_STAT)


@dataclass(frozen=True)
class NewKey:
    """What a new key is to be.

    Attributes:
        name: with which it signs; unique among the valid keys.
        owner: the person responsible for it, where its name is not that person's.
        stat: whether it may ask for the lane ``stat`` without being a lead's or an operator's.
    """

    name: str
    kind: KeyKind
    roles: Collection[Role]
    stat: bool = False
    owner: str | None = None
    expires_at: datetime | None = None


_INSERT = """
    INSERT INTO api_keys (id, name, kind, sha256, roles, stat, owner, expires_at)
    VALUES (:id, :name, :kind, :sha256, CAST(:roles AS text[]), :stat, :owner, :expires_at)
"""

# A name whose keys have all expired is free.
_FREE = """
    UPDATE api_keys SET revoked_at = expires_at WHERE name = :name AND revoked_at IS NULL
    AND expires_at <= clock_timestamp()
"""

# A key that was replaced still signs with its name until it ends.
_TAKEN = f"SELECT FROM api_keys k WHERE name = :name AND {VALID} LIMIT 1"

# Changes of keys wait for each other: names stay unique, and an admin is left.
_ALONE = "SELECT pg_advisory_xact_lock(hashtextextended('api_keys', 0))"  # LOCK TABLE takes a right to every column

_CHECK = f"""
    SELECT id, name, kind, roles, stat, expires_at,
           last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '1 minute' AS unnoticed
    FROM api_keys k WHERE sha256 = :sha256 AND {VALID}
"""

# A second request at the same moment neither waits nor writes.
_NOTICE = """
    UPDATE api_keys SET last_used_at = clock_timestamp()
    WHERE id = (SELECT id FROM api_keys WHERE id = :id FOR UPDATE SKIP LOCKED)
"""


def make_key(ledger: Ledger, wanted: NewKey) -> tuple[UUID, str]:
    """A new key: its id, and the key itself, which is never shown again.

    Raises:
        InvalidRequest: the name is not fit for a signature, or there is no role.
        Conflict: a valid key has this name.
    """
    with ledger.work() as work:
        lock_keys(work)
        name = {"name": unicodedata.normalize("NFC", wanted.name)}
        work.run(_FREE, name)
        if work.row(_TAKEN, name) is not None:
            raise Conflict(f"there is a valid key named {wanted.name!r}: end or rotate it, or choose another name")
        key_id, key = insert_key(work, wanted)
        detail = {"roles": sorted(Role(role).value for role in wanted.roles), "stat": wanted.stat, "kind": wanted.kind}
        record(work, "key created", subject=key_id, detail=detail)
    return key_id, key


def lock_keys(work: Work) -> None:
    """Take the lock under which keys are changed. Other transactions still read them."""
    work.row(_ALONE)


def insert_key(work: Work, wanted: NewKey) -> tuple[UUID, str]:
    """The row of a new key whose name is free, in this transaction; raises InvalidRequest as :func:`make_key`."""
    if not wanted.roles:
        raise InvalidRequest(f"a key holds at least one role of {', '.join(Role)}")
    key_id, key = new_id(), f"xgpt_{secrets.token_urlsafe(32)}"
    work.run(
        _INSERT,
        {
            "id": key_id,
            "name": unicodedata.normalize("NFC", readable(wanted.name)),
            "kind": wanted.kind,
            "sha256": hashed(key),
            "roles": sorted(Role(role).value for role in wanted.roles),
            "stat": wanted.stat,
            "owner": None if wanted.owner is None else readable(wanted.owner),
            "expires_at": wanted.expires_at,
        },
    )
    return key_id, key


def readable(name: str) -> str:
    """The name, if a signature may bear it: what is read is what is stored.

    Raises:
        InvalidRequest: it is empty, too long, or has letters that are invisible or reverse others.
    """
    seen = name.isprintable() and not _UNSEEN.search(name)
    if not name.strip() or name != name.strip() or not seen or len(name) > LONGEST_NAME:
        raise InvalidRequest(f"a name has 1 to {LONGEST_NAME} visible letters and no blank at either end")
    return name


def check_api_key(ledger: Ledger, key: str) -> ApiKey:
    """The caller whose key this is. Its use is noted once a minute.

    Raises:
        Unauthorised: it is unknown, revoked or expired.
    """
    with ledger.work() as work:
        row = work.row(_CHECK, {"sha256": hashed(key)})
    if row is None:
        raise Unauthorised("the API key is unknown, was revoked, or has expired")
    if row["unnoticed"]:
        with suppress(Unavailable), ledger.work() as work:  # a database that is read-only now still checks keys
            work.run(_NOTICE, {"id": row["id"]})
    roles = frozenset(map(Role, row["roles"]))
    return ApiKey(row["id"], row["name"], KeyKind(row["kind"]), roles, row["stat"], row["expires_at"])


def revoke_api_key(ledger: Ledger, name: str) -> None:
    """Revoke every key of this name: the one that is valid, and those it replaced.

    Raises:
        NotFound: there is no valid key of this name.
    """
    with ledger.work() as work:
        lock_keys(work)
        ended = work.rows(
            "UPDATE api_keys SET revoked_at = clock_timestamp() WHERE name = :name AND revoked_at IS NULL RETURNING id",
            {"name": name},
        )
        for row in ended:
            record(work, "key ended", subject=row["id"])
    if not ended:
        raise NotFound(f"there is no valid API key named {name!r}")


def hashed(secret: str) -> str:
    """What is stored of a key or of a session's token: SHA-256, in hex."""
    return sha256(secret.encode()).hexdigest()

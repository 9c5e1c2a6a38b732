"""Sessions: what a browser holds in place of a key. A key opens one, and so may a login.

The token is long and random and stored as a hash, as keys are. A session ends when it was not used for a while, when it
is old, when it is ended, and with the key that opened it.
"""

import secrets
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from xraygpt_core.errors import InvalidRequest, Unauthorised, Unavailable
from xraygpt_core.ids import new_id
from xraygpt_core.ledger.access.api_keys import VALID, ApiKey, hashed, readable
from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import KeyKind, Role

# A use is noted when a twentieth of the idle timeout has passed: a session ends that much too early at most.
_NOTED_SHARE = 20
_KEPT_DAYS = 30

_OPEN = """
    INSERT INTO sessions (id, token_sha256, person, kind, roles, stat, how, key_id)
    VALUES (:id, :token, :person, :kind, CAST(:roles AS text[]), :stat, :how, :key_id)
"""

_LIVE = f"""
    s.ended_at IS NULL AND s.opened_at > clock_timestamp() - make_interval(secs => :whole)
    AND s.used_at > clock_timestamp() - make_interval(secs => :idle)
    AND (s.key_id IS NULL OR ({VALID}))
"""

_CHECK = f"""
    SELECT s.id, s.person, s.kind, s.roles, s.stat, s.key_id, k.expires_at,
           extract(epoch FROM s.used_at - clock_timestamp())::float8 + :idle AS idle_seconds,
           extract(epoch FROM s.opened_at - clock_timestamp())::float8 + :whole AS left_seconds
    FROM sessions s LEFT JOIN api_keys k ON k.id = s.key_id
    WHERE s.token_sha256 = :token AND {_LIVE}
"""

_USED = """
    UPDATE sessions SET used_at = clock_timestamp()
    WHERE id = (SELECT id FROM sessions WHERE id = :id FOR UPDATE SKIP LOCKED)
"""

_STILL_KEY = f"SELECT FROM api_keys k WHERE k.id = :key AND {VALID}"
_STILL_SESSION = f"SELECT FROM sessions s LEFT JOIN api_keys k ON k.id = s.key_id WHERE s.id = :session AND {_LIVE}"


@dataclass(frozen=True)
class Session:
    """An open session.

    Attributes:
        caller: the key or person that acts through it.
        idle_seconds: until it ends unless it is used.
        left_seconds: until it ends, used or not.
    """

    caller: ApiKey
    idle_seconds: float
    left_seconds: float


def open_session(
    ledger: Ledger,
    person: str,
    roles: Collection[Role],
    how: str,
    *,
    kind: KeyKind = KeyKind.PERSON,
    stat: bool = False,
    key_id: UUID | None = None,
) -> str:
    """A new session; its token, which is never shown again.

    Args:
        person: the name its acts and signatures bear.
        how: what proved it: ``key``, or the name of a login.
        key_id: of the key with which it ends, where one opened it.

    Raises:
        InvalidRequest: the name is not fit for a signature, or there is no role.
    """
    if not roles:
        raise InvalidRequest("this login gives no role")
    session_id, token = new_id(), secrets.token_urlsafe(32)
    with ledger.work() as work:
        work.run(
            _OPEN,
            {"id": session_id, "token": hashed(token), "person": readable(person), "kind": kind}
            | {"roles": sorted(Role(role).value for role in roles), "stat": stat, "how": how, "key_id": key_id},
        )
        work.run(
            "DELETE FROM sessions WHERE opened_at < clock_timestamp() - make_interval(days => :days)",
            {"days": _KEPT_DAYS},
        )
        record(work, "signed in", subject=session_id, detail={"how": how})
    return token


def check_session(ledger: Ledger, token: str, *, used: bool = True) -> Session:
    """The session of a token.

    Args:
        used: whether a person caused the request. A request that a page makes by itself keeps no session open.

    Raises:
        Unauthorised: it is unknown or over.
    """
    limits = _limits(ledger)
    with ledger.work() as work:
        row = work.row(_CHECK, {"token": hashed(token)} | limits)
    if row is None:
        raise Unauthorised("the session is over: sign in again")
    idle = row["idle_seconds"]
    if used and idle < limits["idle"] * (1 - 1 / _NOTED_SHARE):
        with suppress(Unavailable), ledger.work() as work:
            work.run(_USED, {"id": row["id"]})
    roles = frozenset(map(Role, row["roles"]))
    kind = KeyKind(row["kind"])
    caller = ApiKey(row["key_id"], row["person"], kind, roles, row["stat"], row["expires_at"], row["id"])
    return Session(caller, limits["idle"] if used else idle, row["left_seconds"])


def still_valid(ledger: Ledger, caller: ApiKey) -> bool:
    """Whether the key or session of a request that is still being answered is valid still."""
    with ledger.work() as work:
        if caller.session_id is None:
            return work.row(_STILL_KEY, {"key": caller.key_id}) is not None
        return work.row(_STILL_SESSION, {"session": caller.session_id} | _limits(ledger)) is not None


def end_session(ledger: Ledger, caller: ApiKey, *, everywhere: bool = False) -> None:
    """End this session, or all of its key's or person's."""
    mine = "s.person = :person AND s.key_id IS NOT DISTINCT FROM :key" if everywhere else "s.id = :id"
    values = {"person": caller.name, "key": caller.key_id} if everywhere else {"id": caller.session_id}
    with ledger.work() as work:
        ended = work.rows(
            f"UPDATE sessions s SET ended_at = clock_timestamp() WHERE {mine} AND ended_at IS NULL RETURNING id", values
        )
        for row in ended:
            record(work, "signed out", subject=row["id"])


def note_failed(ledger: Ledger) -> None:
    """Record a sign-in that failed. Only its address is known."""
    with ledger.work() as work:
        record(work, "sign-in failed")


def _limits(ledger: Ledger) -> dict[str, float]:
    settings = ledger.settings
    return {"idle": settings.session_idle_seconds, "whole": settings.session_seconds}

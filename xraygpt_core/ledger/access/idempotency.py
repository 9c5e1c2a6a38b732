"""Requests with an ``Idempotency-Key`` take effect once (draft-ietf-httpapi-idempotency-key-header).

The table keeps hashes of the key and of the request, and the answer, which therefore must hold nothing of a patient:
opaque ids, numbers, and names of keys and bundles. The row is inserted before the action and committed with its answer
and, by :func:`once`, with what the action wrote: a repeat at the same time waits for that commit, and if the process
dies in the middle, all of it goes with its connection and the repeat is answered at once.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import DBAPIError

from xraygpt_core.db import sqlstate
from xraygpt_core.errors import InvalidRequest, Refused
from xraygpt_core.ledger.jobs.fence import repeating
from xraygpt_core.ledger.transaction import Ledger, Work

KEPT_SECONDS = 24 * 3600.0

Answer = dict[str, Any]

_LOCK_NOT_AVAILABLE = "55P03"

_BEGIN = """
    INSERT INTO idempotency_keys AS had (key_hash, request_hash) VALUES (:key, :request)
    ON CONFLICT (key_hash) DO UPDATE
    SET request_hash = :request, status = NULL, body = NULL, created_at = clock_timestamp()
    WHERE had.created_at < clock_timestamp() - make_interval(secs => :kept)
    RETURNING key_hash
"""

_ANSWERED = """
    SELECT request_hash, body FROM idempotency_keys
    WHERE key_hash = :key AND created_at >= clock_timestamp() - make_interval(secs => :kept)
"""

_FINISH = "UPDATE idempotency_keys SET status = :status, body = CAST(:body AS jsonb) WHERE key_hash = :key"


@dataclass(frozen=True)
class Attempt:
    """One request that may be repeated: its caller, route, key and body."""

    caller: str
    route: str
    key: str
    body: bytes

    @property
    def key_hash(self) -> str:
        """Two callers, and two routes, never share a key."""
        return hashlib.sha256("\0".join((self.caller, self.route, self.key)).encode()).hexdigest()

    @property
    def request_hash(self) -> str:
        """Salted with the key, which is not stored, so that bodies cannot be tried out against the table."""
        return hashlib.sha256(self.key.encode() + b"\0" + self.body).hexdigest()


def answered(ledger: Ledger, attempt: Attempt) -> Answer | None:
    """The answer this request was given before; None if it was not, or is being given right now.

    Raises:
        InvalidRequest: the key was used for another request.
    """
    with ledger.work() as work:
        row = work.row(_ANSWERED, {"key": attempt.key_hash, "kept": KEPT_SECONDS})
        return None if row is None else _same(attempt, dict(row))


def once(ledger: Ledger, attempt: Attempt, status: int, action: Callable[[Ledger], Answer]) -> Answer:
    """The answer of ``action``, which runs unless this request was answered before.

    The action and its answer are one transaction: it is done and answered, or neither. If it raises, nothing is left
    behind, and the request may be sent again.

    Args:
        status: the HTTP status that goes with the answer.
        action: is given the ledger whose work is part of that transaction.

    Raises:
        InvalidRequest: the key was used for another request.
        Refused: the same request has been in the works for longer than a repeat can wait. It says nothing of the
            outcome, so it is no conflict.
    """
    return repeating(ledger, lambda work: _kept_with(ledger, work, attempt, status, action))


def once_in_steps(ledger: Ledger, attempt: Attempt, status: int, action: Callable[[Ledger], Answer]) -> Answer:
    """The same for an action of many transactions, each of which may be done twice without harm.

    Only what it does with the ledger it is given is one with its answer, and so comes last: if the process dies before,
    the repeat does all of it again. One connection is held while the action runs, so slow work belongs in front of it
    (:func:`answered` says whether that is needed).
    """
    with ledger.database.nesting, ledger.work() as work:
        # The action may be long (all dead jobs queued again), and all that is locked is this request's own key.
        work.run("SET LOCAL idle_in_transaction_session_timeout = '10min'")
        return _kept_with(ledger, work, attempt, status, action)


def forget_answers(ledger: Ledger) -> int:
    """Remove answers older than a day; how many they were."""
    with ledger.work() as work:
        return work.run(
            "DELETE FROM idempotency_keys WHERE created_at < clock_timestamp() - make_interval(secs => :kept)",
            {"kept": KEPT_SECONDS},
        )


def _kept_with(ledger: Ledger, work: Work, attempt: Attempt, status: int, action: Callable[[Ledger], Answer]) -> Answer:
    values = {"key": attempt.key_hash, "request": attempt.request_hash}
    if _is_first(work, values):
        answer = action(ledger.joining(work))
        work.run(_FINISH, {**values, "status": status, "body": json.dumps(answer)})
        return answer
    row = work.row(_ANSWERED, {"key": attempt.key_hash, "kept": KEPT_SECONDS})
    if row is None:
        raise Refused("the answer to this request was just forgotten; send it again")
    return _same(attempt, dict(row))


def _is_first(work: Work, values: dict[str, Any]) -> bool:
    try:
        return work.row(_BEGIN, {**values, "kept": KEPT_SECONDS}) is not None
    except DBAPIError as error:
        if sqlstate(error.orig) != _LOCK_NOT_AVAILABLE:
            raise
        raise Refused("the same request is being answered right now; send it again in a moment") from None


def _same(attempt: Attempt, row: dict[str, Any]) -> Answer:
    if row["request_hash"] != attempt.request_hash:
        raise InvalidRequest("this Idempotency-Key was used for another request; choose a new one")
    body: Answer = row["body"]
    return body

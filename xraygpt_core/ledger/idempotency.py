"""Requests with an ``Idempotency-Key`` have their effect once (draft-ietf-httpapi-idempotency-key-header).

The table keeps hashes of the key and of the request, and the answer, which therefore must hold opaque ids only.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xraygpt_core.errors import Conflict, InvalidRequest
from xraygpt_core.ledger.core import Ledger

KEPT_SECONDS = 24 * 3600.0
# A process that died in the middle of a request leaves it unanswered; after this time a repeat may try again.
ABANDONED_SECONDS = 300.0

Answer = dict[str, Any]

_BEGIN = """
    INSERT INTO idempotency_keys AS had (key_hash, request_hash) VALUES (:key, :request)
    ON CONFLICT (key_hash) DO UPDATE
    SET request_hash = :request, status = NULL, body = NULL, created_at = clock_timestamp()
    WHERE had.created_at < clock_timestamp() - make_interval(secs => :kept)
       OR had.status IS NULL AND had.request_hash = :request
          AND had.created_at < clock_timestamp() - make_interval(secs => :abandoned)
    RETURNING key_hash
"""

_FINISH = """
    UPDATE idempotency_keys SET status = :status, body = CAST(:body AS jsonb)
    WHERE key_hash = :key AND request_hash = :request AND status IS NULL
"""


@dataclass(frozen=True)
class Attempt:
    """One request that may be repeated: who sent it, to which route, under which key, with which body."""

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
        """Salted with the key, which is not stored, so that nobody can try out bodies against the table."""
        return hashlib.sha256(self.key.encode() + b"\0" + self.body).hexdigest()


def once(ledger: Ledger, attempt: Attempt, status: int, action: Callable[[], Answer]) -> Answer:
    """The answer of ``action``, which runs unless this request was answered before.

    An action that raises leaves nothing behind: the request may be sent again.

    Args:
        status: the HTTP status that goes with the answer.

    Raises:
        InvalidRequest: the key was used for another request.
        Conflict: the same request is being answered right now.
    """
    values = {"key": attempt.key_hash, "request": attempt.request_hash}
    answer = _begin(ledger, values)
    if answer is not None:
        return answer
    try:
        answer = action()
    except BaseException:
        with ledger.work() as work:
            work.run("DELETE FROM idempotency_keys WHERE key_hash = :key AND status IS NULL", {"key": attempt.key_hash})
        raise
    with ledger.work() as work:
        work.run(_FINISH, {**values, "status": status, "body": json.dumps(answer)})
    return answer


def forget_answers(ledger: Ledger) -> int:
    """Remove what is older than a day, and say how many that were."""
    with ledger.work() as work:
        return work.run(
            "DELETE FROM idempotency_keys WHERE created_at < clock_timestamp() - make_interval(secs => :kept)",
            {"kept": KEPT_SECONDS},
        )


def _begin(ledger: Ledger, values: dict[str, str]) -> Answer | None:
    """The answer given before, or None if this request is ours to answer."""
    with ledger.work() as work:
        if work.row(_BEGIN, {**values, "kept": KEPT_SECONDS, "abandoned": ABANDONED_SECONDS}) is not None:
            return None
        row = work.row("SELECT request_hash, status, body FROM idempotency_keys WHERE key_hash = :key", values)
    if row is not None and row["request_hash"] != values["request"]:
        raise InvalidRequest("this Idempotency-Key was used for another request; choose a new one")
    if row is None or row["status"] is None:
        raise Conflict("the same request is being answered right now; send it again in a moment")
    return dict(row["body"])

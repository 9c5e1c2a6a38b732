"""Who reads a study now: a soft claim, which others learn of; they may sign all the same.

The desk that shows a study renews its claim. A claim that is not renewed is over after :data:`SECONDS`.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.engine import RowMapping

from xraygpt_core.errors import NotFound
from xraygpt_core.ledger.access.api_keys import ApiKey
from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.studies.read import resolve
from xraygpt_core.ledger.transaction import Ledger, Values, Work

SECONDS = 180.0
_TRIES = 3

# Of another reader, a claim stands until it is over; one's own is renewed. The study is locked before the claim is
# written: who makes it an alias holds the study, and waits for its claims.
_CLAIM = """
    INSERT INTO reading_claims AS c (study_id, key_id, name, until)
    SELECT id, CAST(:key AS uuid), :name, clock_timestamp() + make_interval(secs => :seconds)
    FROM studies WHERE id = :study AND purged_at IS NULL FOR KEY SHARE
    ON CONFLICT (study_id) DO UPDATE SET key_id = excluded.key_id, name = excluded.name, until = excluded.until
    WHERE c.until <= clock_timestamp() OR (c.name, c.key_id) IS NOT DISTINCT FROM (excluded.name, excluded.key_id)
    RETURNING 1 AS mine
"""
_FORMER = "SELECT name, key_id, until, until > clock_timestamp() AS valid FROM reading_claims WHERE study_id = :study"
_LEAVE = """
    DELETE FROM reading_claims
    WHERE study_id = :study AND name = :name AND key_id IS NOT DISTINCT FROM CAST(:key AS uuid)
    RETURNING 1 AS gone
"""
# What nobody renewed goes with the claims that come.
_SWEEP = """
    DELETE FROM reading_claims WHERE study_id IN (
        SELECT study_id FROM reading_claims WHERE until < clock_timestamp() - interval '1 hour'
        ORDER BY until LIMIT 20 FOR UPDATE SKIP LOCKED)
"""


@dataclass(frozen=True)
class Reading:
    """Whose claim on a study stands, and until when unless it is renewed."""

    name: str
    mine: bool
    until: datetime


def claim_reading(ledger: Ledger, study_id: UUID, reader: ApiKey) -> Reading:
    """Say that this reader has the study open, unless another one's claim stands; whose it is then.

    Only the first claim is an act of the audit; to renew it is none.

    Raises:
        NotFound: there is no such study.
    """
    with ledger.work() as work:
        values: dict[str, Any] = {"study": resolve(work, study_id), "key": reader.key_id, "name": reader.name}
        before = work.row(_FORMER, values)
        claimed, now = _claimed(work, values)
        own = before is not None and (before["name"], before["key_id"]) == (reader.name, reader.key_id)
        if claimed and not (before is not None and before["valid"] and own):
            record(work, "reading begun", study=values["study"])
            work.run(_SWEEP)
    return Reading(now["name"], claimed, now["until"])


def _claimed(work: Work, values: Values) -> tuple[bool, RowMapping]:
    """Whether the claim is ours, and the one that stands. Another's may end in between: then ours is tried again."""
    for _ in range(_TRIES):
        claimed = work.row(_CLAIM, {**values, "seconds": SECONDS}) is not None
        now = work.row(_FORMER, values)
        if now is not None:
            return claimed, now
    raise NotFound(f"there is no study {values['study']}")


def leave_reading(ledger: Ledger, study_id: UUID, reader: ApiKey) -> None:
    """End this reader's claim; another's stays.

    Raises:
        NotFound: there is no such study.
    """
    with ledger.work() as work:
        values: dict[str, Any] = {"study": resolve(work, study_id), "key": reader.key_id, "name": reader.name}
        if work.row(_LEAVE, values) is not None:
            record(work, "reading ended", study=values["study"])

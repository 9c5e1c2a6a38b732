"""Replaying dead jobs: they are queued again with fresh attempts, and what they were for goes on where it died.

A bucket that was away may mean a million at a time. They are gone through in the order of their ids, ten thousand a
transaction.
"""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy.engine import RowMapping

from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.jobs.causes import cause_sql
from xraygpt_core.ledger.jobs.fence import repeating
from xraygpt_core.ledger.jobs.kinds import statements
from xraygpt_core.ledger.jobs.timeline import by_person, job_steps, person
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.states import JobKind

_WINDOW = 10_000  # stands in the statements, so that the planner knows it

# A study whose dead job is of an older revision stays as it is: that job has nothing to say any more.
_REPLAY = f"""
    WITH replayed AS (
        UPDATE jobs SET state = 'queued', attempts = 0, not_before = NULL, finished_at = NULL
        WHERE id = ANY (ARRAY(
            SELECT id FROM jobs WHERE state = 'dead' AND id > :after AND {{which}}
            ORDER BY id LIMIT {_WINDOW} FOR UPDATE
        )) AND state = 'dead'
        RETURNING id, kind, subject, revision, attempts, lease_epoch
    ), story AS (
        {job_steps("replayed", "replayed", who="CAST(:who AS text)", attempt="NULL", detail="CAST(:by AS jsonb)")}
    ){statements(lambda kind: kind.replays)}
    SELECT id, count(*) OVER () AS jobs FROM replayed ORDER BY id DESC LIMIT 1
"""


class Cause(NamedTuple):
    """A kind of job, and why jobs of it died (:func:`xraygpt_core.ledger.jobs.causes.cause_sql`)."""

    kind: JobKind
    cause: str


def replay_dead(
    ledger: Ledger, *, job_ids: Sequence[UUID] | None = None, reason: str | None = None, cause: Cause | None = None
) -> int:
    """Give dead jobs fresh attempts; epochs go on counting. Returns how many.

    Args:
        job_ids: these; None means all, or all whose error contains ``reason``, or all that died of this cause.
    """
    conditions = ["id = ANY(CAST(:ids AS uuid[]))"] if job_ids is not None else []
    conditions += ["strpos(last_error, :reason) > 0"] if reason is not None else []
    conditions += [f"kind = :kind AND {cause_sql('last_error')} = :cause"] if cause is not None else []
    sql = _REPLAY.format(which=" AND ".join(conditions) or "true")
    values: dict[str, Any] = {"ids": None if job_ids is None else list(job_ids), "reason": reason}
    values |= {"kind": cause.kind, "cause": cause.cause} if cause is not None else {}

    def window(after: UUID) -> RowMapping | None:
        def body(work: Work) -> RowMapping | None:
            key = by_person(work)
            by = {"who": person(work), "by": json.dumps(key) if key else None}
            row = work.row(sql, values | by | {"after": after})
            if row is not None or not after.int:
                record(work, "jobs replayed", detail={"jobs": row["jobs"] if row is not None else 0})
            return row

        return repeating(ledger, body)

    count, after = 0, UUID(int=0)
    while (row := window(after)) is not None:
        # A job that dies again meanwhile stays dead: the next window begins behind it.
        count, after = count + row["jobs"], row["id"]
    return count

"""Adding, claiming, keeping, failing and handing back a unit of work. The clock is always the database's."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.engine import RowMapping

from xraygpt_core.ids import new_id
from xraygpt_core.ledger.jobs.fence import ALL_OWNED, Claim, fenced
from xraygpt_core.ledger.jobs.kinds import key_sql, study_sql
from xraygpt_core.ledger.jobs.outcomes import bury, printable
from xraygpt_core.ledger.jobs.timeline import job_steps
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.queue import Queue, Ring
from xraygpt_core.states import JobKind, JobState, Lane

__all__ = ["Claim", "add_job", "claim_next", "claim_of", "fail", "heartbeat", "insert_jobs", "ready_in", "release"]


def insert_jobs(
    rows: str,
    kind: str,
    *,
    subject: str,
    job: str = "job_id",
    revision: str = "NULL",
    bundle: str = "NULL",
    lane_rank: str = "lane_rank",
    place: str = "place",
    not_before: str = "NULL",
    returning: str = "id",
) -> str:
    """The statement that writes a job for each row of a relation, once per (kind, key). It binds ``:max_attempts``.

    Args:
        rows: the relation, and a condition where there is one; ``returning`` is of the new jobs. All other arguments
            are SQL expressions over the relation's columns.
    """
    return f"""
        INSERT INTO jobs (id, kind, subject, revision, key, lane_rank, place, max_attempts, not_before)
        SELECT {job}, {kind}, {subject}, {revision}, {key_sql(subject, revision, bundle)}, {lane_rank}, {place},
               :max_attempts, {not_before} FROM {rows}
        ON CONFLICT (kind, key) DO NOTHING RETURNING {returning}
    """


_ADD = insert_jobs(
    "(VALUES (1)) AS one",
    ":kind",
    job=":id",
    subject=":subject",
    revision="CAST(:revision AS int)",
    lane_rank=":lane_rank",
    place=":place",
    not_before="clock_timestamp() + make_interval(secs => :delay)",
)


def ready_in(queue: str) -> str:
    """The condition and order of what is ready in a queue; ``queue`` has its kind and lane_rank.

    By place (:mod:`xraygpt_core.ledger.fair_share`), then the oldest first.

    Rows are compared, not columns set equal: else the planner, which believes every queue to be long, walks the
    primary key in search of an empty one, past every job there is (90 ms a claim with 100,000 of them).
    """
    place = f"({queue}.kind, {queue}.lane_rank)"
    return f"""
        state = 'queued' AND not_before IS NULL AND (kind, lane_rank) >= {place} AND (kind, lane_rank) <= {place}
        ORDER BY kind, lane_rank, place, id
    """


# The most urgent jobs of some queues (kind, lane), by place within a queue. The limit stands in the text, so that
# the planner knows it.
_NEXT = f"""
    WITH ready AS (
        SELECT j.id, j.attempts, j.place, q.position
        FROM unnest(CAST(:kinds AS text[]), CAST(:ranks AS smallint[])) WITH ORDINALITY AS q (kind, lane_rank, position)
        CROSS JOIN LATERAL (
            SELECT id, attempts, place FROM jobs WHERE {ready_in("q")} LIMIT {{limit}} FOR UPDATE SKIP LOCKED
        ) j LIMIT {{limit}}
    ), due AS (
        SELECT id FROM (
            SELECT id, attempts, first_value(attempts) OVER sorted AS first, row_number() OVER sorted AS number
            FROM ready WINDOW sorted AS (ORDER BY position, place, id)
        ) r WHERE {{which}}
    )
"""
_EVERY = "true"
_RETRIES_ALONE = "number = 1 OR attempts = 0 AND first = 0"

_WAITED = "jsonb_build_object('waited_seconds', round(extract(epoch FROM clock_timestamp() - c.created_at), 3))"
# The rows are locked by now, and so are still queued.
_CLAIM = f"""
    , claimed AS (
        UPDATE jobs SET state = 'running', attempts = attempts + 1, lease_epoch = lease_epoch + 1,
               lease_until = clock_timestamp() + make_interval(secs => :lease), claimed_by = :worker,
               started_at = clock_timestamp(), not_before = NULL
        WHERE id = ANY (ARRAY(SELECT id FROM due)) AND attempts < max_attempts
        RETURNING id, kind, subject, revision, lane_rank, place, attempts, lease_epoch, created_at
    ), noted AS (
        {job_steps("claimed", "started", who=":worker", detail=_WAITED)} ORDER BY c.lane_rank, c.id
    )
    SELECT c.*, {study_sql("c")} AS study_id FROM claimed c
"""

# A row that its owner is writing is passed over: waiting for it would cost all others their leases.
_HEARTBEAT = f"""
    WITH extended AS (
        UPDATE jobs SET lease_until = clock_timestamp() + make_interval(secs => :lease)
        WHERE id = ANY (ARRAY(SELECT id FROM jobs WHERE {ALL_OWNED} ORDER BY id FOR UPDATE SKIP LOCKED))
    )
    SELECT id FROM jobs WHERE {ALL_OWNED}
"""

_TRIED = "id, kind, subject, attempts, lease_epoch, claimed_by, last_error"
_PAUSE = "jsonb_build_object('error', c.last_error, 'retry_in_seconds', CAST(:delay AS float8))"
_RETRY = f"""
    WITH failed AS (
        UPDATE jobs SET state = 'queued', lease_until = NULL, last_error = :error,
               not_before = GREATEST(not_before, clock_timestamp() + make_interval(secs => :delay))
        WHERE id = :id RETURNING {_TRIED}
    )
    {job_steps("failed", "failed", who="c.claimed_by", detail=_PAUSE)}
"""

_CAUSE = "CASE WHEN CAST(:error AS text) IS NOT NULL THEN jsonb_build_object('error', CAST(:error AS text)) END"
_HAND_BACK = f"""
    WITH unfinished AS (
        UPDATE jobs SET state = 'queued', lease_until = NULL, attempts = attempts - 1,
               not_before = GREATEST(not_before, clock_timestamp() + make_interval(secs => :delay)),
               last_error = COALESCE(CAST(:error AS text), last_error) WHERE id = :id RETURNING {_TRIED}
    )
    {job_steps("unfinished", "handed back", who="c.claimed_by", attempt="c.attempts + 1", detail=_CAUSE)}
"""


def add_job(
    work: Work,
    kind: JobKind,
    subject: UUID,
    lane: Lane,
    *,
    max_attempts: int,
    revision: int | None = None,
    place: int = 0,
    delay: float | None = None,
    ring: bool = True,
) -> UUID | None:
    """Write a job, once per (kind, key), and ring for it. Returns its id, or None if it was there before.

    Args:
        revision: of the study that it is about.
        place: of its study in the lane; kinds that are about no study are done in the order in which they come.
        delay: seconds before it may be claimed; the dispatcher rings then.
        ring: wake a worker right after the commit; False leaves it to the dispatcher (backlogs).
    """
    job_id = new_id()
    values = {"id": job_id, "kind": kind, "subject": subject, "revision": revision, "lane_rank": lane.rank}
    values |= {"place": place, "max_attempts": max_attempts, "delay": delay or None}
    if not work.run(_ADD, values):
        return None
    if ring and not delay:
        work.rings.append(Ring(kind, lane))
    return job_id


def claim_next(
    ledger: Ledger, queues: Sequence[Queue], worker: str, *, limit: int = 1, in_turn: bool = False
) -> list[Claim]:
    """Take the most urgent jobs there are, for ``lease_seconds``; an empty list if nothing is ready.

    Args:
        queues: where to look, most urgent first.
        limit: how many at most.
        in_turn: they are done one after the other. Then a job that was tried before is taken alone: if it kills the
            next worker, too, no other job loses an attempt.
    """
    if not queues:
        return []
    sql = _NEXT.format(limit=int(limit), which=_RETRIES_ALONE if in_turn else _EVERY) + _CLAIM
    values = {"kinds": [kind for kind, _ in queues], "ranks": [lane.rank for _, lane in queues]}
    values |= {"lease": ledger.settings.lease_seconds, "worker": worker}
    with ledger.work() as work:
        rows = work.rows(sql, values)
    taken = [claim_of(row) for row in sorted(rows, key=lambda row: (row["place"], row["id"]))]
    return sorted(taken, key=lambda claim: queues.index((claim.kind, claim.lane)))


def claim_of(row: RowMapping) -> Claim:
    """The last claim of a job, of its row; ``study_id`` is known where it was looked up."""
    return Claim(
        job_id=row["id"],
        kind=JobKind(row["kind"]),
        subject=row["subject"],
        epoch=row["lease_epoch"],
        attempts=row["attempts"],
        lane=Lane.of_rank(row["lane_rank"]),
        revision=row["revision"],
        study_id=row.get("study_id"),
    )


def heartbeat(ledger: Ledger, claims: Sequence[Claim]) -> set[UUID]:
    """Extend the leases of these jobs in one statement. Returns the ids that are still held; the others are lost."""
    if not claims:
        return set()
    with ledger.work() as work:
        values = {"ids": [claim.job_id for claim in claims], "epochs": [claim.epoch for claim in claims]}
        held = work.rows(_HEARTBEAT, values | {"lease": ledger.settings.lease_seconds})
        return {row["id"] for row in held}


def fail(ledger: Ledger, claim: Claim, error: str, *, retry: bool = True) -> JobState:
    """Record that an attempt failed: queued again after a pause, or dead when the attempts are used up.

    Args:
        error: what went wrong, in our own words: no patient data.
        retry: False buries the job at once.

    Raises:
        LeaseLost: the job is no longer ours; its failure is not recorded.
    """

    def body(work: Work) -> JobState:
        # Not the claim's own count: a checkpoint gives a run its attempts back.
        row = work.row("SELECT attempts, max_attempts FROM jobs WHERE id = :id", {"id": claim.job_id})
        if row is None or not retry or row["attempts"] >= row["max_attempts"]:
            bury(work, claim.job_id, error)
            return JobState.DEAD
        delay = ledger.settings.retry_seconds * 2 ** (row["attempts"] - 1)
        work.run(_RETRY, {"id": claim.job_id, "error": printable(error), "delay": min(delay, 3600.0)})
        return JobState.QUEUED

    return fenced(ledger, claim, body, finish=None)


def release(ledger: Ledger, claim: Claim, error: str | None = None, *, delay: float | None = None) -> None:
    """Hand a job back unfinished, as a draining worker does. The attempt does not count; the epoch stays used.

    Args:
        error: what kept it from being done, in our own words: no patient data.
        delay: seconds before anybody may claim it.

    Raises:
        LeaseLost: the job is no longer ours.
    """

    def body(work: Work) -> None:
        said = None if error is None else printable(error)
        work.run(_HAND_BACK, {"id": claim.job_id, "error": said, "delay": delay})
        if delay is None:
            work.rings.append(Ring(claim.kind, claim.lane))

    fenced(ledger, claim, body, finish=None)

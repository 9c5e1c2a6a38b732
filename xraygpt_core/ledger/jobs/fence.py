"""The promise of the ledger: only the owner of a live lease can finish a job, and only once.

A worker that was stopped past its lease (a zombie) wakes up, comes here, and changes nothing.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from sqlalchemy.exc import DBAPIError

from xraygpt_core.db import worth_repeating
from xraygpt_core.errors import LeaseLost, Refused, Unavailable
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.states import JobKind, JobState, Lane

T = TypeVar("T")

_OWNED = "id = :job_id AND lease_epoch = :epoch AND state = 'running' AND lease_until > clock_timestamp()"
_REPEATS = 5

# The same for many. Only a running job has a lease (a constraint of the table). If the state were asked for as well,
# the planner, which believes that hardly any job runs, would compare each of these with every running job there is.
ALL_OWNED = """
    id = ANY (CAST(:ids AS uuid[])) AND lease_until > clock_timestamp()
    AND (id, lease_epoch) IN (SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:epochs AS bigint[])))
"""

_FINISH = f"""
    UPDATE jobs SET state = 'done', lease_until = NULL, finished_at = clock_timestamp()
    WHERE {ALL_OWNED} RETURNING id
"""

_LOCK_STUDIES = "SELECT id FROM studies WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR UPDATE"


@dataclass(frozen=True)
class Claim:
    """The right to finish one job, as long as its lease lives.

    Attributes:
        study_id: the study it is about, or for a training job the run; known from the claim on.
    """

    job_id: UUID
    kind: JobKind
    subject: UUID
    epoch: int
    attempts: int
    lane: Lane
    key: str
    study_id: UUID | None = None


def fenced(
    ledger: Ledger,
    claim: Claim,
    body: Callable[[Work], T],
    *,
    finish: JobState | None = JobState.DONE,
    study_id: UUID | None = None,
) -> T:
    """Run ``body`` in one transaction in which the job is finished by its owner, or nothing happens at all.

    Args:
        body: writes the result rows. It may run more than once, each time in a new transaction.
        finish: the state the job ends in; None leaves it running.
        study_id: a study row to lock. Jobs are locked before studies everywhere, so that nobody deadlocks.

    Raises:
        LeaseLost: the lease ended, or belongs to another epoch. Nothing was written.
        Unavailable: PostgreSQL went away or refuses, and it is sure that nothing was written.
    """
    results: list[T] = []
    lost = False
    for repeat in range(_REPEATS):
        try:
            with ledger.work() as work:
                _take(work, claim, finish)
                if study_id is not None:
                    work.row("SELECT id FROM studies WHERE id = :id FOR UPDATE", {"id": study_id})
                results.append(body(work))
        except Unavailable as error:
            if isinstance(error, Refused) and not lost:
                raise  # no commit of ours is on its way, and the server would say the same again
            # The commit may have reached the server before the connection broke: ask on a new connection.
            lost = True
            if _committed(ledger, claim, finish):
                return results[-1]
            if repeat == _REPEATS - 1:
                raise
        except LeaseLost:
            # Or it was still on its way when we asked, and was first.
            if lost and results and _committed(ledger, claim, finish):
                return results[-1]
            raise
        except DBAPIError as error:
            if not worth_repeating(error) or repeat == _REPEATS - 1:
                raise
        else:
            return results[-1]
    raise AssertionError("the loop above returns or raises")


def fenced_many(
    ledger: Ledger,
    claims: Sequence[Claim],
    body: Callable[[Work, Collection[UUID]], None],
    *,
    study_ids: Sequence[UUID] = (),
) -> set[UUID]:
    """Like :func:`fenced` for many jobs in one transaction, all of which end as done.

    Args:
        body: writes the result rows of the jobs whose ids it is given: those that are still ours.
        study_ids: study rows to lock.

    Returns:
        The ids of the jobs that were finished. The others lost their leases, and nothing was written for them.

    Raises:
        Unavailable: PostgreSQL went away or refuses, and it is sure that nothing was written.
    """
    sent: set[UUID] = set()  # by commits that nobody confirmed
    for repeat in range(_REPEATS):
        held: set[UUID] = set()
        try:
            with ledger.work() as work:
                held = _take_many(work, claims)
                if held and study_ids:
                    work.rows(_LOCK_STUDIES, {"ids": study_ids})
                if held:
                    body(work, held)
        except Unavailable as error:
            if not isinstance(error, Refused):
                sent |= held
            elif not sent:
                raise
            if _any_committed(ledger, claims, sent):
                return sent
            if repeat == _REPEATS - 1:
                raise
        except DBAPIError as error:
            if not worth_repeating(error) or repeat == _REPEATS - 1:
                raise
        else:
            # Or a commit was still on its way when we asked, and was first.
            return sent if not held and _any_committed(ledger, claims, sent) else held
    raise AssertionError("the loop above returns or raises")


def repeating(ledger: Ledger, body: Callable[[Work], T]) -> T:
    """Run ``body`` in a transaction of its own, again if it was the victim of a deadlock."""
    for _ in range(_REPEATS - 1):
        try:
            with ledger.work() as work:
                return body(work)
        except DBAPIError as error:
            if not worth_repeating(error):
                raise
    with ledger.work() as work:
        return body(work)


def _take(work: Work, claim: Claim, finish: JobState | None) -> None:
    values = {"job_id": claim.job_id, "epoch": claim.epoch, "state": finish}
    if finish is None:
        owned = work.row(f"SELECT id FROM jobs WHERE {_OWNED} FOR UPDATE", values) is not None
    else:
        sql = f"UPDATE jobs SET state = :state, lease_until = NULL, finished_at = clock_timestamp() WHERE {_OWNED}"
        owned = work.run(sql, values) == 1
    if not owned:
        raise LeaseLost(f"job {claim.job_id}: epoch {claim.epoch} no longer owns it")


def _take_many(work: Work, claims: Sequence[Claim]) -> set[UUID]:
    values = {"ids": [claim.job_id for claim in claims], "epochs": [claim.epoch for claim in claims]}
    return {row["id"] for row in work.rows(_FINISH, values)}


def _any_committed(ledger: Ledger, claims: Sequence[Claim], sent: Collection[UUID]) -> bool:
    """One transaction finishes all or none of them; and the commit may arrive between two looks."""
    return any(_is_committed(ledger, claim) for claim in claims if claim.job_id in sent)


def _is_committed(ledger: Ledger, claim: Claim) -> bool:
    try:
        return _committed(ledger, claim, JobState.DONE)
    except LeaseLost:
        return False


def _committed(ledger: Ledger, claim: Claim, finish: JobState | None) -> bool:
    """Did the transaction whose commit was not confirmed take effect? Waits for the server to come back.

    Raises:
        LeaseLost: somebody else owns the job by now; nothing more may be written.
        Unavailable: the server does not come back before the lease has ended.
    """
    deadline = time.monotonic() + ledger.settings.lease_seconds
    while True:
        try:
            with ledger.work() as work:
                row = work.row(
                    "SELECT state, lease_epoch, lease_until > clock_timestamp() AS live FROM jobs WHERE id = :job_id",
                    {"job_id": claim.job_id},
                )
            break
        except Unavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
    if row is None or row["lease_epoch"] != claim.epoch:
        raise LeaseLost(f"job {claim.job_id}: epoch {claim.epoch} no longer owns it")
    if finish is not None and row["state"] == finish:
        return True
    if row["state"] != JobState.RUNNING or not row["live"]:
        raise LeaseLost(f"job {claim.job_id}: epoch {claim.epoch} no longer owns it")
    return False

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
_ATTEMPTS = (False, False, False, False, True)  # is it the last one?

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
    revision: int | None = None  # of the study, where the job is about one
    study_id: UUID | None = None


def lease_lost(claim: Claim) -> LeaseLost:
    """The error of an owner that is not one any more."""
    return LeaseLost(f"job {claim.job_id}: epoch {claim.epoch} no longer owns it")


def fenced(ledger: Ledger, claim: Claim, body: Callable[[Work], T], *, finish: JobState | None = JobState.DONE) -> T:
    """Run ``body`` in one transaction in which the job is finished by its owner, or nothing happens at all.

    Args:
        body: writes the result rows. It may run more than once, each time in a new transaction.
        finish: the state the job ends in; None leaves it running.

    Raises:
        LeaseLost: the lease ended, or belongs to another epoch. Nothing was written.
        Unavailable: PostgreSQL went away or refuses, and it is sure that nothing was written.
    """
    results: list[T] = []
    unsure = False  # a commit may have reached the server before the connection broke
    for last in _ATTEMPTS:
        try:
            with ledger.work() as work:
                _take(work, claim, finish)
                results.append(body(work))
        except Unavailable as error:
            if isinstance(error, Refused) and not unsure:
                raise  # no commit of ours is on its way, and the server would give the same answer
            unsure = True
            if _committed(ledger, claim, finish):
                return results[-1]
            if last:
                raise
        except LeaseLost:
            # A commit may have been on its way when we asked, and have been first.
            if unsure and results and _committed(ledger, claim, finish):
                return results[-1]
            raise
        except DBAPIError as error:
            if last or not worth_repeating(error):
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
        body: writes the result rows of those jobs that are still ours; it is given their ids.
        study_ids: study rows to lock. Jobs are locked before studies everywhere: nothing deadlocks.

    Returns:
        The ids of the jobs that were finished. The others lost their leases, and nothing was written for them.
    """
    unsure: set[UUID] = set()  # finished by commits that were not confirmed
    for last in _ATTEMPTS:
        held: set[UUID] = set()
        try:
            with ledger.work() as work:
                held = _take_many(work, claims, study_ids)
                if held:
                    body(work, held)
        except Unavailable as error:
            if not isinstance(error, Refused):
                unsure |= held
            elif not unsure:
                raise
            if _any_committed(ledger, claims, unsure):
                return unsure
            if last:
                raise
        except DBAPIError as error:
            if last or not worth_repeating(error):
                raise
        else:
            # The commit may have been on its way when we asked, and have been first.
            return unsure if not held and _any_committed(ledger, claims, unsure) else held
    raise AssertionError("the loop above returns or raises")


def repeating(ledger: Ledger, body: Callable[[Work], T]) -> T:
    """Run ``body`` in a transaction of its own, and repeat it if it was the victim of a deadlock.

    In a transaction that was joined it runs once: that one is lost, and the call that began it repeats the whole.
    """
    for last in _ATTEMPTS:
        try:
            with ledger.work() as work:
                return body(work)
        except DBAPIError as error:
            if last or ledger.joined is not None or not worth_repeating(error):
                raise
    raise AssertionError("the loop above returns or raises")


def _take(work: Work, claim: Claim, finish: JobState | None) -> None:
    values = {"job_id": claim.job_id, "epoch": claim.epoch, "state": finish}
    if finish is None:
        owned = work.row(f"SELECT id FROM jobs WHERE {_OWNED} FOR UPDATE", values) is not None
    else:
        sql = f"UPDATE jobs SET state = :state, lease_until = NULL, finished_at = clock_timestamp() WHERE {_OWNED}"
        owned = work.run(sql, values) == 1
    if not owned:
        raise lease_lost(claim)


def _take_many(work: Work, claims: Sequence[Claim], study_ids: Sequence[UUID]) -> set[UUID]:
    values = {"ids": [claim.job_id for claim in claims], "epochs": [claim.epoch for claim in claims]}
    held = {row["id"] for row in work.rows(_FINISH, values)}
    if held and study_ids:
        work.rows(_LOCK_STUDIES, {"ids": study_ids})
    return held


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
        LeaseLost: another worker owns the job by now; nothing more may be written.
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
        raise lease_lost(claim)
    if finish is not None and row["state"] == finish:
        return True
    if row["state"] != JobState.RUNNING or not row["live"]:
        raise lease_lost(claim)
    return False

"""What every job passes through: claim, work under a heartbeat, and one translation of whatever goes wrong.

The message is acknowledged in any case. Whether the job runs again is the ledger's decision, not the broker's.
"""

import logging
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar, runtime_checkable
from uuid import UUID

from workers.context import Context
from workers.heartbeat import JobProgress, log_fields
from xraygpt_core.errors import InvalidRequest, LeaseLost, Refused, Unavailable, XrayGPTError
from xraygpt_core.ledger.jobs import claims
from xraygpt_core.ledger.jobs.fence import Claim, lease_lost
from xraygpt_core.ledger.jobs.status import is_cancelled
from xraygpt_core.metrics import JOB_ATTEMPTS, LEASE_LOST, STAGE_SECONDS
from xraygpt_core.states import JobState

log = logging.getLogger(__name__)

T = TypeVar("T")
Body = Callable[[Claim, JobProgress], None]


class HandedBack(XrayGPTError):
    """The job goes back to its queue, as when the worker is stopping; the attempt does not count.

    Attributes:
        delay: seconds before anybody may claim it.
    """

    def __init__(self, message: str, delay: float | None = None) -> None:
        super().__init__(message)
        self.delay = delay


@runtime_checkable
class Batch(Protocol):
    """How jobs of a kind are done that may be short enough for several at a time."""

    def prepare(self, claims: Sequence[Claim], /) -> Mapping[UUID, Any]:
        """What ``do`` needs to know of each job, by the job's subject, in one query."""

    def do(self, claim: Claim, progress: JobProgress, given: Any, /) -> Any:
        """Do one job. Returns its result, which is still to be written; None if nothing is."""

    def finish(self, done: Sequence[tuple[Claim, Any]], /) -> set[UUID]:
        """Write these results in one transaction. Returns the ids of the jobs that were still ours."""


@dataclass(frozen=True)
class _Done:
    """A job of a batch whose result is still to be written."""

    claim: Claim
    progress: JobProgress
    result: Any
    began: float


def run_claim(context: Context, claim: Claim, body: Body) -> None:
    """Do one claimed job and record how it ended. Its errors go no further."""
    began = time.monotonic()
    with _kept_alive(context, [claim]) as in_progress:
        context.events.started(claim)
        _, error = attempt(lambda: body(claim, in_progress[0]))
        _end(context, claim, began, error)


def run_batch(context: Context, claims: Sequence[Claim], batch: Batch) -> None:
    """Do some claimed jobs one after the other and write their results together. Each fails by itself."""
    with _kept_alive(context, claims) as in_progress:
        with _all_at_work(in_progress):
            given, error = attempt(lambda: batch.prepare(claims))
        done: list[_Done] = []
        for claim, progress in zip(claims, in_progress, strict=True):
            began = time.monotonic()
            if context.draining.is_set() and done:
                error = HandedBack("the worker is stopping")
            elif context.must_wait(claim.kind):
                error = HandedBack("the buckets do not answer")
            with progress.turn():
                if given is None or error is not None:
                    _end(context, claim, began, error)
                    continue
                context.events.started(claim)
                result, failure = attempt(partial(_do, batch, claim, progress, given))
                if failure is None and result is not None:
                    done.append(_Done(claim, progress, result, began))
                else:
                    _end(context, claim, began, failure)
        _finish(context, batch, done)


@contextmanager
def _all_at_work(in_progress: Iterable[JobProgress]) -> Iterator[None]:
    """These jobs are at work together."""
    with ExitStack() as turns:
        for progress in in_progress:
            turns.enter_context(progress.turn())
        yield


def _do(batch: Batch, claim: Claim, progress: JobProgress, given: Mapping[UUID, Any]) -> Any:
    progress.check()
    return batch.do(claim, progress, given.get(claim.subject))


def _finish(context: Context, batch: Batch, done: Sequence[_Done]) -> None:
    """Write the results; if that fails for all together, for each alone, so that only the bad one fails."""
    if not done:
        return
    with _all_at_work(one.progress for one in done):
        finished, error = attempt(lambda: batch.finish([(one.claim, one.result) for one in done]))
    if error is not None and len(done) > 1 and (isinstance(error, Refused) or not isinstance(error, Unavailable)):
        for one in done:
            _finish(context, batch, [one])
        return
    for one in done:
        lost = lease_lost(one.claim) if one.claim.job_id not in (finished or ()) else None
        with one.progress.turn():
            _end(context, one.claim, one.began, error or lost)


def attempt(act: Callable[[], T]) -> tuple[T | None, Exception | None]:
    """What ``act`` returned, and what it raised. For jobs, and for threads that live as long as their process."""
    try:
        return act(), None
    except Exception as error:  # noqa: BLE001  # the one broad except: what happened must reach the ledger, or be survived
        return None, error


@contextmanager
def _kept_alive(context: Context, claims: Sequence[Claim]) -> Iterator[list[JobProgress]]:
    """Keep the leases of some claims alive."""
    context.events.received(claims)
    with ExitStack() as leases:
        in_progress = []
        for claim in claims:
            JOB_ATTEMPTS.labels(claim.kind).inc()
            limits = context.limits(claim.kind)
            in_progress.append(leases.enter_context(context.heartbeat.keep_alive(claim, limits.stall, limits.run)))
        yield in_progress


def log_not_claimed(error: Exception) -> None:
    """No job was claimed, so none is lost: the dispatcher rings again."""
    log.warning("job not claimed", extra={"error": type(error).__name__})


def _end(context: Context, claim: Claim, began: float, error: Exception | None) -> None:
    seconds = time.monotonic() - began
    if error is None:
        STAGE_SECONDS.labels(claim.kind).observe(seconds)
        context.events.succeeded(claim, seconds)
        log.info("job done", extra=log_fields(claim) | {"seconds": round(seconds, 3)})
        return
    _, failure = attempt(lambda: _translate(context, claim, error))
    match failure:
        case None:
            return
        case LeaseLost():
            _lost(context, claim)
        case Unavailable():
            log.warning("outcome not recorded: the lease will end by itself", extra=log_fields(claim))
        case _:
            raise failure


def _translate(context: Context, claim: Claim, error: Exception) -> None:
    match error:
        case LeaseLost():
            _lost(context, claim)
        case HandedBack():
            claims.release(context.ledger, claim, delay=error.delay)
            context.events.retried(claim, describe(error))
            log.info("job handed back", extra=log_fields(claim))
        case Unavailable() if not isinstance(error, Refused) and context.confirms_outage(claim.kind):
            claims.release(context.ledger, claim, describe(error))
            context.events.retried(claim, describe(error))
            log.warning("job handed back", extra=log_fields(claim), exc_info=error)
        case _:
            message = describe(error)
            state = claims.fail(context.ledger, claim, message, retry=not isinstance(error, InvalidRequest))
            context.events.failed(claim, message, state)
            level = logging.ERROR if state is JobState.DEAD else logging.WARNING
            log.log(level, "job failed", extra=log_fields(claim) | {"state": state}, exc_info=error)


def _lost(context: Context, claim: Claim) -> None:
    LEASE_LOST.labels(claim.kind).inc()
    cancelled, _ = attempt(lambda: is_cancelled(context.ledger, claim))
    if cancelled:
        context.events.revoked(claim)
    log.warning("lease lost, nothing written", extra=log_fields(claim))


def describe(error: Exception) -> str:
    """What the ledger keeps of an error. Our own messages hold no patient data; of others only kind and place."""
    kind = type(error).__name__
    if isinstance(error, XrayGPTError):
        return f"{kind}: {error}"
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {frames[-1].name} ({frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno})" if frames else ""
    return f"{kind}{place}"

"""What every job passes through: claim, work under a heartbeat, and one translation of whatever goes wrong.

The message is acknowledged in any case. Whether the job runs again is the ledger's decision, not the broker's.
"""

import logging
import time
import traceback
from collections.abc import Callable
from uuid import UUID

from workers.context import Context
from workers.heartbeat import Pulse, told
from xraygpt_core.errors import InvalidRequest, LeaseLost, Unavailable, XrayGPTError
from xraygpt_core.ledger import jobs
from xraygpt_core.ledger.fence import Claim
from xraygpt_core.metrics import JOB_ATTEMPTS, LEASE_LOST, STAGE_SECONDS
from xraygpt_core.states import JobKind, JobState

log = logging.getLogger(__name__)

Body = Callable[[Claim, Pulse], None]


class HandedBack(XrayGPTError):
    """The worker is stopping; the job goes back to its queue and the attempt does not count."""


def run_job(context: Context, kind: JobKind, job_id: str, body: Body) -> None:
    """Do one job, if it is ours to do. Returns whatever happened; the ledger knows."""
    claim: Claim | None = None
    try:
        claim = jobs.claim(context.ledger, UUID(job_id), kind, context.name)
        if claim is None:
            return  # somebody else has it, or it is finished: the message was late or doubled
        JOB_ATTEMPTS.labels(kind).inc()
        began = time.monotonic()
        beating = context.heart.beating(claim, context.stall_seconds(kind), context.max_seconds(kind))
        with beating as pulse, STAGE_SECONDS.labels(kind).time():
            body(claim, pulse)
        log.info("job done", extra=told(claim) | {"seconds": round(time.monotonic() - began, 3)})
    except Exception as error:  # noqa: BLE001  # the one broad except: what happened must reach the ledger
        _record(context, kind, claim, error)


def _record(context: Context, kind: JobKind, claim: Claim | None, error: Exception) -> None:
    if claim is None:
        # Nothing was taken, so nothing is lost: the dispatcher rings again.
        log.warning("job not claimed", extra={"kind": kind, "error": type(error).__name__})
        return
    try:
        _translate(context, claim, error)
    except LeaseLost:
        _lost(claim)
    except Unavailable:
        log.warning("outcome not recorded: the lease will end by itself", extra=told(claim))


def _translate(context: Context, claim: Claim, error: Exception) -> None:
    match error:
        case LeaseLost():
            _lost(claim)
        case HandedBack():
            jobs.release(context.ledger, claim)
            log.info("job handed back", extra=told(claim))
        case _:
            said = describe(error)
            state = jobs.fail(context.ledger, claim, said, retry=not isinstance(error, InvalidRequest))
            level = logging.ERROR if state is JobState.DEAD else logging.WARNING
            log.log(level, "job failed", extra=told(claim) | {"state": state}, exc_info=error)


def _lost(claim: Claim) -> None:
    LEASE_LOST.labels(claim.kind).inc()
    log.warning("lease lost, nothing written", extra=told(claim))


def describe(error: Exception) -> str:
    """What the ledger keeps of an error. Our own messages hold no patient data; of others only kind and place."""
    kind = type(error).__name__
    if isinstance(error, XrayGPTError):
        return f"{kind}: {error}"
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {frames[-1].name} ({frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno})" if frames else ""
    return f"{kind}{place}"

"""Dead jobs: list them, and give them new attempts."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field

from api_gateway.auth import Operator, UsesLedger
from api_gateway.idempotency import RunsOnce
from api_gateway.schemas import Answer, Request, Text
from xraygpt_core.errors import InvalidRequest
from xraygpt_core.ledger.jobs.replay import Cause, replay_dead
from xraygpt_core.ledger.studies.read import dead
from xraygpt_core.states import JobKind

router = APIRouter(prefix="/v1/dead", tags=["dead"])


class DeadJob(Answer):
    """A job whose attempts are used up. ``subject`` is its image, study, turn or run."""

    job_id: UUID
    kind: JobKind
    subject: UUID
    attempts: int
    last_error: str | None
    created_at: datetime
    finished_at: datetime | None


class DeadJobs(Answer):
    """Oldest first, at most ``limit``; ask again with the last id as ``after``."""

    jobs: list[DeadJob]


class CauseOf(Request):
    """Jobs of a kind that died of one cause, as `GET /v1/ops` groups them."""

    kind: JobKind
    cause: Annotated[Text, Field(min_length=1, max_length=4000)]


class Replay(Request):
    """Exactly one of: these jobs, those whose error contains a text, those of a cause, all."""

    job_ids: Annotated[list[UUID], Field(min_length=1, max_length=1000)] | None = None
    reason: Annotated[Text, Field(min_length=1)] | None = None
    cause: CauseOf | None = None
    all: bool = False


class Replayed(Answer):
    """How many jobs are queued again."""

    replayed: int


@router.get("")
def get_dead(
    ledger: UsesLedger,
    _: Operator,
    reason: Text | None = None,
    after: UUID | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> DeadJobs:
    """Dead jobs; ``reason`` is a part of their last error."""
    return DeadJobs(jobs=[DeadJob.model_validate(job) for job in dead(ledger, reason=reason, after=after, limit=limit)])


@router.post("/replay")
def post_replay(body: Replay, ledger: UsesLedger, once: RunsOnce, _: Operator) -> Replayed:
    """Queue dead jobs again. Their attempts start at zero, their epochs go on."""
    if sum((body.job_ids is not None, body.reason is not None, body.cause is not None, body.all)) != 1:
        raise InvalidRequest("name the jobs by job_ids, by reason, by cause or by all: true, one of the four")
    cause = Cause(body.cause.kind, body.cause.cause) if body.cause else None
    return Replayed.model_validate(
        once.in_steps(
            lambda _: {"replayed": replay_dead(ledger, job_ids=body.job_ids, reason=body.reason, cause=cause)}
        )
    )

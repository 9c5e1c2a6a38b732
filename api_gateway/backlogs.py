"""Backlogs: everything below a prefix of the source bucket, as one piece of work."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from fastapi import APIRouter

from api_gateway.auth import Operator, UsesLedger, may_ask_for
from api_gateway.idempotency import RunsOnce
from api_gateway.schemas import Answer, Moment, Request, Text
from xraygpt_core.errors import InvalidRequest
from xraygpt_core.ledger.backlogs.change import change_backlog
from xraygpt_core.ledger.backlogs.progress import backlog, backlogs, create_backlog
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import Lane

router = APIRouter(prefix="/v1/backlogs", tags=["backlogs"])


class NewBacklog(Request):
    """``s3://bucket/prefix`` (the prefix may be empty), and the time from which objects count."""

    uri: Text
    lane: Lane = Lane.BACKLOG
    since: Moment | None = None


class BacklogId(Answer):
    """The backlog that is being listed."""

    backlog_id: UUID


class BacklogAnswer(Answer):
    """How far a backlog is, in images; ``problem`` says why its listing stands still."""

    backlog_id: UUID
    state: str
    lane: Lane
    listed: int
    registered: int
    summarised: int
    rejected: int
    dead: int
    cancelled: int
    open: int
    problem: str | None
    created_at: datetime
    listed_at: datetime | None
    finished_at: datetime | None


class Backlogs(Answer):
    """The newest first."""

    backlogs: list[BacklogAnswer]


@router.post("", status_code=202)
def post_backlog(body: NewBacklog, ledger: UsesLedger, once: RunsOnce, caller: Operator) -> BacklogId:
    """Start one; the control worker lists it page by page."""
    bucket, _, prefix = body.uri.removeprefix("s3://").partition("/")
    if not body.uri.startswith("s3://") or bucket != ledger.settings.bucket:
        raise InvalidRequest(f"write it as s3://{ledger.settings.bucket}/prefix: only that bucket is read here")
    lane = may_ask_for(body.lane, caller)
    return BacklogId.model_validate(
        once(lambda joined: {"backlog_id": str(create_backlog(joined, bucket, prefix, lane, body.since))})
    )


@router.get("")
def get_backlogs(ledger: UsesLedger, _: Operator) -> Backlogs:
    """The last fifty."""
    return Backlogs(backlogs=[BacklogAnswer.model_validate(one) for one in backlogs(ledger)])


@router.get("/{backlog_id}")
def get_backlog(backlog_id: UUID, ledger: UsesLedger, _: Operator) -> BacklogAnswer:
    """One backlog."""
    return BacklogAnswer.model_validate(backlog(ledger, backlog_id))


@router.post("/{backlog_id}/{wanted}")
def post_change(
    backlog_id: UUID,
    wanted: Literal["pause", "resume", "cancel"],
    ledger: UsesLedger,
    once: RunsOnce,
    _: Operator,
) -> BacklogAnswer:
    """Pause, resume or cancel. Running jobs finish; a resumed backlog takes its cancelled images back."""

    def action(joined: Ledger) -> dict[str, str]:
        change_backlog(ledger, backlog_id, wanted, ending=joined)
        return {}

    once.in_steps(action)
    return BacklogAnswer.model_validate(backlog(ledger, backlog_id))

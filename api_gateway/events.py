"""Bucket events: from a webhook with a token, or through Amazon SNS with a signature."""

import logging
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool

from api_gateway.auth import AnnouncesServices, Token, may_ask_for, needs_or
from api_gateway.dependencies import Dependencies, OpenServices
from api_gateway.schemas import Answer
from xraygpt_core.bucket_events import count_refused, register_events
from xraygpt_core.errors import InvalidRequest, Unauthorised
from xraygpt_core.ledger.access.api_keys import ApiKey
from xraygpt_core.ledger.operations.unreadable import note_unreadable
from xraygpt_core.s3_events.hints import Message, text
from xraygpt_core.s3_events.parse import is_sns, parse_events, read_json
from xraygpt_core.states import Lane, Role

log = logging.getLogger(__name__)

router = APIRouter(prefix="/v1/events", tags=["events"])


class NotedAnswer(Answer):
    """The result of an event. ``ignored`` objects are in another bucket, were gone when we looked, or are folders."""

    registered: int
    deleted: int
    ignored: int


@router.post("/s3", status_code=202)
async def post_event(
    request: Request,
    services: AnnouncesServices,
    sender: Annotated[ApiKey | None, needs_or(Token.WEBHOOK, Role.OPERATOR, Role.SERVICE)],
    lane: Lane = Lane.ROUTINE,
) -> NotedAnswer:
    """Take an event of S3, MinIO, RustFS, EventBridge or SeaweedFS, as it is or as SQS wraps it. Repeats are harmless.

    Send it with an API key, or with the webhook's own token. ``lane`` is a part of the address that
    you give to the bucket; ``stat`` needs a key that may ask for it, or XRAYGPT_WEBHOOK_STAT, and else is ``routine``.
    """
    lane = _granted(lane, services) if sender is None else may_ask_for(lane, sender)
    return await run_in_threadpool(_note, services, await request.body(), lane)


@router.post("/sns", status_code=202)
async def post_sns(request: Request, services: OpenServices, lane: Lane = Lane.ROUTINE) -> NotedAnswer:
    """Take an event that Amazon SNS delivers over HTTPS. Its signature is the key; its topic must be listed.

    A subscription to such a topic is confirmed. Every other message is refused.
    """
    return await run_in_threadpool(_note, services, await request.body(), _granted(lane, services), signed=True)


@router.get("/s3", include_in_schema=False)
@router.head("/s3", include_in_schema=False)
def get_event_door(_: Annotated[ApiKey | None, needs_or(Token.WEBHOOK, Role.OPERATOR, Role.SERVICE)]) -> None:
    """MinIO sends this request before it saves a webhook."""


def _granted(lane: Lane, services: Dependencies) -> Lane:
    """The lane for objects without a key: a writer to the bucket must not overtake the hospital's emergencies."""
    return lane if lane is not Lane.STAT or services.settings.webhook_stat else Lane.ROUTINE


def _note(services: Dependencies, body: bytes, lane: Lane, *, signed: bool = False) -> NotedAnswer:
    genuine = not signed

    def opened(message: Message) -> str | None:
        nonlocal genuine
        content = _opened(services, message)
        genuine = True
        return content

    try:
        if signed:
            _must_be_sns(body)
        events = parse_events(body, open_sns=opened)
    except (InvalidRequest, Unauthorised) as error:
        count_refused()
        if genuine:  # what a stranger sends is counted, and writes nothing
            note_unreadable(services.ledger, "sns" if signed else "webhook", str(error))
        raise
    return NotedAnswer.model_validate(register_events(services.ledger, services.store, events, lane))


def _must_be_sns(body: bytes) -> None:
    """Refuse everything else: it needs a key."""
    if not is_sns(read_json(body)):
        raise Unauthorised("this route takes signed messages of Amazon SNS; others go to /v1/events/s3 with a key")


def _opened(services: Dependencies, message: Message) -> str | None:
    """The content of a genuine SNS message; confirms a subscription to one of our topics."""
    kind = services.sns.check(message)
    if kind == "SubscriptionConfirmation":
        services.sns.confirm(message)
    elif kind == "UnsubscribeConfirmation":
        log.warning("a topic was unsubscribed: its events come no more")
    return text(message, "Message") if kind == "Notification" else None

"""The bucket says that something came or went."""

from collections.abc import Iterable
from itertools import groupby

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool

from api_gateway.auth import EventSender
from api_gateway.services import Services, UsesServices
from api_gateway.wire import Answer
from xraygpt_core.errors import InvalidRequest, ObjectMissing
from xraygpt_core.ledger.register import ObjectRef, note_deleted, register_objects
from xraygpt_core.metrics import INGEST_EVENTS
from xraygpt_core.s3_events import ObjectHint, parse_events
from xraygpt_core.states import Lane
from xraygpt_core.storage import ObjectStore

router = APIRouter(prefix="/v1/events", tags=["events"])

_ACTOR = "event"


class Noted(Answer):
    """What came of an event: ``ignored`` objects lie in another bucket, or were gone before we looked."""

    registered: int
    deleted: int
    ignored: int


@router.post("/s3", status_code=202)
async def post_event(request: Request, services: UsesServices, _: EventSender, lane: Lane = Lane.ROUTINE) -> Noted:
    """Take an event of S3, MinIO, RustFS, EventBridge or SeaweedFS. Repeats are harmless.

    Send it with an API key, or with the webhook's own token. ``lane`` goes into the address the bucket is told.
    """
    body = await request.body()
    return await run_in_threadpool(_note, services, body, lane)


@router.get("/s3", include_in_schema=False)
@router.head("/s3", include_in_schema=False)
def get_event_door(_: EventSender) -> None:
    """MinIO knocks before it saves a webhook."""


def _note(services: Services, body: bytes, lane: Lane) -> Noted:
    try:
        events = parse_events(body)
    except InvalidRequest:
        INGEST_EVENTS.labels("unknown", "refused").inc()
        raise
    ours = [hint for hint in events.hints if hint.bucket == services.settings.bucket]
    registered = deleted = 0
    for (kind, uploaded), group in groupby(ours, key=lambda hint: (hint.kind, hint.key.startswith("uploads/"))):
        if kind == "deleted":
            for hint in group:
                note_deleted(services.ledger, hint.bucket, hint.key)
                deleted += 1
        else:
            # Who uploads a file submits it too, and says in which lane; until then it is in nobody's way.
            refs = _refs(services.store, group)
            if refs:
                register_objects(services.ledger, refs, Lane.BACKLOG if uploaded else lane, actor=_ACTOR)
            registered += len(refs)
    noted = Noted(registered=registered, deleted=deleted, ignored=len(events.hints) - registered - deleted)
    for result, count in noted.model_dump().items():
        INGEST_EVENTS.labels(events.dialect, result).inc(count)
    return noted


def _refs(store: ObjectStore, hints: Iterable[ObjectHint]) -> list[ObjectRef]:
    """The objects that came. The ETag is part of an object's identity; the bucket is asked where the event lacks it."""
    refs = []
    for hint in hints:
        etag, version_id, size = hint.etag, hint.version_id, hint.size
        if etag is None:
            try:
                head = store.head(hint.bucket, hint.key)
            except ObjectMissing:
                continue
            etag, version_id, size = head.etag, head.version_id, head.size
        refs.append(ObjectRef(hint.bucket, hint.key, etag, version_id, size, hint.sequencer))
    return refs

"""Registering the objects that bucket events name, from the webhook and from the event queue alike."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from xraygpt_core.errors import ObjectMissing
from xraygpt_core.ledger.studies.known_objects import note_deleted
from xraygpt_core.ledger.studies.register import ObjectRef, register_objects
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.metrics import INGEST_EVENTS
from xraygpt_core.s3_events import Events, ObjectHint
from xraygpt_core.states import Lane
from xraygpt_core.storage import ObjectStore, is_folder_marker

_ACTOR = "event"
# The client that uploads a file also submits it, in its lane, and so a worker leaves it to that client for a while. If
# the client died meanwhile, it is taken behind all other work.
UPLOAD_SECONDS = 10.0


@dataclass(frozen=True)
class EventCounts:
    """A message's results. ``ignored`` objects lie in another bucket, were gone before we looked, or are folders."""

    registered: int = 0
    deleted: int = 0
    ignored: int = 0


def register_events(ledger: Ledger, store: ObjectStore, events: Events, lane: Lane) -> EventCounts:
    """Register new objects and note deleted ones. All is committed when this returns. Repeats are harmless.

    Raises:
        Unavailable: database or bucket does not answer; some of it may have been written.
    """
    ours = [hint for hint in events.hints if hint.bucket == store.bucket]
    registered = deleted = 0
    for (kind, uploaded), group in groupby(ours, key=lambda hint: (hint.kind, hint.key.startswith("uploads/"))):
        if kind == "deleted":
            for hint in group:
                note_deleted(ledger, hint.bucket, hint.key, hint.sequencer)
                deleted += 1
        else:
            refs = _refs(store, group)
            if refs and uploaded:
                register_objects(ledger, refs, Lane.BACKLOG, actor=_ACTOR, wait=UPLOAD_SECONDS)
            elif refs:
                register_objects(ledger, refs, lane, actor=_ACTOR)
            registered += len(refs)
    noted = EventCounts(registered, deleted, ignored=len(events.hints) - registered - deleted)
    for result, count in vars(noted).items():
        INGEST_EVENTS.labels(events.dialect, result).inc(count)
    return noted


def count_refused() -> None:
    """Count a message that was turned away."""
    INGEST_EVENTS.labels("unknown", "refused").inc()


def _refs(store: ObjectStore, hints: Iterable[ObjectHint]) -> list[ObjectRef]:
    """The new objects, without the markers of folders. The ETag is part of an object's identity; the bucket is asked
    where the event lacks it.
    """
    refs = []
    for hint in hints:
        etag, version_id, size = hint.etag, hint.version_id, hint.size
        if etag is None or (size is None and hint.key.endswith("/")):
            try:
                head = store.head(hint.bucket, hint.key)
            except ObjectMissing:
                continue
            etag, version_id, size = head.etag, head.version_id, head.size
        if not is_folder_marker(hint.key, size):
            refs.append(ObjectRef(hint.bucket, hint.key, etag, version_id, size, hint.sequencer))
    return refs

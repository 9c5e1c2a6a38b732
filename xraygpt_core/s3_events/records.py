"""``Records[]`` of Amazon S3 (User Guide, "Event message structure"), also sent by MinIO, RustFS and Ceph.

The key is percent-encoded, with ``+`` for a space; Ceph's alone arrives as it is (its documentation, "S3 bucket
notifications compatibility"). Any 2.x version is read: minor versions only add members.
"""

import re
from collections.abc import Iterator
from urllib.parse import unquote_plus

from xraygpt_core.errors import InvalidRequest
from xraygpt_core.s3_events.hints import Kind, Message, ObjectHint, inner, object_hint, text

_CREATED = ("ObjectCreated:",)
_DELETED = ("ObjectRemoved:", "LifecycleExpiration:")
_BROKEN_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


def from_records(records: object) -> Iterator[ObjectHint]:
    """One hint per record that says that an object came or went; tags and access rights are passed over."""
    if not isinstance(records, list):
        raise InvalidRequest("Records is not a list")
    for record in records:
        if not isinstance(record, dict):
            raise InvalidRequest("a record is not an object")
        if not str(record.get("eventVersion", "")).startswith("2."):
            raise InvalidRequest("a record has an eventVersion other than 2.x")
        kind = _kind(text(record, "eventName").removeprefix("s3:"))
        if kind is not None:
            yield _from_record(record, kind)


def _from_record(record: Message, kind: Kind) -> ObjectHint:
    s3 = inner(record, "s3")
    item = inner(s3, "object")
    return object_hint(
        kind,
        bucket=text(inner(s3, "bucket"), "name"),
        key=_key(record, text(item, "key")),
        etag=item.get("eTag"),
        version_id=item.get("versionId"),
        size=item.get("size"),
        sequencer=item.get("sequencer"),
    )


def _key(record: Message, key: str) -> str:
    if str(record.get("eventSource", "")).startswith("ceph:"):
        return key
    if _BROKEN_PERCENT.search(key):
        raise InvalidRequest("an object key is not percent-encoded")
    return unquote_plus(key, errors="surrogateescape")


def _kind(event: str) -> Kind | None:
    if event.startswith(_CREATED):
        return "created"
    return "deleted" if event.startswith(_DELETED) else None

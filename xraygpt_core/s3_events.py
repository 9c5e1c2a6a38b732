"""Bucket events of every dialect, read as hints: an object may be there, or may be gone.

An event is never the truth (S3 delivers at least once, in no order, and sometimes not at all): the bucket is. So this
parser is strict about shape and generous about the rest, and knows these dialects:

- ``aws``: ``Records[]`` with ``s3.bucket.name`` and ``s3.object.key``, which is percent-encoded with ``+`` for a space;
  any 2.x version (Amazon S3 User Guide, "Event message structure"). Also sent, with an envelope, by MinIO and RustFS;
- ``eventbridge``: ``detail-type`` "Object Created", the key not encoded (same guide, "EventBridge event message");
- ``seaweedfs``: the filer's webhook, ``event_type`` and a path below ``/buckets/``;
- SNS and SQS envelopes around any of these. The signature of an SNS message is not verified here, so one is opened only
  for a caller that knows where it comes from.

Bucket keys are patient data: no error of this module repeats one, and no ``repr`` shows one.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote_plus

from xraygpt_core.errors import InvalidRequest

MAX_BYTES = 1 << 20  # AWS sends at most 64 KiB, SNS and SQS 256 KiB; SeaweedFS lists every chunk of an object
MAX_HINTS = 1000
_MAX_ENVELOPES = 3  # SQS around SNS around S3
_MAX_KEY_BYTES = 1024  # Amazon S3 User Guide, "Naming Amazon S3 objects"

Dialect = Literal["aws", "minio", "eventbridge", "seaweedfs", "test"]
Kind = Literal["created", "deleted"]
_CREATED = ("ObjectCreated:",)
_DELETED = ("ObjectRemoved:", "LifecycleExpiration:")
_VERSION_FILE = re.compile(r"(?P<key>.+)\.versions/v_[^/]+")


@dataclass(frozen=True)
class ObjectHint:
    """An object that may have come or gone. ``sequencer`` orders the events of one key (compare padded, as text)."""

    bucket: str
    key: str
    etag: str | None
    version_id: str | None
    size: int | None
    sequencer: str | None
    kind: Kind

    def __repr__(self) -> str:
        return f"ObjectHint(kind={self.kind!r}, etag={self.etag!r})"


@dataclass(frozen=True)
class Events:
    """One message: who sent it, and what it hints at. A test message hints at nothing."""

    dialect: Dialect
    hints: tuple[ObjectHint, ...]


def parse_events(body: bytes, *, open_sns: bool = False) -> Events:
    """Read one message.

    Args:
        body: JSON, at most :data:`MAX_BYTES`.
        open_sns: open an SNS envelope. Only for a message whose origin is known by other means, such as a queue that
            one topic alone may write to.

    Raises:
        InvalidRequest: it is no event of a known dialect; the message says what is wrong, without a key.
    """
    if len(body) > MAX_BYTES:
        raise InvalidRequest(f"an event is at most {MAX_BYTES} bytes")
    message = _json(body)
    for _ in range(_MAX_ENVELOPES):
        inner = _opened(message, open_sns=open_sns)
        if inner is None:
            return _events(message)
        message = _json(inner)
    raise InvalidRequest("the event is wrapped in too many envelopes")


def _json(text: bytes | str) -> dict[str, Any]:
    try:
        message = json.loads(text)
    except RecursionError:
        raise InvalidRequest("the event is nested too deeply") from None
    except ValueError:  # also UnicodeDecodeError, and integers of thousands of digits
        raise InvalidRequest("the event is not JSON") from None
    if not isinstance(message, dict):
        raise InvalidRequest("the event is not a JSON object")
    return message


def _opened(message: dict[str, Any], *, open_sns: bool) -> str | None:
    """What is inside the envelope; None if there is none."""
    if "TopicArn" in message and "Type" in message:
        if not open_sns:
            raise InvalidRequest(
                "SNS messages are refused: their signature is not verified here; deliver S3 events directly"
            )
        if message["Type"] != "Notification":
            raise InvalidRequest("an SNS subscription is confirmed by its owner, not by this service")
        return _text(message, "Message")
    if "MessageId" in message and "Body" in message:  # a message received from SQS
        return _text(message, "Body")
    return None


def _events(message: dict[str, Any]) -> Events:
    if message.get("Event") == "s3:TestEvent" and "Records" not in message:
        return Events("test", ())
    if "Records" in message:
        return Events("minio" if "EventName" in message else "aws", _limited(_from_records(message["Records"])))
    if "detail-type" in message:
        return Events("eventbridge", _limited(_from_eventbridge(message)))
    if "event_type" in message:
        return Events("seaweedfs", _limited(_from_seaweedfs(message)))
    raise InvalidRequest("the event is of no known dialect: send S3, MinIO, EventBridge or SeaweedFS events")


def _limited(hints: Iterator[ObjectHint]) -> tuple[ObjectHint, ...]:
    taken: list[ObjectHint] = []
    for hint in hints:
        if len(taken) == MAX_HINTS:
            raise InvalidRequest(f"an event names at most {MAX_HINTS} objects")
        taken.append(hint)
    return tuple(taken)


def _from_records(records: object) -> Iterator[ObjectHint]:
    if not isinstance(records, list):
        raise InvalidRequest("Records is not a list")
    for record in records:
        if not isinstance(record, dict):
            raise InvalidRequest("a record is not an object")
        version = str(record.get("eventVersion", ""))
        if not version.startswith("2."):
            raise InvalidRequest("a record has an eventVersion other than 2.x")
        kind = _kind(_text(record, "eventName").removeprefix("s3:"))
        if kind is None:
            continue
        s3 = _object(record, "s3")
        item = _object(s3, "object")
        yield ObjectHint(
            bucket=_bucket(_text(_object(s3, "bucket"), "name")),
            key=_key(unquote_plus(_text(item, "key"), errors="surrogateescape")),
            etag=_etag(item.get("eTag")),
            version_id=_version(item.get("versionId")),
            size=_size(item.get("size")),
            sequencer=_short(item.get("sequencer")),
            kind=kind,
        )


def _from_eventbridge(message: dict[str, Any]) -> Iterator[ObjectHint]:
    kinds: dict[object, Kind] = {"Object Created": "created", "Object Deleted": "deleted"}
    kind = kinds.get(_text(message, "detail-type"))
    if message.get("source") != "aws.s3" or kind is None:
        return
    detail = _object(message, "detail")
    item = _object(detail, "object")
    yield ObjectHint(
        bucket=_bucket(_text(_object(detail, "bucket"), "name")),
        key=_key(_text(item, "key")),
        etag=_etag(item.get("etag")),
        version_id=_version(item.get("version-id")),
        size=_size(item.get("size")),
        sequencer=_short(item.get("sequencer")),
        kind=kind,
    )


def _from_seaweedfs(message: dict[str, Any]) -> Iterator[ObjectHint]:
    """A filer event tells the entry before and after; a rename has both, under two paths."""
    event, path = _text(message, "event_type"), _text(message, "key")
    change = _object(message, "message")
    old, new = change.get("old_entry"), change.get("new_entry")
    if event not in {"create", "update", "delete", "rename"}:
        return
    if isinstance(old, dict) and event in {"delete", "rename"}:
        yield from _from_entry(path, old, "deleted")
    if isinstance(new, dict):
        moved = f"{_text(change, 'new_parent_path')}/{_text(new, 'name')}" if event == "rename" else path
        yield from _from_entry(moved, new, "created")


def _from_entry(path: str, entry: dict[str, Any], kind: Kind) -> Iterator[ObjectHint]:
    bucket, _, key = path.removeprefix("/buckets/").partition("/")
    if not path.startswith("/buckets/") or not key or entry.get("is_directory") or key.startswith(".uploads/"):
        return  # a folder, or a part of an upload that is not complete
    extended = _object(entry, "extended") if entry.get("extended") else {}
    version = _decoded(extended.get("Seaweed-X-Amz-Version-Id"))
    stored = _VERSION_FILE.fullmatch(key) if version else None
    if stored:  # a versioned bucket keeps every version as a file of its own
        if kind == "deleted" or "Seaweed-X-Amz-Noncurrent-Since-Ns" in extended:
            return  # an old version went, or became old: the object itself did not change
        key = stored["key"]
        kind = "deleted" if "Seaweed-X-Amz-Delete-Marker" in extended else "created"
    attributes = _object(entry, "attributes") if entry.get("attributes") else {}
    yield ObjectHint(
        bucket=_bucket(bucket),
        key=_key(key),
        etag=_etag(_decoded(extended.get("Seaweed-X-Amz-ETag"))),
        version_id=_version(version) if stored else None,
        size=_size(attributes.get("file_size", 0)),
        sequencer=None,
        kind=kind,
    )


def _kind(event: str) -> Kind | None:
    if event.startswith(_CREATED):
        return "created"
    return "deleted" if event.startswith(_DELETED) else None


def _object(parent: dict[str, Any], name: str) -> dict[str, Any]:
    value = parent.get(name)
    if not isinstance(value, dict):
        raise InvalidRequest(f"the event lacks the object {name!r}")
    return value


def _text(parent: dict[str, Any], name: str) -> str:
    value = parent.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidRequest(f"the event lacks the text {name!r}")
    return value


def _bucket(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,255}", name):
        raise InvalidRequest("the event names an impossible bucket")
    return name


def _key(key: str) -> str:
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        raise InvalidRequest("an object key is not UTF-8") from None
    if not 0 < length <= _MAX_KEY_BYTES or "\0" in key:
        raise InvalidRequest(f"an object key has 1 to {_MAX_KEY_BYTES} bytes and no NUL")
    return key


def _short(value: object) -> str | None:
    """ETags, version ids and sequencers are printable ASCII; anything else is no hint."""
    return value if isinstance(value, str) and re.fullmatch(r"[!-~]{1,1024}", value) else None


def _etag(value: object) -> str | None:
    return (_short(value) or "").strip('"') or None


def _version(value: object) -> str | None:
    version = _short(value)
    return None if version == "null" else version


def _size(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63 else None


def _decoded(value: object) -> str | None:
    """SeaweedFS sends the extended attributes of an entry in base64."""
    if not isinstance(value, str):
        return None
    try:
        return base64.b64decode(value, validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return None

"""The webhook of SeaweedFS's filer: an entry before and after, under a path below ``/buckets/``, nothing encoded."""

import base64
import binascii
import re
from collections.abc import Iterator

from xraygpt_core.s3_events.hints import Kind, Message, ObjectHint, inner, object_hint, text

_VERSION_FILE = re.compile(r"(?P<key>.+)\.versions/v_[^/]+")


def from_seaweedfs(message: Message) -> Iterator[ObjectHint]:
    """A filer event has the entry before and after; a rename has both, under two paths."""
    event, path = text(message, "event_type"), text(message, "key")
    change = inner(message, "message")
    old, new = change.get("old_entry"), change.get("new_entry")
    if event not in {"create", "update", "delete", "rename"}:
        return
    if isinstance(old, dict) and event in {"delete", "rename"}:
        yield from _from_entry(path, old, "deleted")
    if isinstance(new, dict):
        moved = f"{text(change, 'new_parent_path')}/{text(new, 'name')}" if event == "rename" else path
        yield from _from_entry(moved, new, "created")


def _from_entry(path: str, entry: Message, kind: Kind) -> Iterator[ObjectHint]:
    bucket, _, key = path.removeprefix("/buckets/").partition("/")
    if not path.startswith("/buckets/") or not key or entry.get("is_directory") or key.startswith(".uploads/"):
        return  # a folder, or a part of an upload that is not complete
    extended = inner(entry, "extended") if entry.get("extended") else {}
    version = _decoded(extended.get("Seaweed-X-Amz-Version-Id"))
    stored = _VERSION_FILE.fullmatch(key) if version else None
    if stored:  # a versioned bucket keeps every version as a file of its own
        if kind == "deleted" or "Seaweed-X-Amz-Noncurrent-Since-Ns" in extended:
            return  # an old version went, or became old: the object itself did not change
        key = stored["key"]
        kind = "deleted" if "Seaweed-X-Amz-Delete-Marker" in extended else "created"
    attributes = inner(entry, "attributes") if entry.get("attributes") else {}
    yield object_hint(
        kind,
        bucket=bucket,
        key=key,
        etag=_decoded(extended.get("Seaweed-X-Amz-ETag")),
        version_id=version if stored else None,
        size=attributes.get("file_size", 0),
    )


def _decoded(value: object) -> str | None:
    """Extended attributes of an entry are sent in base64."""
    if not isinstance(value, str):
        return None
    try:
        return base64.b64decode(value, validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return None

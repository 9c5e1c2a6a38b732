"""Amazon EventBridge (S3 User Guide, "EventBridge event message structure"): the key is not encoded."""

from collections.abc import Iterator

from xraygpt_core.s3_events.hints import (
    Kind,
    Message,
    ObjectHint,
    bucket_name,
    etag,
    inner,
    object_key,
    sequencer,
    size,
    text,
    version_id,
)

_KINDS: dict[str, Kind] = {"Object Created": "created", "Object Deleted": "deleted"}


def from_eventbridge(message: Message) -> Iterator[ObjectHint]:
    """The one object of the event; none if it comes from another service or is of another kind."""
    kind = _KINDS.get(text(message, "detail-type"))
    if message.get("source") != "aws.s3" or kind is None:
        return
    detail = inner(message, "detail")
    item = inner(detail, "object")
    yield ObjectHint(
        bucket=bucket_name(text(inner(detail, "bucket"), "name")),
        key=object_key(text(item, "key")),
        etag=etag(item.get("etag")),
        version_id=version_id(item.get("version-id")),
        size=size(item.get("size")),
        sequencer=sequencer(item.get("sequencer")),
        kind=kind,
    )

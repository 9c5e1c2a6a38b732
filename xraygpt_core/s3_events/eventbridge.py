"""Amazon EventBridge (S3 User Guide, "EventBridge event message structure"): the key is not encoded."""

from collections.abc import Iterator

from xraygpt_core.s3_events.hints import Kind, Message, ObjectHint, inner, object_hint, text

_KINDS: dict[str, Kind] = {"Object Created": "created", "Object Deleted": "deleted"}


def from_eventbridge(message: Message) -> Iterator[ObjectHint]:
    """The one object of the event; none if it comes from another service or is of another kind."""
    kind = _KINDS.get(text(message, "detail-type"))
    if message.get("source") != "aws.s3" or kind is None:
        return
    detail = inner(message, "detail")
    item = inner(detail, "object")
    yield object_hint(
        kind,
        bucket=text(inner(detail, "bucket"), "name"),
        key=text(item, "key"),
        etag=item.get("etag"),
        version_id=item.get("version-id"),
        size=item.get("size"),
        sequencer=item.get("sequencer"),
    )

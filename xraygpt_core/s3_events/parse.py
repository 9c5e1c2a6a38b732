"""Reads one message of any dialect, out of its envelopes."""

import json
from collections.abc import Callable

from xraygpt_core.errors import InvalidRequest
from xraygpt_core.s3_events.eventbridge import from_eventbridge
from xraygpt_core.s3_events.hints import Events, Message, limited, text
from xraygpt_core.s3_events.records import from_records
from xraygpt_core.s3_events.seaweedfs import from_seaweedfs

MAX_BYTES = 1 << 20  # AWS sends at most 64 KiB, SNS and SQS 256 KiB; SeaweedFS lists every chunk of an object
_MAX_ENVELOPES = 3  # SQS around SNS around S3

OpenSNS = Callable[[Message], str | None]


def refuse_sns(_: Message) -> None:
    """For callers that cannot verify an SNS message.

    Raises:
        InvalidRequest: always.
    """
    raise InvalidRequest("SNS messages are refused here: post them to the route that verifies their signature")


def parse_events(body: bytes, *, open_sns: OpenSNS = refuse_sns) -> Events:
    """Read one message.

    Args:
        body: JSON, at most :data:`MAX_BYTES`.
        open_sns: what is inside an SNS message, after making sure that it is to be trusted; None if it holds no event.

    Raises:
        InvalidRequest: it is no event of a known dialect; the message says what is wrong, without a key.
    """
    message = read_json(body)
    for _ in range(_MAX_ENVELOPES):
        if is_sns(message):
            inside = open_sns(message)
            if inside is None:
                return Events("test", ())
        elif "MessageId" in message and "Body" in message:  # a message received from SQS
            inside = text(message, "Body")
        else:
            return _events(message)
        message = read_json(inside)
    raise InvalidRequest("the event is wrapped in too many envelopes")


def read_json(body: bytes | str) -> Message:
    """A JSON object.

    Raises:
        InvalidRequest: it is none, or too large or too deep to be read.
    """
    if len(body) > MAX_BYTES:
        raise InvalidRequest(f"an event is at most {MAX_BYTES} bytes")
    try:
        message = json.loads(body)
    except RecursionError:
        raise InvalidRequest("the event is nested too deeply") from None
    except ValueError:  # also UnicodeDecodeError, and integers of thousands of digits
        raise InvalidRequest("the event is not JSON") from None
    if not isinstance(message, dict):
        raise InvalidRequest("the event is not a JSON object")
    return message


def is_sns(message: Message) -> bool:
    """Is this an envelope of Amazon SNS?"""
    return "TopicArn" in message and "Type" in message


def _events(message: Message) -> Events:
    if message.get("Event") == "s3:TestEvent" and "Records" not in message:
        return Events("test", ())
    if "Records" in message:
        return Events("minio" if "EventName" in message else "aws", limited(from_records(message["Records"])))
    if "detail-type" in message:
        return Events("eventbridge", limited(from_eventbridge(message)))
    if "event_type" in message:
        return Events("seaweedfs", limited(from_seaweedfs(message)))
    raise InvalidRequest("the event is of no known dialect: send S3, MinIO, EventBridge or SeaweedFS events")

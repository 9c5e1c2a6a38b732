"""Bucket events that are broken, huge, nested or made up: read or refused, and nothing else."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xraygpt_core.errors import InvalidRequest
from xraygpt_core.s3_events import MAX_BYTES, MAX_HINTS, parse_events
from xraygpt_core.s3_events.parse import refuse_sns
from xraygpt_core.s3_events.sns import from_queue

SEAWEEDFS = json.loads(Path(__file__).with_name("seaweedfs_events.json").read_text("utf-8"))


def record(key: str = "in/DOE.dcm") -> dict[str, Any]:
    s3 = {"bucket": {"name": "inbox"}, "object": {"key": key}}
    return {"eventVersion": "2.1", "eventName": "ObjectCreated:Put", "s3": s3}


def parse(message: object) -> Any:
    return parse_events(json.dumps(message).encode())


def refusal(body: bytes) -> str:
    with pytest.raises(InvalidRequest) as refused:
        parse_events(body)
    return str(refused.value)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[]", "not a JSON object"),
        (b'"text"', "not a JSON object"),
        (b"{}", "no known dialect"),
        (b'{"Records": 1}', "not a list"),
        (b'{"Records": [1]}', "not an object"),
        (b'{"Records": [{"eventVersion": "2.1"}]}', "eventName"),
        (b'{"Records": [{"eventVersion": "2.1", "eventName": "ObjectCreated:Put"}]}', "'s3'"),
        (b'{"detail-type": "Object Created", "source": "aws.s3"}', "'detail'"),
        (b'{"event_type": "create", "key": "/buckets/a/b"}', "'message'"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b" " * (MAX_BYTES + 1), "at most"),
    ],
)
def test_nonsense_is_refused_with_its_reason(body: bytes, reason: str) -> None:
    assert reason in refusal(body)


@pytest.mark.parametrize("key", ["%00", "%ff", "a" * 1025, "%ED%A0%80", "100%", "%zz.dcm", "a%2"])
def test_an_impossible_key_is_refused_and_not_repeated(key: str) -> None:
    raw = record()
    raw["s3"]["object"]["key"] = key
    assert key not in refusal(json.dumps({"Records": [raw]}).encode())


def test_a_lone_surrogate_in_a_key_is_refused() -> None:
    assert "UTF-8" in refusal(b'{"detail-type": "Object Created", "source": "aws.s3", "detail": '
                              b'{"bucket": {"name": "b"}, "object": {"key": "\\ud800"}}}')  # fmt: skip


@pytest.mark.parametrize("bucket", ["a/b", "a b", "x" * 256, "ü"])
def test_an_impossible_bucket_is_refused(bucket: str) -> None:
    raw = record()
    raw["s3"]["bucket"]["name"] = bucket
    assert "bucket" in refusal(json.dumps({"Records": [raw]}).encode())


def test_as_many_objects_as_allowed_are_read_and_one_more_is_refused() -> None:
    assert len(parse({"Records": [record("k")] * MAX_HINTS}).hints) == MAX_HINTS
    with pytest.raises(InvalidRequest, match="at most 1000 objects"):
        parse({"Records": [record("k")] * (MAX_HINTS + 1)})


def test_a_hint_does_not_show_its_key() -> None:
    assert "DOE" not in repr(parse({"Records": [record()]}))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
NAMES = ("Records", "EventName", "Event", "detail-type", "source", "detail", "event_type", "key", "message", "Type",
         "TopicArn", "Message", "MessageId", "Body", "eventVersion", "eventName", "s3", "bucket", "object", "name",
         "eTag", "new_entry", "old_entry", "extended", "attributes")  # fmt: skip
VALUES = ("2.1", "ObjectCreated:Put", "s3:TestEvent", "Object Created", "aws.s3", "create", "rename", "/buckets/b/k",
          "Notification", base64.b64encode(b"x").decode())  # fmt: skip
near_misses = st.recursive(
    json_values | st.sampled_from(VALUES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=30,
)


@given(st.binary(max_size=200) | near_misses.map(lambda value: json.dumps(value).encode()), st.booleans())
def test_whatever_comes_is_read_or_refused_and_nothing_else(body: bytes, trusted: bool) -> None:
    try:
        events = parse_events(body, open_sns=from_queue(()) if trusted else refuse_sns)
    except InvalidRequest:
        return
    for hint in events.hints:
        assert hint.bucket
        assert hint.key.encode()


@given(st.sampled_from(sorted(SEAWEEDFS)), st.data())
def test_a_recorded_event_with_a_broken_part_is_read_or_refused(name: str, data: st.DataObject) -> None:
    message = json.loads(json.dumps(SEAWEEDFS[name]))
    node = message
    while True:
        part = data.draw(st.sampled_from(sorted(node)))
        if not isinstance(node[part], dict) or not node[part] or data.draw(st.booleans()):
            break
        node = node[part]
    node[part] = data.draw(json_values)
    reason = ""
    try:
        parse_events(json.dumps(message).encode())
    except InvalidRequest as refused:
        reason = str(refused)
    assert "DOE" not in reason


def test_an_event_just_below_the_limit_is_read() -> None:
    message = {**SEAWEEDFS["put"], "padding": ["x" * 1000] * 1000}
    assert len(parse(message).hints) == 1

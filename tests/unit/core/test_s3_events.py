"""Bucket events of every dialect. `seaweedfs_events.json` was recorded from weed 4.48."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xraygpt_core.errors import InvalidRequest
from xraygpt_core.s3_events import Events, ObjectHint, parse_events
from xraygpt_core.s3_events.sns import from_queue

SEAWEEDFS = json.loads(Path(__file__).with_name("seaweedfs_events.json").read_text("utf-8"))
AWKWARD = "in/DOE JANE+ü%41.dcm"

keys = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=200)


def record(
    key: str = "in/a.dcm", event: str = "ObjectCreated:Put", version: str = "2.1", **item: Any
) -> dict[str, Any]:
    return {
        "eventVersion": version,
        "eventSource": "aws:s3",
        "eventName": event,
        "s3": {"bucket": {"name": "inbox"}, "object": {"key": quote_plus(key), "size": 5, "eTag": "abc", **item}},
    }


def eventbridge(key: str = AWKWARD, kind: str = "Object Created") -> dict[str, Any]:
    return {
        "version": "0",
        "detail-type": kind,
        "source": "aws.s3",
        "detail": {
            "bucket": {"name": "inbox"},
            "object": {"key": key, "size": 5, "etag": "abc", "version-id": "v1", "sequencer": "00617F08299329D189"},
        },
    }


def parse(message: object, **options: Any) -> Events:
    return parse_events(json.dumps(message).encode(), **options)


def only(message: object, **options: Any) -> ObjectHint:
    (hint,) = parse(message, **options).hints
    return hint


def refusal(body: bytes) -> str:
    with pytest.raises(InvalidRequest) as refused:
        parse_events(body)
    return str(refused.value)


# AWS, MinIO, RustFS


def test_an_aws_event_tells_the_object() -> None:
    events = parse({"Records": [record(AWKWARD, versionId="v1", sequencer="0055AED6DCD90281E5")]})
    assert events.dialect == "aws"
    hint = ObjectHint("inbox", AWKWARD, "abc", "v1", 5, "0055AED6DCD90281E5", "created")
    assert events.hints == (hint,)


@pytest.mark.parametrize("version", ["2.0", "2.1", "2.3", "2.6", "2.17"])
def test_any_second_version_is_read(version: str) -> None:
    assert only({"Records": [record(version=version)]}).key == "in/a.dcm"


@pytest.mark.parametrize("version", ["3.0", "1.0", "", "two"])
def test_another_version_is_refused(version: str) -> None:
    assert "eventVersion" in refusal(json.dumps({"Records": [record(version=version)]}).encode())


@pytest.mark.parametrize("event", ["Put", "Post", "Copy", "CompleteMultipartUpload"])
def test_every_way_to_create_counts(event: str) -> None:
    assert only({"Records": [record(event=f"ObjectCreated:{event}")]}).kind == "created"


@pytest.mark.parametrize(
    "event", ["ObjectRemoved:Delete", "ObjectRemoved:DeleteMarkerCreated", "LifecycleExpiration:Delete"]
)
def test_every_way_to_delete_counts(event: str) -> None:
    assert only({"Records": [record(event=event)]}).kind == "deleted"


def test_what_neither_creates_nor_deletes_is_passed_over() -> None:
    assert parse({"Records": [record(event="ObjectTagging:Put"), record(event="ObjectAcl:Put")]}).hints == ()


def test_the_records_keep_their_order() -> None:
    hints = parse({"Records": [record("b"), record("a", "ObjectRemoved:Delete"), record("c")]}).hints
    assert [(hint.key, hint.kind) for hint in hints] == [("b", "created"), ("a", "deleted"), ("c", "created")]


def test_a_minio_envelope_is_known_by_its_event_name() -> None:
    message = {
        "EventName": "s3:ObjectCreated:Put",
        "Key": "inbox/in/a.dcm",
        "Records": [record(event="s3:ObjectCreated:Put")],
    }
    events = parse(message)
    assert events.dialect == "minio"
    assert events.hints[0].key == "in/a.dcm"


def test_the_test_event_hints_at_nothing() -> None:
    message = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2026-01-01T00:00:00Z", "Bucket": "inbox"}
    assert parse(message) == Events("test", ())


def test_quotes_around_an_etag_go() -> None:
    assert only({"Records": [record(eTag='"abc-2"')]}).etag == "abc-2"


@pytest.mark.parametrize("value", [None, "", '""', 7, ["abc"], "with space", "é"])
def test_an_impossible_etag_is_no_etag(value: object) -> None:
    assert only({"Records": [record(eTag=value)]}).etag is None


def test_the_version_of_an_unversioned_bucket_is_none() -> None:
    assert only({"Records": [record(versionId="null")]}).version_id is None


@pytest.mark.parametrize("value", [-1, True, "5", 1.5, None, 1 << 63])
def test_an_impossible_size_is_no_size(value: object) -> None:
    assert only({"Records": [record(size=value)]}).size is None


@given(keys)
def test_an_encoded_key_comes_back_as_it_was(key: str) -> None:
    if len(key.encode()) <= 1024:
        assert only({"Records": [record(key)]}).key == key


def test_a_plus_that_was_not_encoded_is_a_space() -> None:
    raw = record()
    raw["s3"]["object"]["key"] = "a+b%2Bc"
    assert only({"Records": [raw]}).key == "a b+c"


# EventBridge


def test_a_key_of_ceph_is_taken_as_it_is() -> None:
    for key in (AWKWARD, "a+b c.dcm", "100%.dcm", "%zz"):
        sent = record() | {"eventSource": "ceph:s3", "eventVersion": "2.2"}
        sent["s3"]["object"]["key"] = key
        assert only({"Records": [sent]}).key == key


def test_an_eventbridge_key_is_taken_as_it_is() -> None:
    events = parse(eventbridge())
    assert events.dialect == "eventbridge"
    assert events.hints == (ObjectHint("inbox", AWKWARD, "abc", "v1", 5, "00617F08299329D189", "created"),)


def test_an_eventbridge_delete_is_a_delete() -> None:
    assert only(eventbridge(kind="Object Deleted")).kind == "deleted"


def test_another_eventbridge_event_is_passed_over() -> None:
    assert parse(eventbridge(kind="Object Tags Added")).hints == ()
    assert parse({**eventbridge(), "source": "aws.ec2"}).hints == ()


# SeaweedFS


def test_a_filer_put_tells_the_object() -> None:
    events = parse(SEAWEEDFS["put"])
    assert events.dialect == "seaweedfs"
    etag = "5d41402abc4b2a76b9719d911017c592"
    assert events.hints == (ObjectHint("inbox", AWKWARD, etag, None, 5, None, "created"),)


def test_a_filer_overwrite_tells_the_new_object() -> None:
    hint = only(SEAWEEDFS["overwrite"])
    assert (hint.etag, hint.size, hint.kind) == ("6e809cbda0732ac4845916a59016f954", 6, "created")


def test_a_complete_multipart_upload_has_its_s3_etag() -> None:
    hint = only(SEAWEEDFS["multipart"])
    assert (hint.key, hint.etag, hint.size) == ("multi.dcm", "371f9f0eb45ebf2477d2fd57e7f60a36-2", 10_600_000)


@pytest.mark.parametrize("name", ["folder", "upload_part", "upload_part_gone", "version_became_old", "versions_folder"])
def test_what_is_no_object_of_the_bucket_is_passed_over(name: str) -> None:
    assert parse(SEAWEEDFS[name]).hints == ()


def test_a_filer_delete_is_a_delete() -> None:
    hint = only(SEAWEEDFS["delete"])
    assert (hint.key, hint.kind) == (AWKWARD, "deleted")


def test_a_new_version_is_an_object_with_its_version() -> None:
    hint = only(SEAWEEDFS["version"])
    assert (hint.key, hint.version_id, hint.kind) == ("v/v1.dcm", "6715dbb9ddb1a543bbbed99db10b3daa", "created")
    assert hint.etag == "6654c734ccab8f440ff0825eb443dc7f"


def test_a_delete_marker_is_a_delete() -> None:
    hint = only(SEAWEEDFS["delete_marker"])
    assert (hint.key, hint.kind) == ("v/v1.dcm", "deleted")


def test_a_key_that_only_looks_like_a_version_is_a_key() -> None:
    message = json.loads(json.dumps(SEAWEEDFS["put"]))
    message["key"] = "/buckets/inbox/a.versions/v_1"
    assert only(message).key == "a.versions/v_1"


def test_a_rename_takes_one_object_and_gives_another() -> None:
    put = SEAWEEDFS["put"]["message"]["new_entry"]
    message = {
        "event_type": "rename",
        "key": "/buckets/inbox/in/old.dcm",
        "message": {"old_entry": put, "new_entry": {**put, "name": "new.dcm"}, "new_parent_path": "/buckets/inbox/out"},
    }
    assert [(hint.key, hint.kind) for hint in parse(message).hints] == [
        ("in/old.dcm", "deleted"),
        ("out/new.dcm", "created"),
    ]


def test_a_path_outside_the_buckets_is_passed_over() -> None:
    assert parse({**SEAWEEDFS["put"], "key": "/etc/iam/identity.json"}).hints == ()


def test_an_empty_object_has_size_zero() -> None:
    message = json.loads(json.dumps(SEAWEEDFS["put"]))
    del message["message"]["new_entry"]["attributes"]["file_size"]
    assert only(message).size == 0


def test_an_etag_that_is_not_base64_is_no_etag() -> None:
    message = json.loads(json.dumps(SEAWEEDFS["put"]))
    message["message"]["new_entry"]["extended"]["Seaweed-X-Amz-ETag"] = "%%%"
    assert only(message).etag is None


# Envelopes


def sns(inner: object) -> dict[str, Any]:
    return {
        "Type": "Notification",
        "MessageId": "1",
        "TopicArn": "arn:aws:sns:eu-west-1:1:t",
        "Message": json.dumps(inner),
    }


def sqs(inner: object) -> dict[str, Any]:
    return {"MessageId": "1", "ReceiptHandle": "r", "Body": json.dumps(inner)}


def test_an_sns_message_is_refused_because_nobody_verified_it() -> None:
    assert "signature" in refusal(json.dumps(sns({"Records": [record()]})).encode())


def test_an_sns_message_of_known_origin_is_opened() -> None:
    assert only(sns({"Records": [record()]}), open_sns=from_queue(())).key == "in/a.dcm"


def test_a_subscription_in_a_queue_is_never_confirmed() -> None:
    message = {**sns({}), "Type": "SubscriptionConfirmation", "SubscribeURL": "http://169.254.169.254/"}
    with pytest.raises(InvalidRequest, match="confirmed by its owner"):
        parse(message, open_sns=from_queue(()))


def test_an_sqs_message_is_opened() -> None:
    assert only(sqs({"Records": [record()]})).key == "in/a.dcm"


def test_sqs_does_not_smuggle_sns() -> None:
    assert "signature" in refusal(json.dumps(sqs(sns({"Records": [record()]}))).encode())


def test_sqs_around_sns_of_known_origin_is_opened() -> None:
    assert only(sqs(sns({"Records": [record()]})), open_sns=from_queue(())).key == "in/a.dcm"


def test_envelopes_do_not_nest_for_ever() -> None:
    message: object = {"Records": [record()]}
    for _ in range(4):
        message = sqs(message)
    assert "too many envelopes" in refusal(json.dumps(message).encode())

"""Amazon SNS at the gateway's door, with a certificate of our own in Amazon's place."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api_gateway.app import create_app
from api_gateway.sns import Sns
from tests.support.sns_tools import CERTIFICATE, CONFIRM, TOPIC, Signer

World = Any


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer()


@pytest.fixture
def door(world: World, signer: Signer) -> Iterator[TestClient]:
    """A gateway that listens to our topic; whoever asks here sends no key."""
    signer.asked.clear()
    signer.status = 200
    settings = world.settings.model_copy(update={"sns_topic_arns": (TOPIC,)})
    app = create_app(world.ledger, world.store, world.pseudonymiser, Sns(settings, signer.client))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def event(world: World, key: str) -> dict[str, Any]:
    s3 = {"bucket": {"name": world.settings.bucket}, "object": {"key": key, "eTag": "abc", "sequencer": "01"}}
    return {"Records": [{"eventVersion": "2.6", "eventName": "ObjectCreated:Put", "s3": s3}]}


def images(world: World) -> int:
    with world.ledger.work() as work:
        return int(work.rows("SELECT count(*) AS n FROM images")[0]["n"])


def test_a_signed_event_is_taken_without_a_key(world: World, door: TestClient, signer: Signer) -> None:
    message = signer.notification(event(world, "in/a.dcm"))
    answer = door.post("/v1/events/sns", json=message)
    assert (answer.status_code, answer.json()["registered"]) == (202, 1)
    assert door.post("/v1/events/sns", json=message).status_code == 202  # SNS delivers at least once
    assert images(world) == 1
    assert signer.asked == [CERTIFICATE]  # and it is kept


def test_the_test_event_of_a_new_notification_is_taken(world: World, door: TestClient, signer: Signer) -> None:
    message = signer.notification({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"})
    assert door.post("/v1/events/sns", json=message).json() == {"registered": 0, "deleted": 0, "ignored": 0}


def test_a_forged_event_is_refused_and_leaves_nothing(world: World, door: TestClient, signer: Signer) -> None:
    message = signer.notification(event(world, "in/a.dcm"))
    message["Message"] = json.dumps(event(world, "in/b.dcm"))
    answer = door.post("/v1/events/sns", json=message)
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
    assert "signature" in answer.json()["detail"]
    assert images(world) == 0


def test_what_is_not_signed_is_refused_however_good_it_looks(world: World, door: TestClient) -> None:
    answer = door.post("/v1/events/sns", json=event(world, "in/a.dcm"))
    assert answer.status_code == 401
    assert images(world) == 0


def test_a_key_does_not_replace_the_signature(world: World) -> None:
    message = Signer().notification(event(world, "in/a.dcm"))
    answer = world.client.post("/v1/events/s3", json=message)
    assert answer.status_code == 401
    assert "TopicArn" in answer.json()["detail"]
    assert images(world) == 0


def test_a_subscription_to_our_topic_is_confirmed(door: TestClient, signer: Signer) -> None:
    assert door.post("/v1/events/sns", json=signer.subscription()).status_code == 202
    assert signer.asked == [CERTIFICATE, CONFIRM]


@pytest.mark.parametrize(
    "changes",
    [
        {"TopicArn": "arn:aws:sns:eu-west-1:666:theirs"},
        {"SubscribeURL": "http://169.254.169.254/latest/meta-data/"},
        {"SigningCertURL": "https://evil.example/SimpleNotificationService-0.pem"},
    ],
)
def test_no_address_of_somebody_elses_is_asked(door: TestClient, signer: Signer, changes: dict[str, str]) -> None:
    assert door.post("/v1/events/sns", json=signer.subscription(**changes)).status_code == 401
    assert set(signer.asked) <= {CERTIFICATE}


def test_an_unsigned_subscription_is_not_confirmed(door: TestClient, signer: Signer) -> None:
    message = signer.subscription() | {"Token": "another"}
    assert door.post("/v1/events/sns", json=message).status_code == 401
    assert CONFIRM not in signer.asked


def test_the_end_of_a_subscription_is_noted(door: TestClient, signer: Signer) -> None:
    message = signer.sign(signer.subscription() | {"Type": "UnsubscribeConfirmation"})
    assert door.post("/v1/events/sns", json=message).status_code == 202
    assert CONFIRM not in signer.asked


@pytest.mark.parametrize(("status", "answer"), [(503, 503), (404, 401), (302, 401)])
def test_a_certificate_that_does_not_come_is_no_certificate(
    world: World, door: TestClient, signer: Signer, status: int, answer: int
) -> None:
    signer.status = status
    assert door.post("/v1/events/sns", json=signer.notification(event(world, "a"))).status_code == answer
    assert images(world) == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"{", 422),
        (b"\xff\xfe\x00", 422),
        (b'{"TopicArn": "x", "Type": "Notification"}', 401),
        (b'{"a":' + b"[" * 500_000, 422),
        (b" " * (1 << 20) + b"{}", 422),
        (b" " * (10 << 20), 413),
    ],
)
@pytest.mark.parametrize("route", ["/v1/events/sns", "/v1/events/s3"])
def test_bad_input_is_refused_with_a_reason_and_leaves_no_row(
    world: World, door: TestClient, body: bytes, status: int, route: str
) -> None:
    client = door if route.endswith("sns") else world.client
    answer = client.post(route, content=body)
    assert answer.status_code == status
    assert answer.json()["detail"]
    assert images(world) == 0

"""Uploads and bucket events over HTTP, on real services."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote_plus

import pytest
from fastapi.testclient import TestClient

from api_gateway.app import create_app
from xraygpt_core.states import Role

World = Any


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def event(world: World, key: str, name: str = "ObjectCreated:Put", **item: Any) -> dict[str, Any]:
    s3 = {"bucket": {"name": world.settings.bucket}, "object": {"key": quote_plus(key), **item}}
    return {"Records": [{"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": name, "s3": s3}]}


def lanes(world: World) -> list[int]:
    with world.ledger.work() as work:
        return [row["lane_rank"] for row in work.rows("SELECT lane_rank FROM jobs ORDER BY id")]


# Uploads


def test_an_upload_lies_under_its_hash(world: World) -> None:
    data = b"a film"
    answer = world.client.put(f"/v1/uploads/{sha256(data)}", content=data)
    assert answer.json() == {"uri": f"s3://{world.settings.bucket}/uploads/{sha256(data)}"}
    stored = world.s3.get_object(Bucket=world.settings.bucket, Key=f"uploads/{sha256(data)}")["Body"].read()
    assert stored == data


def test_an_upload_in_pieces_arrives_whole(world: World) -> None:
    pieces = [bytes([number]) * 1000 for number in range(90)]

    def sent() -> Iterator[bytes]:
        yield from pieces

    name = sha256(b"".join(pieces))
    assert world.client.put(f"/v1/uploads/{name}", content=sent()).status_code == 200
    assert world.store.head(world.settings.bucket, f"uploads/{name}").size == 90_000


def test_an_upload_twice_is_one_object(world: World) -> None:
    path = f"/v1/uploads/{sha256(b'film')}"
    uris = {world.client.put(path, content=b"film").json()["uri"] for _ in range(2)}
    assert len(uris) == 1
    assert len(list(world.store.list(world.settings.bucket))) == 1


def test_an_upload_with_another_hash_is_refused_and_not_kept(world: World) -> None:
    answer = world.client.put(f"/v1/uploads/{sha256(b'film')}", content=b"another")
    assert answer.status_code == 422
    assert list(world.store.list(world.settings.bucket)) == []


@pytest.mark.parametrize("name", ["x", "A" * 64, "0" * 63, "0" * 65])
def test_a_name_that_is_no_hash_is_refused(shared: World, name: str) -> None:
    assert shared.client.put(f"/v1/uploads/{name}", content=b"film").status_code == 422


def test_an_upload_above_the_limit_is_refused_whether_or_not_it_says_so(world: World) -> None:
    data = b"x" * (world.settings.max_object_bytes + 1)

    def silent() -> Iterator[bytes]:
        for start in range(0, len(data), 10_000):
            yield data[start : start + 10_000]

    for content in (data, silent()):
        answer = world.client.put(f"/v1/uploads/{sha256(data)}", content=content)
        assert answer.status_code == 413
        assert answer.headers["content-type"] == "application/problem+json"
    assert list(world.store.list(world.settings.bucket)) == []


def test_nobody_uploads_without_a_key(shared: World) -> None:
    assert shared.stranger.put(f"/v1/uploads/{sha256(b'film')}", content=b"film").status_code == 401


# Events


def test_an_event_registers_the_object_it_names(world: World) -> None:
    key = "in/DOE JANE+ü.dcm"
    world.put(key)
    answer = world.client.post("/v1/events/s3", json=event(world, key))
    assert (answer.status_code, answer.json()) == (202, {"registered": 1, "deleted": 0, "ignored": 0})
    assert lanes(world) == [1]


def test_an_event_and_a_submission_make_one_image(world: World) -> None:
    (image,) = world.submit("in/a.dcm")
    etag = world.store.head(world.settings.bucket, "in/a.dcm").etag
    world.client.post("/v1/events/s3", json=event(world, "in/a.dcm"))
    world.client.post("/v1/events/s3", json=event(world, "in/a.dcm", eTag=etag))
    with world.ledger.work() as work:
        assert [str(row["id"]) for row in work.rows("SELECT id FROM images")] == [image["image_id"]]


def test_the_address_chooses_the_lane(world: World) -> None:
    world.put("in/a.dcm")
    assert world.client.post("/v1/events/s3?lane=stat", json=event(world, "in/a.dcm")).status_code == 202
    assert lanes(world) == [0]


@pytest.mark.parametrize(("allowed", "rank"), [(False, 1), (True, 0)])
def test_the_bucket_s_webhook_asks_for_stat_only_where_the_gateway_lets_it(
    world: World, allowed: bool, rank: int
) -> None:
    ledger = replace(world.ledger, settings=world.settings.model_copy(update={"webhook_stat": allowed}))
    client = TestClient(create_app(ledger, world.store, world.pseudonymiser))
    world.put("in/a.dcm")
    token = {"Authorization": f"Bearer {world.settings.webhook_token.get_secret_value()}"}
    answer = client.post("/v1/events/s3?lane=stat", json=event(world, "in/a.dcm"), headers=token)
    assert (answer.status_code, lanes(world)) == (202, [rank])


@pytest.mark.parametrize(("stat", "status"), [(False, 403), (True, 202)])
def test_a_program_s_event_asks_for_stat_by_right(world: World, stat: bool, status: int) -> None:
    world.put("in/a.dcm")
    client = world.as_role(Role.SERVICE, stat=stat)
    assert client.post("/v1/events/s3?lane=stat", json=event(world, "in/a.dcm")).status_code == status


def test_an_upload_waits_in_the_last_lane_until_it_is_submitted(world: World) -> None:
    key = f"uploads/{sha256(b'film')}"
    uri = world.put(key)
    world.client.post("/v1/events/s3?lane=stat", json=event(world, key))
    assert lanes(world) == [2]
    (image,) = world.client.post("/v1/studies", json={"objects": [{"uri": uri}], "lane": "routine"}).json()["images"]
    assert world.client.get(f"/v1/studies/{image['study_id']}").json()["lane"] == "routine"


def test_an_object_that_went_before_we_looked_is_ignored(shared: World) -> None:
    assert shared.client.post("/v1/events/s3", json=event(shared, "in/gone.dcm")).json()["ignored"] == 1


def test_another_bucket_is_ignored(shared: World) -> None:
    message = event(shared, "in/a.dcm")
    for bucket in ("elsewhere", shared.settings.derived_bucket):
        message["Records"][0]["s3"]["bucket"]["name"] = bucket
        assert shared.client.post("/v1/events/s3", json=message).json() == {"registered": 0, "deleted": 0, "ignored": 1}


def test_a_delete_is_noted_and_takes_no_summary(world: World) -> None:
    study_id, _ = world.summarised("in/a.dcm")
    message = event(world, "in/a.dcm", "ObjectRemoved:Delete")
    assert world.client.post("/v1/events/s3", json=message).json()["deleted"] == 1
    study = world.client.get(f"/v1/studies/{study_id}").json()
    assert study["summary"]["summary"] == "No acute disease."
    steps = world.client.get(f"/v1/studies/{study_id}/timeline").json()["steps"]
    assert "object deleted" in [step["what"] for step in steps]


def test_the_webhook_token_opens_the_event_route_and_nothing_else(shared: World) -> None:
    headers = {"Authorization": "Bearer webhook-token"}
    message = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"}
    assert shared.stranger.post("/v1/events/s3", json=message, headers=headers).status_code == 202
    assert shared.stranger.head("/v1/events/s3", headers=headers).status_code == 200
    assert shared.stranger.get("/v1/status", headers=headers).status_code == 401


def test_an_event_without_a_key_is_refused(world: World) -> None:
    world.put("in/a.dcm")
    assert world.stranger.post("/v1/events/s3", json=event(world, "in/a.dcm")).status_code == 401
    assert lanes(world) == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "not JSON"),
        (b"[" * 500_000, "nested too deeply"),
        (b"{}", "no known dialect"),
        (b" " * 1_500_000, "at most"),
    ],
)
def test_a_hostile_event_is_refused_with_a_reason(shared: World, body: bytes, reason: str) -> None:
    answer = shared.client.post("/v1/events/s3", content=body)
    assert answer.status_code == 422
    assert reason in answer.json()["detail"]


def test_an_event_of_a_key_that_no_object_can_have_is_ignored(world: World) -> None:
    answer = world.client.post("/v1/events/s3", json=event(world, "in/../DOE.dcm"))
    assert (answer.status_code, answer.json()["ignored"]) == (202, 1)
    assert lanes(world) == []

"""Studies over HTTP, on real services."""

from typing import Any
from uuid import uuid4

import pytest

from xraygpt_core.states import JobKind

World = Any


def test_an_object_becomes_an_image_of_a_study(world: World) -> None:
    (image,) = world.submit("in/DOE JANE+ü%41.dcm")
    assert set(image) == {"image_id", "study_id", "source"}
    assert image["source"] == f"s3://{world.settings.bucket}/in/DOE JANE+ü%41.dcm"
    study = world.client.get(f"/v1/studies/{image['study_id']}").json()
    assert (study["state"], study["lane"]) == ("received", "routine")
    assert [one["image_id"] for one in study["images"]] == [image["image_id"]]
    assert study["summary"] is None


def test_rows_come_back_in_the_order_sent(world: World) -> None:
    keys = [f"in/{number}.dcm" for number in range(20)]
    images = world.submit(*keys)
    assert [image["source"].rsplit("/", 1)[1] for image in images] == [f"{number}.dcm" for number in range(20)]


def test_the_same_object_again_is_the_same_image(world: World) -> None:
    assert world.submit("in/a.dcm") == world.submit("in/a.dcm")


def test_one_object_twice_in_a_request_is_one_image(world: World) -> None:
    uri = world.put("in/a.dcm")
    answer = world.client.post("/v1/studies", json={"objects": [{"uri": uri}, {"uri": uri}]}).json()
    first, second = answer["images"]
    assert first == second


def test_a_higher_lane_raises_and_a_lower_one_does_not(world: World) -> None:
    (image,) = world.submit("in/a.dcm", lane="routine")
    path = f"/v1/studies/{image['study_id']}"
    world.submit("in/a.dcm", lane="stat")
    assert world.client.get(path).json()["lane"] == "stat"
    world.submit("in/a.dcm", lane="backlog")
    assert world.client.get(path).json()["lane"] == "stat"


def test_a_missing_object_is_named_by_its_place_only(world: World) -> None:
    uris = [world.put("in/a.dcm"), f"s3://{world.settings.bucket}/in/DOE.dcm"]
    answer = world.client.post("/v1/studies", json={"objects": [{"uri": uri} for uri in uris]})
    assert answer.status_code == 422
    assert "objects[1]" in answer.json()["detail"]
    assert "DOE" not in answer.text
    with world.ledger.work() as work:
        assert work.rows("SELECT id FROM images") == []


def test_the_derived_bucket_is_refused_with_its_reason(shared: World) -> None:
    uri = f"s3://{shared.settings.derived_bucket}/normalised/a.png"
    answer = shared.client.post("/v1/studies", json={"objects": [{"uri": uri}]})
    assert answer.status_code == 422
    assert "derived bucket" in answer.json()["detail"]


@pytest.mark.parametrize(
    "uri",
    [
        "s3://elsewhere/a.dcm",
        "in/a.dcm",
        "https://x/y",
        "s3://",
        "s3://{bucket}",
        "s3://{bucket}/",
        "s3://{bucket}/{long}",
        "s3://{bucket}/in/../DOE.dcm",
        "s3://{bucket}/..",
        "s3://{bucket}/./a.dcm",
    ],
)
def test_an_address_that_is_none_is_refused(shared: World, uri: str) -> None:
    sent = uri.format(bucket=shared.settings.bucket, long="a" * 1025)
    answer = shared.client.post("/v1/studies", json={"objects": [{"uri": sent}]})
    assert answer.status_code == 422
    assert "objects[0]" in answer.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"objects": []},
        {"objects": [{"uri": "s3://b/k"}], "lane": "urgent"},
        {"objects": [{"uri": "s3://b/\x00"}]},
        {"objects": [{"uri": "s3://b/k", "patient": "DOE"}]},
        {"objects": [{"uri": "s3://b/k"}] * 1001},
    ],
)
def test_a_malformed_submission_says_which_field_is_wrong(shared: World, body: dict[str, Any]) -> None:
    answer = shared.client.post("/v1/studies", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["where"].startswith("body")
    assert "DOE" not in answer.text


def test_a_summarised_study_shows_its_summary_with_the_notice(world: World) -> None:
    study_id, summary_id = world.summarised()
    study = world.client.get(f"/v1/studies/{study_id}").json()
    assert study["state"] == "summarised"
    assert study["images"][0]["chosen"] is True
    summary = study["summary"]
    assert summary["summary_id"] == summary_id
    assert summary["summary"] == "No acute disease."
    assert summary["provenance"] == {"template": "xraygpt"}
    assert "not a diagnosis" in summary["notice"]


def test_a_provisional_id_leads_to_the_study(world: World) -> None:
    first, second = world.submit("in/a.dcm", "in/b.dcm")
    same = world.pseudonymiser.study("1.2.3")
    home = world.ingest(first["image_id"], study_pseudonym=same)
    assert world.ingest(second["image_id"], study_pseudonym=same) == home
    for study_id in (first["study_id"], second["study_id"]):
        assert world.client.get(f"/v1/studies/{study_id}").json()["study_id"] == home


def test_the_timeline_tells_the_story_without_names(world: World) -> None:
    study_id, _ = world.summarised("in/DOE.dcm")
    answer = world.client.get(f"/v1/studies/{study_id}/timeline")
    steps = answer.json()["steps"]
    assert steps[0]["what"] == "registered"
    assert len(steps) >= 4
    assert "DOE" not in answer.text


def test_there_is_no_preview_before_the_image_is_read(world: World) -> None:
    (image,) = world.submit("in/a.dcm")
    assert world.client.get(f"/v1/studies/{image['study_id']}/preview.png").status_code == 404


def test_a_cancelled_study_is_cancelled_once(world: World) -> None:
    (image,) = world.submit("in/a.dcm")
    path = f"/v1/studies/{image['study_id']}"
    assert world.client.post(f"{path}/cancel").status_code == 204
    assert world.client.get(path).json()["state"] == "cancelled"
    assert world.client.post(f"{path}/cancel").status_code == 409


def test_a_purged_study_leaves_nothing_and_does_not_come_back(world: World) -> None:
    study_id, _ = world.summarised("in/a.dcm")
    image_id = world.client.get(f"/v1/studies/{study_id}").json()["images"][0]["image_id"]
    for key in (f"preview/{image_id}.png", f"normalised/{image_id}.png"):
        world.store.put(key, b"pixels", "image/png")
    assert world.client.delete(f"/v1/studies/{study_id}").status_code == 204
    study = world.client.get(f"/v1/studies/{study_id}").json()
    assert (study["state"], study["summary"]) == ("cancelled", None)
    assert list(world.store.list(world.settings.derived_bucket)) == []
    (again,) = world.submit("in/a.dcm")
    assert again["image_id"] == image_id
    assert world.client.get(f"/v1/studies/{again['study_id']}").json()["state"] == "cancelled"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/studies/{id}"),
        ("DELETE", "/v1/studies/{id}"),
        ("POST", "/v1/studies/{id}/cancel"),
        ("GET", "/v1/studies/{id}/timeline"),
        ("GET", "/v1/studies/{id}/preview.png"),
        ("GET", "/v1/studies/{id}/chat"),
        ("GET", "/v1/turns/{id}"),
        ("GET", "/v1/turns/{id}/stream"),
        ("GET", "/v1/summaries/{id}"),
        ("GET", "/v1/training-runs/{id}"),
        ("POST", "/v1/training-runs/{id}/promote"),
        ("POST", "/v1/training-runs/{id}/cancel"),
        ("GET", "/v1/backlogs/{id}"),
        ("POST", "/v1/backlogs/{id}/pause"),
    ],
)
def test_an_id_of_nothing_is_not_found(shared: World, method: str, path: str) -> None:
    answer = shared.client.request(method, path.format(id=uuid4()))
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_many_images_tell_their_states_in_one_answer(world: World) -> None:
    summarised, _ = world.summarised("in/a.dcm")
    rejected, dead, fresh = world.submit("in/b.dcm", "in/c.dcm", "in/d.dcm")
    world.reject(rejected["image_id"])
    world.kill(JobKind.INGEST, dead["image_id"])
    done = world.client.get(f"/v1/studies/{summarised}").json()["images"][0]["image_id"]
    ids = [fresh["image_id"], dead["image_id"], rejected["image_id"], done, str(uuid4())]
    images = world.client.post("/v1/images/status", json={"image_ids": ids}).json()["images"]
    assert [image["image_id"] for image in images] == ids[:4]
    assert [image["state"] for image in images] == ["received", "dead", "rejected", "summarised"]
    assert [image["reason_code"] for image in images] == [None, None, "blank", None]
    assert images[3]["summary"] == "No acute disease."
    assert [image["seconds"] is None for image in images] == [True, False, False, False]
    assert images[3]["seconds"] >= 0


def test_more_than_a_thousand_images_are_refused(shared: World) -> None:
    ids = [str(uuid4())] * 1001
    assert shared.client.post("/v1/images/status", json={"image_ids": ids}).status_code == 422

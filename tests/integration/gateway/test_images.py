"""What became of objects, asked by their address and content: a comparison of a bucket with the ledger."""

from hashlib import md5
from typing import Any

import pytest

from tests.integration.gateway.conftest import World
from tests.support.ledger_tools import begun, one
from tests.support.study_steps import settle
from xraygpt_core.ledger.backlogs.change import change_backlog
from xraygpt_core.ledger.operations import waits as operations_waits
from xraygpt_core.ledger.operations.presence import Presence, announce
from xraygpt_core.states import JobKind


def etag(key: str) -> str:
    """Of the object that :meth:`World.submit` puts there (one part, so S3's is the MD5)."""
    return md5(f"film {key}".encode(), usedforsecurity=False).hexdigest()


def looked_up(world: World, *objects: tuple[str, str]) -> list[Any]:
    asked = [{"uri": f"s3://{world.settings.bucket}/{key}", "etag": tag} for key, tag in objects]
    answer = world.client.post("/v1/images/lookup", json={"objects": asked})
    assert answer.status_code == 200, answer.text
    images: list[Any] = answer.json()["images"]
    return images


def test_objects_are_found_by_address_and_content_in_the_order_asked(world: World) -> None:
    summarised, _ = world.summarised("in/a.dcm")
    dead, fresh = world.submit("in/b.dcm", "in/c.dcm")
    world.kill(JobKind.INGEST, dead["image_id"])
    found = looked_up(
        world, *((key, etag(key)) for key in ("in/c.dcm", "in/never-seen.dcm", "in/a.dcm", "in/b.dcm", "in/a.dcm"))
    )
    assert [image and image["state"] for image in found] == ["received", None, "summarised", "dead", "summarised"]
    assert found[0]["image_id"] == fresh["image_id"]
    assert (found[2]["study_id"], found[2]["summary"]) == (str(summarised), "No acute disease.")


def test_another_content_of_a_known_key_is_unknown(world: World) -> None:
    world.submit("in/a.dcm")
    assert looked_up(world, ("in/a.dcm", "0" * 32)) == [None]


def test_asking_registers_nothing(world: World) -> None:
    world.put("in/a.dcm", b"film in/a.dcm")
    assert looked_up(world, ("in/a.dcm", etag("in/a.dcm"))) == [None]
    with world.ledger.work() as work:
        assert work.rows("SELECT FROM images") == []


def test_a_purged_object_is_known_and_cancelled(world: World) -> None:
    (image,) = world.submit("in/a.dcm")
    assert world.client.delete(f"/v1/studies/{image['study_id']}").status_code == 204
    (found,) = looked_up(world, ("in/a.dcm", etag("in/a.dcm")))
    assert (found["image_id"], found["state"]) == (image["image_id"], "cancelled")


def test_an_image_that_moved_tells_the_study_it_moved_to(world: World) -> None:
    (first,), (second,) = world.submit("in/a.dcm"), world.submit("in/b.dcm")
    same = world.pseudonymiser.study("1.2.3")
    home = world.ingest(first["image_id"], study_pseudonym=same)
    assert world.ingest(second["image_id"], study_pseudonym=same) == home
    assert [one["study_id"] for one in looked_up(world, ("in/b.dcm", etag("in/b.dcm")))] == [str(home)]


def test_a_whole_page_of_a_listing_is_found(world: World) -> None:
    keys = [f"in/{number:03}.dcm" for number in range(120)]
    world.submit(*keys)
    found = looked_up(world, *((key, etag(key)) for key in keys))
    assert [image["state"] for image in found] == ["received"] * 120


@pytest.mark.parametrize(
    ("uri", "said"),
    [("in/a.dcm", "s3://bucket/key"), ("s3://elsewhere/a", "only objects of the bucket"), ("s3://b/", "s3://bucket")],
)
def test_an_address_that_is_none_of_ours_is_refused_by_its_place(shared: World, uri: str, said: str) -> None:
    answer = shared.client.post("/v1/images/lookup", json={"objects": [{"uri": uri, "etag": "e"}]})
    assert answer.status_code == 422
    assert said in answer.json()["detail"]
    assert "objects[0]" in answer.json()["detail"]


def test_a_stranger_learns_nothing(shared: World) -> None:
    assert shared.stranger.post("/v1/images/lookup", json={"objects": []}).status_code == 401


def waits(world: World, image_id: str) -> Any:
    answer = world.client.post("/v1/images/status", json={"image_ids": [image_id]})
    return answer.json()["images"][0]["waits"]


def test_an_image_says_which_job_it_waits_for(world: World) -> None:
    (image,) = world.submit("in/a.dcm")
    queued = waits(world, image["image_id"])
    assert (queued["kind"], queued["state"], queued["later_seconds"]) == ("ingest", "queued", None)
    assert 0 <= queued["since_seconds"] < 60
    (held,) = world.submit("in/b.dcm")
    taken = world.claim(JobKind.INGEST, held["image_id"])
    running = waits(world, held["image_id"])
    assert (running["state"], running["blocked"], running["ahead"]) == ("running", None, None)
    with world.ledger.work() as work:
        work.run(
            "UPDATE jobs SET state = 'queued', lease_until = NULL, not_before = now() + interval '1 minute', "
            "attempts = 1 WHERE id = :id",
            {"id": taken.job_id},
        )
    again = waits(world, held["image_id"])
    assert (again["state"], again["attempts"]) == ("queued", 1)
    assert 50 < again["later_seconds"] <= 60


def alive(world: World, role: str, slots: int = 1, bundle: str | None = None, name: str = "1") -> None:
    announce(world.ledger, Presence(f"{role}-{name}", role, slots, 0, bundle=bundle))


def test_a_queued_image_says_whether_a_worker_lives_that_does_such_jobs(world: World) -> None:
    (image,) = world.submit("in/a.dcm")
    alive(world, "gpu", bundle="demo")
    assert waits(world, image["image_id"])["blocked"] == "no_worker"
    alive(world, "ingest", slots=0)
    assert waits(world, image["image_id"])["blocked"] == "starting"
    alive(world, "ingest", name="2")
    assert waits(world, image["image_id"])["blocked"] is None
    with world.ledger.work() as work:
        work.run("UPDATE workers SET seen_at = clock_timestamp() - interval '2 minutes' WHERE kind = 'ingest'")
    assert waits(world, image["image_id"])["blocked"] == "no_worker"


def test_a_queued_draft_says_whether_a_worker_lives_that_serves_the_current_bundle(world: World) -> None:
    (image,) = world.submit("in/a.dcm")
    settle(world.ledger, world.claim(JobKind.SETTLE, world.ingest(image["image_id"])))
    assert waits(world, image["image_id"])["kind"] == "summarise"
    alive(world, "gpu", bundle="former")
    assert waits(world, image["image_id"])["blocked"] == "other_bundle"
    alive(world, "gpu", bundle="demo", name="2")
    assert waits(world, image["image_id"])["blocked"] is None


def test_an_image_of_a_paused_backlog_says_so_and_when_it_goes_on(world: World) -> None:
    alive(world, "ingest")
    backlog, images = begun(world.ledger, 2, prefix=f"archive-{world.settings.bucket}/")
    change_backlog(world.ledger, backlog, "pause")
    paused = waits(world, str(images[0].image_id))
    assert (paused["blocked"], paused["later_seconds"], paused["ahead"]) == ("paused", None, None)
    change_backlog(world.ledger, backlog, "resume")
    assert waits(world, str(images[0].image_id))["blocked"] is None


def test_the_first_of_the_images_that_are_asked_for_says_how_many_come_before_it(world: World) -> None:
    world.submit("in/other.dcm", lane="stat")
    first, second, third = world.submit("in/a.dcm", "in/b.dcm", "in/c.dcm")
    world.submit("in/later.dcm")
    ids = [image["image_id"] for image in (third, second)]
    answer = world.client.post("/v1/images/status", json={"image_ids": ids}).json()["images"]
    assert [image["waits"]["ahead"] for image in answer] == [None, 2]
    assert waits(world, first["image_id"])["ahead"] == 1


def test_images_without_open_work_cost_no_look_at_workers(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    study, _ = world.summarised("in/a.dcm")
    image = one(world.ledger, "SELECT id FROM images WHERE study_id = :id", id=study)
    monkeypatch.setattr(operations_waits, "seen_in", None)
    assert waits(world, str(image)) is None


def test_an_accepted_image_waits_for_its_studys_job_and_for_nothing_at_its_end(world: World) -> None:
    (image,) = world.submit("in/a.dcm")
    study = world.ingest(image["image_id"])
    assert waits(world, image["image_id"])["kind"] == "settle"
    (open_one,) = world.client.post("/v1/images/status", json={"image_ids": [image["image_id"]]}).json()["images"]
    assert (open_one["state"], open_one["seconds"]) == ("waiting", None)
    summary = world.summarise(study)
    answer = world.client.post("/v1/images/status", json={"image_ids": [image["image_id"]]}).json()["images"][0]
    assert (answer["waits"], answer["summary_id"]) == (None, summary)
    assert answer["age_seconds"] >= answer["seconds"]
    (bad,) = world.submit("in/bad.dcm")
    world.reject(bad["image_id"])
    assert waits(world, bad["image_id"]) is None

"""What became of objects, asked by their address and content: a comparison of a bucket with the ledger."""

from hashlib import md5
from typing import Any

import pytest

from tests.integration.gateway.conftest import World
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

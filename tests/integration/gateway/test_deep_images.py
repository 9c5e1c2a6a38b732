"""The 16-bit copy of a film is shown to those who see the film, and to them only if it is the one that was read."""

import hashlib
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.support.ledger_tools import do
from xraygpt_core.metrics import PICTURES_REFUSED
from xraygpt_core.states import Role

World = Any
DEEP, ANOTHERS = b"\x89PNG of 16 bits", b"\x89PNG of another patient"
DIGEST = hashlib.sha256(DEEP).hexdigest()
KEPT = {"deep_key": "deep/film.png", "deep_sha256": DIGEST, "deep_scale": (0.0, 1.0), "deep_window": (5.0, 10.0)}


@pytest.fixture
def kept(world: World) -> tuple[str, str]:
    """A study and its image, whose 16-bit copy lies in the bucket."""
    (image,) = world.submit("in/DOE.dcm")
    study_id = world.ingest(image["image_id"], **KEPT)
    world.store.put("deep/film.png", DEEP, "image/png")
    return study_id, image["image_id"]


def path(study_id: str, image_id: str) -> str:
    return f"/v1/studies/{study_id}/images/{image_id}/16-bit.png"


def test_it_is_answered_as_every_picture_is(world: World, kept: tuple[str, str]) -> None:
    answer = world.client.get(path(*kept))
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, DEEP, "image/png")
    assert answer.headers["etag"] == f'"{DIGEST}"'
    assert answer.headers["cache-control"] == "private, no-cache"
    known = world.client.get(path(*kept), headers={"If-None-Match": f'"{DIGEST}"'})
    assert (known.status_code, known.content) == (304, b"")


def test_the_card_says_what_its_codes_mean(world: World, kept: tuple[str, str]) -> None:
    (image,) = world.client.get(f"/v1/studies/{kept[0]}/card").json()["images"]
    assert (image["deep_scale"], image["deep_window"]) == ([0, 1], [5, 10])


def test_it_is_for_readers_and_leads_alone(world: World, kept: tuple[str, str]) -> None:
    for role in Role:
        expected = 200 if role in (Role.READER, Role.LEAD) else 403
        assert world.as_role(role).get(path(*kept)).status_code == expected, role
    assert world.stranger.get(path(*kept), headers={"If-None-Match": f'"{DIGEST}"'}).status_code == 401


def test_every_look_at_it_is_in_the_audit(world: World, kept: tuple[str, str]) -> None:
    world.client.get(path(*kept))
    with world.ledger.work() as work:
        row = work.row("SELECT what, study_id, subject, detail FROM audit ORDER BY id DESC LIMIT 1")
    assert (row["what"], row["detail"]) == ("film read", {"as": "16 bit"})
    assert (str(row["study_id"]), str(row["subject"])) == kept


def test_it_is_shown_with_its_own_study_and_while_the_image_counts(world: World, kept: tuple[str, str]) -> None:
    other, _ = world.summarised()
    for study, image in ((other, kept[1]), (kept[0], str(uuid4())), (str(uuid4()), kept[1])):
        assert world.client.get(path(study, image)).status_code == 404
    do(world.ledger, "UPDATE images SET state = 'cancelled' WHERE id = :id", id=UUID(kept[1]))
    assert world.client.get(path(*kept)).status_code == 404


def test_an_image_without_one_answers_that_there_is_none(world: World) -> None:
    (image,) = world.submit("in/DOE.dcm")
    answer = world.client.get(path(world.ingest(image["image_id"]), image["image_id"]))
    assert answer.status_code == 404
    assert "16-bit copy" in answer.json()["detail"]


def test_another_picture_under_its_key_is_an_alarm_and_not_shown(world: World, kept: tuple[str, str]) -> None:
    world.store.put("deep/film.png", ANOTHERS, "image/png")
    before = PICTURES_REFUSED._value.get()
    answer = world.client.get(path(*kept))
    assert answer.status_code == 500
    assert b"PNG" not in answer.content
    assert PICTURES_REFUSED._value.get() == before + 1


def test_a_purge_through_the_gateway_removes_it(world: World, kept: tuple[str, str]) -> None:
    assert world.client.delete(f"/v1/studies/{kept[0]}").status_code == 204
    assert world.client.get(path(*kept)).status_code == 404
    stored = world.s3.list_objects_v2(Bucket=world.settings.derived_bucket).get("Contents", [])
    assert stored == []

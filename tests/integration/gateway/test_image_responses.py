"""A picture proves that it is the one that was read before anybody sees it."""

import hashlib
import logging
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from xraygpt_core.ledger.studies.purge import purge_study
from xraygpt_core.metrics import PICTURES_REFUSED

World = Any
OURS, ANOTHERS = b"\x89PNG of this patient", b"\x89PNG of another patient"


def digest(png: bytes) -> str:
    return hashlib.sha256(png).hexdigest()


@pytest.fixture
def studied(world: World) -> tuple[str, str]:
    """A study and its summary, whose film and preview lie in the bucket."""
    (image,) = world.submit("in/DOE.dcm")
    hashes = dict.fromkeys(("normalised_sha256", "preview_sha256"), digest(OURS))
    study_id = world.ingest(image["image_id"], normalised_key="film.png", preview_key="preview.png", **hashes)
    for key in ("film.png", "preview.png"):
        world.store.put(key, OURS, "image/png")
    return study_id, world.summarise(study_id, provenance={"image_sha256": digest(OURS)})


# The route of each picture, and where the picture lies.
PICTURES: dict[str, tuple[Callable[[str, str], str], str]] = {
    "preview": (lambda study_id, _: f"/v1/studies/{study_id}/preview.png", "preview.png"),
    "film": (lambda _, summary_id: f"/v1/summaries/{summary_id}/image.png", "film.png"),
}
each_picture = pytest.mark.parametrize(("path", "key"), PICTURES.values(), ids=PICTURES)
Path = Callable[[str, str], str]


@each_picture
def test_a_picture_that_is_the_one_that_was_read_is_shown(
    world: World, studied: tuple[str, str], path: Path, key: str
) -> None:
    answer = world.client.get(path(*studied))
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, OURS, "image/png")
    assert answer.headers["etag"] == f'"{digest(OURS)}"'
    assert answer.headers["cache-control"] == "private, no-cache"


@each_picture
@pytest.mark.parametrize("swap", ["foreign", "cut", "missing", "huge"])
def test_another_picture_under_its_key_is_an_alarm_and_not_shown(
    world: World,
    studied: tuple[str, str],
    path: Path,
    key: str,
    swap: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("api_gateway.image_responses._LARGEST_BYTES", 100)
    contents = {"foreign": ANOTHERS, "cut": OURS[:-1], "huge": OURS + bytes(200)}
    world.store.put(key, contents[swap], "image/png") if swap in contents else world.store.delete(key)
    before = PICTURES_REFUSED._value.get()
    with caplog.at_level(logging.CRITICAL, logger="api_gateway"):
        answer = world.client.get(path(*studied))
    assert answer.status_code == 500
    assert answer.json()["title"] == "The stored picture is not the one that was read."
    assert b"PNG" not in answer.content
    assert PICTURES_REFUSED._value.get() == before + 1
    (line,) = caplog.records
    assert str(line.__dict__["study_id"]) == studied[0]
    assert line.__dict__["reason"] == ("missing" if swap == "missing" else "other content")
    assert not any(secret in str(line.__dict__) for secret in ("DOE", key))


def test_two_studies_whose_pictures_changed_places_are_shown_neither(world: World) -> None:
    contents = (OURS, ANOTHERS)
    paths = []
    for number, png in enumerate(contents):
        (image,) = world.submit(f"in/{number}.dcm")
        paths.append(f"/v1/studies/{world.ingest(image['image_id'], preview_sha256=digest(png))}/preview.png")
        world.store.put(f"preview/{image['image_id']}.png", contents[1 - number], "image/png")
    assert [world.client.get(path).status_code for path in paths] == [500, 500]


def test_a_preview_whose_hash_nobody_knows_is_not_shown(world: World, studied: tuple[str, str]) -> None:
    with world.ledger.work() as work:
        work.run("UPDATE images SET preview_sha256 = NULL")
    assert world.client.get(f"/v1/studies/{studied[0]}/preview.png").status_code == 500


def test_the_film_is_the_one_the_model_saw_whatever_the_image_says_today(
    world: World, studied: tuple[str, str]
) -> None:
    world.store.put("film.png", ANOTHERS, "image/png")
    with world.ledger.work() as work:
        work.run("UPDATE images SET normalised_sha256 = :sha", {"sha": digest(ANOTHERS)})
    assert world.client.get(f"/v1/summaries/{studied[1]}/image.png").status_code == 500


@each_picture
def test_who_has_the_picture_is_told_so_without_a_look_into_the_bucket(
    world: World, studied: tuple[str, str], path: Path, key: str
) -> None:
    world.store.delete(key)
    for known in (f'"{digest(OURS)}"', f'"{digest(ANOTHERS)}", W/"{digest(OURS)}"'):
        answer = world.client.get(path(*studied), headers={"If-None-Match": known})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == f'"{digest(OURS)}"'


@each_picture
def test_who_has_another_picture_is_sent_this_one(world: World, studied: tuple[str, str], path: Path, key: str) -> None:
    answer = world.client.get(path(*studied), headers={"If-None-Match": f'"{digest(ANOTHERS)}"'})
    assert (answer.status_code, answer.content) == (200, OURS)


@each_picture
def test_the_etag_opens_nothing_without_a_key(world: World, studied: tuple[str, str], path: Path, key: str) -> None:
    answer = world.stranger.get(path(*studied), headers={"If-None-Match": f'"{digest(OURS)}"'})
    assert answer.status_code == 401


@each_picture
def test_a_picture_that_is_purged_while_it_is_fetched_is_gone_and_no_alarm(
    world: World, studied: tuple[str, str], path: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = world.store.get

    def purged_first(*args: Any, **kwargs: Any) -> bytes:
        purge_study(world.ledger, studied[0], world.store.delete)
        return bytes(get(*args, **kwargs))

    monkeypatch.setattr(world.store, "get", purged_first)
    before = PICTURES_REFUSED._value.get()
    assert world.client.get(path(*studied)).status_code == 404
    assert PICTURES_REFUSED._value.get() == before


@pytest.mark.parametrize("path", ["/v1/studies/{}/preview.png", "/v1/summaries/{}/image.png"])
def test_nothing_has_no_picture(shared: World, path: str) -> None:
    assert shared.client.get(path.format(uuid4())).status_code == 404

"""Every image of a study can be fetched, by those who read films."""

import hashlib
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.support.ledger_tools import do
from tests.support.study_steps import settle
from xraygpt_core.states import JobKind, Role

World = Any
PNG = b"\x89PNG of one image"


@pytest.fixture
def pair(world: World) -> tuple[str, list[str]]:
    """A summarised study of a frontal and a lateral image; its images, the chosen one first."""
    same = {"study_pseudonym": world.pseudonymiser.study("1.2.3"), "expected_images": 2}
    digest = hashlib.sha256(PNG).hexdigest()
    submitted = [one["image_id"] for one in world.submit("in/lateral.dcm", "in/frontal.dcm")]
    for image_id, view in zip(submitted, ("LATERAL", "PA"), strict=True):
        study_id = world.ingest(image_id, view=view, normalised_sha256=digest, **same)
        world.store.put(f"normalised/{image_id}.png", PNG, "image/png")
    settle(world.ledger, world.claim(JobKind.SETTLE, study_id))  # of the first revision: it waits for the rest
    world.summarise(study_id)
    return study_id, submitted[::-1]


def test_every_image_of_a_study_can_be_fetched(world: World, pair: tuple[str, list[str]]) -> None:
    study_id, images = pair
    for image_id in images:
        answer = world.client.get(f"/v1/studies/{study_id}/images/{image_id}.png")
        assert (answer.status_code, answer.content) == (200, PNG)


def test_an_image_is_shown_with_its_own_study_only(world: World, pair: tuple[str, list[str]]) -> None:
    study_id, images = pair
    other, _ = world.summarised()
    for study, image in ((other, images[1]), (study_id, str(uuid4())), (str(uuid4()), images[1])):
        assert world.client.get(f"/v1/studies/{study}/images/{image}.png").status_code == 404
    do(world.ledger, "UPDATE images SET state = 'cancelled' WHERE id = :id", id=UUID(images[1]))
    assert world.client.get(f"/v1/studies/{study_id}/images/{images[1]}.png").status_code == 404


def test_films_are_for_readers_and_leads_alone(world: World, pair: tuple[str, list[str]]) -> None:
    study_id, images = pair
    for role in Role:
        answer = world.as_role(role).get(f"/v1/studies/{study_id}/images/{images[1]}.png")
        assert answer.status_code == (200 if role in (Role.READER, Role.LEAD) else 403), role

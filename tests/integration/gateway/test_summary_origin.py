"""What a summary was made from: its own text and its image, for whoever makes it again."""

import hashlib
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.support.ledger_tools import do

World = Any


def test_the_origin_is_the_models_own_text_and_provenance(world: World) -> None:
    _, summary_id = world.summarised("in/a.dcm")
    body = {"state": "edited", "text": "Small left effusion.", "reviewer": "Dr. Who"}
    assert world.client.post(f"/v1/summaries/{summary_id}/review", json=body).status_code == 200
    origin = world.client.get(f"/v1/summaries/{summary_id}/origin").json()
    assert (origin["text"], origin["bundle"], origin["bundle_sha256"]) == ("No acute disease.", "demo", "ab" * 32)
    assert (origin["provenance"], origin["lease_epoch"]) == ({"template": "xraygpt"}, 1)
    assert "not a diagnosis" in origin["notice"]
    assert "key" not in origin


def test_the_other_films_that_the_model_saw_can_be_fetched_by_their_roles(world: World) -> None:
    films = {role: role.encode() * 9 for role in ("frontal", "prior")}
    images = {role: hashlib.sha256(png).hexdigest() for role, png in films.items()}
    image_ids = {role: world.submit(f"in/{role}.dcm")[0]["image_id"] for role in films}
    studies = {}
    for role in ("prior", "frontal"):
        studies[role] = world.ingest(image_ids[role], normalised_sha256=images[role])
        key = f"normalised/{image_ids[role]}.png"
        world.s3.put_object(Bucket=world.settings.derived_bucket, Key=key, Body=films[role])
    summary_id = world.summarise(studies["frontal"], provenance={"images": images})
    do(world.ledger, "UPDATE summaries SET prior_image = :id", id=UUID(image_ids["prior"]))
    for role, png in films.items():
        answer = world.client.get(f"/v1/summaries/{summary_id}/image.png?role={role}")
        assert (answer.status_code, answer.content) == (200, png)
    assert world.client.get(f"/v1/summaries/{summary_id}/image.png?role=lateral").status_code == 404
    assert world.client.get(f"/v1/summaries/{summary_id}/image.png?role=other").status_code == 422


@pytest.mark.parametrize("what", ["origin", "image.png"])
def test_a_purged_study_has_no_origin(world: World, what: str) -> None:
    study_id, summary_id = world.summarised("in/a.dcm")
    assert world.client.delete(f"/v1/studies/{study_id}").status_code == 204
    assert world.client.get(f"/v1/summaries/{summary_id}/{what}").status_code == 404


@pytest.mark.parametrize("what", ["origin", "image.png"])
def test_an_unknown_summary_has_no_origin(shared: World, what: str) -> None:
    assert shared.client.get(f"/v1/summaries/{uuid4()}/{what}").status_code == 404


@pytest.mark.parametrize("what", ["origin", "image.png"])
def test_strangers_see_no_origin(shared: World, what: str) -> None:
    assert shared.stranger.get(f"/v1/summaries/{uuid4()}/{what}").status_code == 401

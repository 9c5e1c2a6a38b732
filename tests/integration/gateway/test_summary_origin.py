"""What a summary was made from: its own text and its image, for whoever makes it again."""

from typing import Any
from uuid import uuid4

import pytest

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

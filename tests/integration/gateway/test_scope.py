"""A model's limits and its contradictions, in every answer that holds its text."""

from typing import Any
from uuid import UUID

from xraygpt_core.states import Flag

World = Any
FIGURE = {"name": "real films", "n": 80, "metric": "sensitivity of abnormal", "value": 0.7, "interval": [0.6, 0.8]}
SCOPE = {
    "made_for": "trial",
    "says": "For trying the system out.",
    "card": "https://example.org/card",
    "validated_on": [FIGURE | {"swapped": 0.5, "most_frequent": 0.0}],
}
TWO = {"kind": "side", "one": "Left effusion.", "other": "Right effusion."}
PROVENANCE = {"template": "xraygpt", "scope": SCOPE}
LIMITS: dict[str, Any] = {"flags": (Flag.OUT_OF_SCOPE,), "consistency": (TWO,), "provenance": PROVENANCE}


def limited(world: World) -> tuple[str, str, str]:
    """A study whose text has every limit: image, study and summary id."""
    (image,) = world.submit("in/limited.dcm")
    study_id = world.ingest(image["image_id"], flags=("body_part_unknown",))
    return image["image_id"], study_id, world.summarise(study_id, "Right effusion.", **LIMITS)


def limits_of(text: dict[str, Any]) -> tuple[Any, ...]:
    return text["flags"], text["scope"], text["consistency"]


def test_every_answer_with_the_text_says_where_its_model_ends(world: World) -> None:
    image_id, study_id, summary_id = limited(world)
    expected = (["out_of_scope", "consistency"], SCOPE, [TWO])
    assert limits_of(world.client.get(f"/v1/studies/{study_id}").json()["summary"]) == expected
    assert limits_of(world.client.get(f"/v1/summaries/{summary_id}").json()) == expected
    assert limits_of(world.client.get(f"/v1/summaries/{summary_id}/origin").json()) == expected
    (image,) = world.client.post("/v1/images/status", json={"image_ids": [image_id]}).json()["images"]
    assert limits_of(image) == (["body_part_unknown", "out_of_scope", "consistency"], SCOPE, [TWO])
    (listed,) = world.client.get("/v1/studies").json()["studies"]
    assert listed["flags"] == ["body_part_unknown", "out_of_scope", "consistency"]


def test_a_text_of_a_bundle_that_declared_nothing_says_that(world: World) -> None:
    study_id, _ = world.summarised()
    scope = world.client.get(f"/v1/studies/{study_id}").json()["summary"]["scope"]
    says = "This bundle does not say what it was made for."
    assert scope == {"made_for": None, "says": says, "card": None, "validated_on": []}


def test_a_newer_draft_keeps_its_limits_beside_the_flag_of_a_reviewed_one(world: World) -> None:
    study_id, summary_id = world.summarised()
    with world.ledger.work() as work:
        work.run("UPDATE summaries SET review_state = 'accepted' WHERE id = :id", {"id": UUID(summary_id)})
    world.summarise_again(study_id, "Right effusion.", **LIMITS)
    newer = world.client.get(f"/v1/studies/{study_id}").json()["summary"]
    assert newer["flags"] == ["out_of_scope", "consistency", "supersedes_reviewed"]


def test_the_views_show_the_limits(world: World) -> None:
    limited(world)
    with world.ledger.work() as work:
        row = work.row("SELECT flags, out_of_scope, scope, consistency FROM study_summaries")
    flags = ["body_part_unknown", "out_of_scope", "consistency"]
    assert dict(row) == {"flags": flags, "out_of_scope": True, "scope": SCOPE["says"], "consistency": [TWO]}


def test_the_draft_that_stands_beside_a_correction_keeps_its_limits(world: World) -> None:
    _, _, summary_id = limited(world)
    body = {"state": "edited", "text": "Left effusion."}
    assert world.client.post(f"/v1/summaries/{summary_id}/review", json=body).status_code == 200
    told = world.client.get(f"/v1/summaries/{summary_id}/reviews").json()
    assert (told["flags"], told["scope"]) == (["out_of_scope", "consistency"], SCOPE)
    with world.ledger.work() as work:
        row = work.row("SELECT text, draft, out_of_scope, scope FROM summary_reviews")
    assert tuple(row.values()) == ("Left effusion.", "Right effusion.", True, SCOPE["says"])


def test_an_answer_carries_the_limits_of_the_model_that_gave_it(world: World) -> None:
    study_id, _ = world.summarised()
    asked = world.client.post(f"/v1/studies/{study_id}/chat", json={"question": "Which side?"}).json()["turn_id"]
    assert world.client.get(f"/v1/turns/{asked}").json()["scope"] is None
    _, finish = world.write(asked, **LIMITS)
    finish("Right.")
    assert limits_of(world.client.get(f"/v1/turns/{asked}").json()) == (["out_of_scope", "consistency"], SCOPE, [TWO])
    with world.ledger.work() as work:
        row = work.row("SELECT out_of_scope, scope, consistency FROM chat_transcripts")
    assert dict(row) == {"out_of_scope": True, "scope": SCOPE["says"], "consistency": [TWO]}

"""What two models' texts are worth, who sees them, and the promotion that they speak for."""

import hashlib
from typing import Any
from uuid import uuid4

import pytest

from tests.support.comparison_tools import (
    ASK,
    CLEAR,
    EFFUSION,
    FIRST,
    GREEDY,
    SECOND,
    begin,
    drafts,
    film,
    films,
    result,
    sign,
    write,
)
from tests.support.ledger_tools import do
from xraygpt_core.states import Role

World = Any


def test_the_standing_draft_of_the_same_bundle_and_film_is_taken(world: World) -> None:
    study_id = film(world, EFFUSION, draft=GREEDY)
    begun = begin(world)
    assert [one["bundle_sha256"] for one in begun["open"]] == ["2" * 64]
    taken = drafts(world, begun, study_id=study_id)[0]
    assert (taken["state"], taken["text"], taken["asserted"], taken["seconds"]) == (
        "taken",
        EFFUSION,
        ["effusion"],
        None,
    )
    assert result(world, begun)["bundles"]["first"]["texts_a_second"] is None


@pytest.mark.parametrize(
    "provenance",
    [
        {"decoding": {"do_sample": True}},
        {"decoding": {"do_sample": False}, "image_sha256": "f" * 64},
        {"decoding": {"do_sample": False}, "clinical_sha256": "f" * 64},
        {"decoding": {"do_sample": False}, "images": {"frontal": "f" * 64, "prior": "f" * 64}},
    ],
)
def test_a_draft_that_was_drawn_or_saw_something_else_is_not_taken(world: World, provenance: dict[str, Any]) -> None:
    film(world, EFFUSION, draft=GREEDY | {"provenance": provenance})
    assert len(begin(world)["open"]) == 2


def test_the_models_own_words_are_taken_and_not_the_correction(world: World) -> None:
    study_id = film(world, EFFUSION, draft=GREEDY)
    sign(world, study_id, "The heart is enlarged.")
    taken = drafts(world, begin(world))[0]
    assert (taken["text"], taken["asserted"]) == (EFFUSION, None)


def test_a_rejected_draft_is_taken_with_what_it_says(world: World) -> None:
    film(world, EFFUSION, draft=GREEDY)
    do(world.ledger, "UPDATE summaries SET review_state = 'rejected', asserted = '{}', uncertain = '{}'")
    taken = drafts(world, begin(world))[0]
    assert (taken["text"], taken["asserted"]) == (EFFUSION, None)


def test_each_is_scored_against_what_was_signed_with_its_controls_beside_it(world: World) -> None:
    ids = [film(world, patient=f"P{number}") for number in range(4)]
    for number, study_id in enumerate(ids):
        sign(world, study_id, EFFUSION if number % 2 else CLEAR)
    begun = begin(world)
    sick = {one["image_sha256"] for one in begun["open"] if ids.index(one["study_id"]) % 2}
    write(world, begun, lambda png: EFFUSION if hashlib.sha256(png).hexdigest() in sick else CLEAR, [FIRST])
    write(world, begun, lambda _: EFFUSION, [SECOND])
    found = result(world, begun)
    signed = found["figures"]["signed"]
    assert (signed["n"], signed["patients"]) == (4, 4)
    assert [signed["first"][name]["value"] for name in ("precision", "recall", "f1")] == [1.0, 1.0, 1.0]
    assert [signed["second"][name]["value"] for name in ("precision", "recall")] == [0.5, 0.5]
    assert signed["difference"]["value"] == 0.5
    assert signed["first"]["swapped"]["f1"]["value"] < 1.0
    assert signed["most_frequent"]["f1"]["value"] == 0.5
    assert found["signed_from"] == {"first": 0, "second": 0, "another": 4}


def test_a_signed_text_that_began_as_a_draft_of_one_of_them_is_counted_as_such(world: World) -> None:
    sign(world, film(world, EFFUSION, draft=GREEDY), EFFUSION)
    assert result(world, begin(world))["signed_from"] == {"first": 1, "second": 0, "another": 0}


@pytest.mark.usefixtures("analysts")
def test_no_reader_sees_them_and_analysts_by_their_own_view_alone(world: World) -> None:
    (study_id,) = films(world, 1)
    reader = world.as_role(Role.READER)
    paths = ("", "/card", "/timeline")
    before = [reader.get(f"/v1/studies/{study_id}{path}").json() for path in paths]
    begun = begin(world)
    write(world, begun, lambda _: "Unheard of: right pneumothorax.")
    assert [reader.get(f"/v1/studies/{study_id}{path}").json() for path in paths] == before
    assert reader.post("/v1/studies/search", json={"finding": ["pneumothorax"]}).json()["studies"] == []
    assert reader.get(f"/v1/comparisons/{begun['comparison_id']}/drafts").status_code == 403
    sql = "SELECT bundle, text, asserted, state FROM shadow_readings ORDER BY bundle"
    rows = world.client.post("/v1/query", json={"sql": sql}).json()["rows"]
    assert rows[0] == ["one", "Unheard of: right pneumothorax.", ["pneumothorax"], "written"]
    other = world.client.post("/v1/query", json={"sql": "SELECT DISTINCT text FROM readings"}).json()["rows"]
    assert other == [[CLEAR]]


def test_who_sees_only_figures_sees_no_word_of_a_text(world: World) -> None:
    films(world, 2)
    begun = begin(world)
    write(world, begun, lambda _: EFFUSION)
    for role in (Role.ADMIN, Role.OPERATOR):
        client = world.as_role(role)
        answer = client.get(f"/v1/comparisons/{begun['comparison_id']}")
        assert answer.status_code == 200
        assert "pleural" not in answer.text
        assert client.get(f"/v1/comparisons/{begun['comparison_id']}/drafts").status_code == 403
        assert client.post("/v1/comparisons", json=ASK).status_code == 403


def test_a_text_is_read_with_todays_labeller(world: World) -> None:
    films(world, 1)
    begun = begin(world)
    write(world, begun, lambda _: EFFUSION)
    do(world.ledger, "UPDATE shadow_drafts SET labeller = 'old', asserted = '{nodule}'")
    (effusion,) = result(world, begun)["figures"]["findings"]
    assert (effusion["finding"], effusion["both"], effusion["kappa"]) == ("effusion", 1, None)


def test_a_promotion_keeps_the_comparison_that_speaks_for_it(world: World) -> None:
    films(world, 1)
    begun = begin(world)
    because = {"bundle": "two", "because": begun["comparison_id"]}
    unfinished = world.client.post("/v1/bundles/serve", json=because)
    assert (unfinished.status_code, "2 texts are missing" in unfinished.json()["detail"]) == (409, True)
    write(world, begun, lambda _: CLEAR)
    assert world.client.post("/v1/bundles/serve", json=because).json() == {"bundle": "two"}
    with world.ledger.work() as work:
        row = work.row("SELECT detail FROM audit WHERE what = 'bundle served'")
    assert row["detail"] == because | {"bundle_sha256": "2" * 64}


def test_a_comparison_of_others_or_none_at_all_speaks_for_nothing(world: World) -> None:
    films(world, 1)
    begun = begin(world)
    for because, status in ((begun["comparison_id"], 409), (str(uuid4()), 404)):
        body = {"bundle": "three", "because": because}
        assert world.client.post("/v1/bundles/serve", json=body).status_code == status
    assert world.client.get("/v1/status").json()["served"]["name"] == "demo"

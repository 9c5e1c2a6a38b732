"""Boxes of a model over the film, and a question that a rule answers, as a radiologist sees them."""

import json
from typing import Any
from uuid import UUID

import pytest
from playwright.sync_api import Page, expect

from tests.integration.gateway.room.conftest import Room, shot, study
from tests.support.ledger_tools import do

World = Any
Box = tuple[float, float, float, float]

LEFT: Box = (0.5, 0.5, 0.75, 1.0)
NODULES: list[Box] = [(0.0, 0.0, 0.25, 0.25), (0.25, 0.25, 0.5, 0.5)]
GROUNDING: list[dict[str, Any]] = [
    {"phrase": "Left effusion.", "boxes": [LEFT]},
    {"phrase": "Two nodules.", "boxes": NODULES},
    {"phrase": "The heart is normal.", "boxes": []},
    {"malformed": 2},
]
_DRAWN = """() => {
    const film = document.querySelector(".stage canvas").getBoundingClientRect();
    return [...document.querySelectorAll(".boxes polygon")].map((one) => {
        const box = one.getBBox();
        const stage = document.querySelector(".boxes").getBoundingClientRect();
        const [left, top] = [box.x + stage.left - film.left, box.y + stage.top - film.top];
        const [right, bottom] = [left + box.width, top + box.height];
        return [left / film.width, top / film.height, right / film.width, bottom / film.height];
    });
}"""


def boxes(page: Page) -> list[Box]:
    """The drawn boxes, as fractions of the picture where it lies on the screen: left, top, right, bottom."""
    found: list[list[float]] = page.evaluate(_DRAWN)
    return [(round(a, 2), round(b, 2), round(c, 2), round(d, 2)) for a, b, c, d in found]


@pytest.fixture
def placed(newcomer: Room, world: World) -> Page:
    """The desk with a study whose text has places."""
    study_id, summary_id = study(world, "Left effusion. Two nodules. The heart is normal.")
    sql = "UPDATE summaries SET grounding = CAST(:places AS jsonb) WHERE id = :id"
    do(world.ledger, sql, places=json.dumps(GROUNDING), id=UUID(summary_id))
    page = newcomer.open(study_id).page
    expect(page.locator(".stage canvas")).to_be_visible()
    return page


def test_a_phrase_shows_its_boxes_while_it_is_pointed_at_and_keeps_them_when_it_is_pressed(placed: Page) -> None:
    places = placed.get_by_role("region", name="Places on the film")
    expect(places.get_by_role("button")).to_have_text(["Left effusion.", "Two nodules."])
    expect(places).to_contain_text("Places that could not be read: 2")
    assert boxes(placed) == []
    one, two = (places.get_by_role("button", name=name) for name in ("Left effusion.", "Two nodules."))
    one.hover()
    assert boxes(placed) == [LEFT]
    two.click()
    expect(two).to_have_attribute("aria-pressed", "true")
    placed.locator("header.study-head").hover()
    two.blur()
    assert boxes(placed) == NODULES
    shot(placed, "places")
    placed.keyboard.press("h")  # mirrored: the boxes stay on what they are about
    assert boxes(placed) == [(0.75, 0.0, 1.0, 0.25), (0.5, 0.25, 0.75, 0.5)]
    placed.keyboard.press("h")
    placed.keyboard.press("+")
    assert boxes(placed) == NODULES
    two.click()
    two.blur()
    placed.locator("header.study-head").hover()
    assert boxes(placed) == []


def test_a_corrected_text_and_a_text_without_places_show_none(newcomer: Room, world: World) -> None:
    study_id, summary_id = study(world)
    page = newcomer.open(study_id).page
    expect(page.get_by_role("region", name="Places on the film")).to_have_count(0)
    sql = "UPDATE summaries SET grounding = CAST(:places AS jsonb) WHERE id = :id"
    do(world.ledger, sql, places=json.dumps(GROUNDING), id=UUID(summary_id))
    body = {"state": "edited", "text": "Clear.", "reviewer": "Dr. Who"}
    assert world.client.post(f"/v1/summaries/{summary_id}/review", json=body).status_code == 200
    page.reload()
    expect(page.locator(".report")).to_contain_text("Clear.")
    expect(page.get_by_role("region", name="Places on the film")).to_have_count(0)


def test_a_correction_that_another_accepted_shows_none_and_the_draft_shows_them_again(
    placed: Page, world: World
) -> None:
    (summary_id,) = (row["summary_id"] for row in world.client.get("/v1/studies").json()["studies"])
    review = f"/v1/summaries/{summary_id}/review"
    places = placed.get_by_role("region", name="Places on the film")
    places.get_by_role("button", name="Left effusion.").click()
    for body in ({"state": "edited", "text": "Clear."}, {"state": "accepted", "reviewer": "Dr. Who"}):
        assert world.client.post(review, json=body).status_code == 200
    placed.reload()
    expect(placed.locator(".report")).to_contain_text("Clear.")
    expect(places).to_have_count(0)
    assert boxes(placed) == []
    assert world.client.post(review, json={"state": "draft", "reason": "Of another film."}).status_code == 200
    placed.reload()
    places.get_by_role("button", name="Left effusion.").click()
    expect(placed.locator(".boxes polygon")).to_have_count(1)
    assert boxes(placed) == [LEFT]


def test_a_rules_answer_says_that_it_is_one(newcomer: Room, world: World) -> None:
    study_id, _ = study(world)
    page = newcomer.open(study_id).page
    page.get_by_label("Question", exact=True).fill("Is the knee fractured?")
    page.keyboard.press("Enter")
    turn = page.locator(".turns li")
    expect(turn).to_contain_text("This is a chest X-ray: it does not show the knee.")
    expect(turn).to_contain_text("A rule answered this: the model was not asked.")
    expect(turn).not_to_contain_text("AI-generated draft")
    page.reload()
    expect(page.locator(".turns li")).to_contain_text("A rule answered this: the model was not asked.")

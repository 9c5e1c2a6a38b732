"""A network that loses requests and answers: an act is done once, or the page says that it is not known."""

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Route, expect

from tests.integration.gateway.room.conftest import Room, study
from tests.integration.gateway.room.test_room_signing import IMPATIENT, acts
from tests.support.api_keys import create_api_key
from tests.support.ledger_tools import one

World = Any

# What waits for a second waits until it is let go.
HELD = """
    window.held = [];
    window.setTimeout = (later => (act, ms) => ms === 1000 ? held.push(act) : later(act, ms))(window.setTimeout);
"""
REVIEW, CHAT = "**/review", "**/chat"
LOST, UNSURE = "The gateway does not answer.", "Look how it stands before you repeat it."


class Line:
    """The line between page and gateway: each request of an address takes the next way, the last for ever."""

    def __init__(self, room: Room, address: str, *ways: Callable[[Route], None]) -> None:
        self.keys: list[str] = []
        self._ways = list(ways)
        room.page.route(address, self._take)

    def _take(self, route: Route) -> None:
        way = through
        if route.request.method == "POST":
            self.keys.append(route.request.headers["idempotency-key"])
            way = self._ways.pop(0) if len(self._ways) > 1 else self._ways[0]
        way(route)


def answer_lost(route: Route) -> None:
    """The gateway does it, and the page never hears of it."""
    assert route.fetch().ok
    route.abort()


def request_lost(route: Route) -> None:
    route.abort()


def in_flight(route: Route) -> None:
    """The gateway is answering the same request at this moment."""
    problem = {"title": "unavailable", "status": 503, "detail": "the same request is being answered right now"}
    route.fulfill(status=503, json=problem, content_type="application/problem+json")


def through(route: Route) -> None:
    route.continue_()


def test_a_signature_whose_answer_is_lost_is_one_row_and_its_reader_sees_it_signed(
    newcomer: Room, world: World
) -> None:
    study_id, summary_id = study(world)
    line = Line(newcomer, REVIEW, answer_lost, in_flight, request_lost, through)
    page = newcomer.open(study_id).page
    newcomer.press("a")
    expect(page.locator("#toasts")).to_contain_text("It is being sent again")
    expect(page.locator(".signature")).to_contain_text("Accepted by Dr. Reader")
    expect(page.locator("#toasts")).to_contain_text("Accepted.")
    expect(page.locator("#toasts")).not_to_contain_text("It is being sent again")
    expect(page.locator(".banner")).to_be_hidden()
    assert (len(line.keys), len(set(line.keys))) == (4, 1)
    assert acts(world, summary_id) == ["accepted"]
    page.keyboard.press("u")
    expect(page.get_by_role("button", name="Accept")).to_be_enabled()
    assert acts(world, summary_id) == ["accepted", "undone"]
    assert len(set(line.keys)) == 2


def test_a_question_whose_answer_is_lost_is_one_turn(newcomer: Room, world: World) -> None:
    study_id, _ = study(world)
    line = Line(newcomer, CHAT, answer_lost, through)
    page = newcomer.open(study_id).page
    page.get_by_label("Question", exact=True).fill("Is there a nodule?")
    page.keyboard.press("Enter")
    expect(page.locator(".turns li")).to_have_count(1)
    expect(page.get_by_label("Question", exact=True)).to_have_value("")
    assert (len(line.keys), len(set(line.keys))) == (2, 1)
    assert one(world.ledger, "SELECT count(*) FROM chat_turns") == 1
    page.get_by_label("Question", exact=True).fill("Is there a nodule?")
    page.keyboard.press("Enter")
    expect(page.locator(".turns li")).to_have_count(2)
    assert (len(line.keys), len(set(line.keys))) == (3, 2)


def test_in_a_dead_spot_the_page_gives_up_says_so_and_sends_the_same_once_it_is_pressed_again(
    newcomer: Room, world: World
) -> None:
    study_id, summary_id = study(world)
    page = newcomer.page
    page.add_init_script(IMPATIENT)
    line = Line(newcomer, REVIEW, answer_lost, request_lost, request_lost, request_lost, through)
    newcomer.open(study_id)
    page.route(f"**/v1/studies/{study_id}", lambda route: route.abort())  # the page hears nothing of the gateway
    newcomer.press("a")
    expect(page.locator(".banner")).to_contain_text(f"{LOST} {UNSURE}")
    assert len(line.keys) == 4
    newcomer.press("a")
    expect(page.locator(".signature")).to_contain_text("Accepted by Dr. Reader")
    expect(page.locator(".banner")).to_be_hidden()
    assert len(set(line.keys)) == 1
    assert acts(world, summary_id) == ["accepted"]


def test_what_somebody_else_did_between_two_tries_is_a_conflict_as_ever(newcomer: Room, world: World) -> None:
    study_id, summary_id = study(world)
    body = {"state": "rejected", "reviewer": "Dr. Before", "reason": "other: another film"}

    def another_signs(route: Route) -> None:
        assert world.client.post(f"/v1/summaries/{summary_id}/review", json=body).status_code == 200
        route.abort()

    Line(newcomer, REVIEW, another_signs, through)
    page = newcomer.open(study_id).page
    newcomer.press("a")
    expect(page.locator(".banner")).to_contain_text("Dr. Before")
    expect(page.locator(".banner")).to_contain_text("Nothing of yours was saved.")
    assert acts(world, summary_id) == ["rejected"]


def test_a_question_that_was_lost_altogether_is_asked_once_when_it_is_asked_again(newcomer: Room, world: World) -> None:
    study_id, _ = study(world)
    page = newcomer.page
    page.add_init_script(IMPATIENT)
    line = Line(newcomer, CHAT, answer_lost, request_lost, request_lost, request_lost, through)
    newcomer.open(study_id)
    page.get_by_label("Question", exact=True).fill("Is there a nodule?")
    page.keyboard.press("Enter")
    expect(page.locator(".chat .problem")).to_contain_text(f"{LOST} {UNSURE}")
    page.get_by_label("Question", exact=True).press("Enter")
    expect(page.locator(".turns li")).to_have_count(1)
    expect(page.locator(".chat .problem")).to_be_empty()
    assert (len(line.keys), len(set(line.keys))) == (5, 1)
    assert one(world.ledger, "SELECT count(*) FROM chat_turns") == 1


def test_what_one_reader_wanted_is_not_sent_again_for_the_next(newcomer: Room, world: World) -> None:
    study_id, summary_id = study(world)
    page = newcomer.page
    page.add_init_script(HELD)
    line = Line(newcomer, REVIEW, request_lost, through)
    newcomer.open(study_id)
    newcomer.press("a")
    expect(page.locator("#toasts")).to_contain_text("It is being sent again")
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Your API key").fill(create_api_key(world.ledger, "Dr. Next"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("navigation", name="Lists")).to_be_visible()
    page.evaluate("held.forEach(act => act())")
    expect(page.locator("#toasts")).not_to_contain_text("It is being sent again")
    assert len(line.keys) == 1
    assert acts(world, summary_id) == []

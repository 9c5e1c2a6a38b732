"""The limits of a text on the reading desk: the banner, the quoted contradiction, and an Accept that is not green."""

import os
from typing import Any

from playwright.sync_api import expect

from tests.integration.gateway.room.conftest import Room, hashes, picture, shot
from xraygpt_core.states import Flag

World = Any
CARD = "https://example.org/card"
SCOPE = {"made_for": "synthetic", "says": "Made for drawn films.", "card": CARD, "validated_on": []}
TWO = {"kind": "findings/impression", "one": "Clear lungs.", "other": "Left lower zone consolidation."}
OUTSIDE: dict[str, Any] = {"flags": (Flag.OUT_OF_SCOPE,), "provenance": {"scope": SCOPE}}


def limited(world: World, of_film: tuple[str, ...] = (), **more: Any) -> str:
    """A summarised study with its pictures; ``more`` goes into its summary."""
    (image,) = world.submit(f"in/{os.urandom(6).hex()}.dcm")
    study_id: str = world.ingest(image["image_id"], flags=of_film, **hashes(picture()))
    for folder in ("normalised", "preview"):
        key = f"{folder}/{image['image_id']}.png"
        world.s3.put_object(Bucket=world.settings.derived_bucket, Key=key, Body=picture())
    world.summarise(study_id, "Left lower zone consolidation.", **more)
    return study_id


def test_a_draft_outside_of_the_scope_stands_below_a_banner_and_accept_is_not_green(
    newcomer: Room, world: World
) -> None:
    study_id = limited(world, **OUTSIDE)
    page = newcomer.enter("#/all").page
    expect(page.locator(".rows .row .flags")).to_contain_text("Outside the model's scope")
    page.goto(f"{newcomer.url}/#/study/{study_id}")
    expect(page.locator(".scope")).to_contain_text("Outside the model's scope. Made for drawn films.")
    expect(page.get_by_role("link", name="Model card")).to_have_attribute("href", CARD)
    accept = page.get_by_role("button", name="Accept")
    expect(accept).to_be_visible()
    expect(accept).not_to_contain_class("good")
    shot(page, "scope")
    page.goto(f"{newcomer.url}/#/all")
    page.locator(".rows .row").click()
    newcomer.press("a")
    expect(page.locator(".signature.accepted")).to_contain_class("doubted")
    expect(page.locator(".toast", has_text="Accepted.")).not_to_contain_class("good")
    page.keyboard.press("Escape")
    expect(page.locator(".standing[data-state=accepted]")).to_contain_class("doubted")


def test_both_sentences_of_a_contradiction_stand_under_the_draft(newcomer: Room, world: World) -> None:
    page = newcomer.open(limited(world, consistency=(TWO,))).page
    expect(page.locator(".report .contradictions")).to_contain_text("Clear lungs.")
    expect(page.locator(".report .contradictions")).to_contain_text("Left lower zone consolidation.")
    expect(page.get_by_role("button", name="Accept")).not_to_contain_class("good")


def test_a_text_that_its_model_could_not_end_says_so_and_accept_is_not_green(newcomer: Room, world: World) -> None:
    study_id = limited(world, flags=(Flag.CUT_OFF,))
    asked = world.client.post(f"/v1/studies/{study_id}/chat", json={"question": "Which side?"}).json()["turn_id"]
    world.write(asked, flags=(Flag.CUT_OFF,))[1]("The left lower")
    page = newcomer.open(study_id).page
    said = "The model reached its longest answer before its text had ended: findings may be missing."
    expect(page.locator(".cautions")).to_contain_text(said)
    expect(page.get_by_role("button", name="Accept")).not_to_contain_class("good")
    expect(page.locator(".turns .limits")).to_contain_text(f"Text cut off. {said}")


def test_a_doubt_about_the_film_takes_the_green_away_and_nothing_else_does(newcomer: Room, world: World) -> None:
    doubtful, usual = limited(world, ("implausible_pixels",)), limited(world, ("body_part_unknown",))
    page = newcomer.open(doubtful).page
    expect(page.get_by_role("button", name="Accept")).not_to_contain_class("good")
    page.goto(f"{newcomer.url}/#/study/{usual}")
    expect(page.get_by_role("button", name="Accept")).to_contain_class("good")
    expect(page.locator(".scope")).to_be_hidden()


def test_an_answer_stands_with_the_limits_of_its_model(newcomer: Room, world: World) -> None:
    study_id = limited(world)
    asked = world.client.post(f"/v1/studies/{study_id}/chat", json={"question": "Which side?"}).json()["turn_id"]
    contradiction = {"kind": "chat", "one": "Right.", "other": "Left."}
    world.write(asked, consistency=(contradiction,), **OUTSIDE)[1]("Right.")
    page = newcomer.open(study_id).page
    expect(page.locator(".turns .limits")).to_contain_text("Outside the model's scope. Made for drawn films.")
    expect(page.locator(".turns .contradictions")).to_contain_text("contradicts")


def test_the_figures_of_a_model_on_trial_stand_with_their_controls(newcomer: Room, world: World) -> None:
    figure = {"name": "real films", "n": 80, "metric": "F1", "value": 0.7, "interval": [0.6, 0.8], "swapped": 0.5}
    scope = SCOPE | {"made_for": "trial", "validated_on": [figure]}
    page = newcomer.open(limited(world, provenance={"scope": scope})).page
    page.get_by_text("Where this text comes from").click()
    measured = "real films: F1 0.7 (0.6 to 0.8), n = 80; the texts beside another film 0.5"
    expect(page.get_by_text(measured, exact=True)).to_be_visible()

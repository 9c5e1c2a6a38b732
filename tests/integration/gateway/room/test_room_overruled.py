"""What one person signed and another sees otherwise: a reason is asked for, and who signed first sees it."""

from typing import Any

from playwright.sync_api import expect

from tests.integration.gateway.room.conftest import Room, seat, study
from tests.support.api_keys import create_api_key
from xraygpt_core.states import Role

World = Any


def test_a_reader_says_why_a_colleagues_review_is_changed_and_the_colleague_sees_it(
    newcomer: Room, world: World
) -> None:
    study_id, _ = study(world)
    junior = create_api_key(world.ledger, "Dr. Junior", roles=[Role.READER])
    newcomer.key = junior
    page = newcomer.open(study_id).page
    newcomer.press("a")
    expect(page.locator(".signature")).to_contain_text("Accepted by Dr. Junior")
    seat(newcomer, study_id, create_api_key(world.ledger, "Dr. Second", roles=[Role.READER]))
    expect(page.get_by_role("button", name="Correct")).to_be_visible()
    assert page.get_by_role("button", name="Reject").count() == 0
    page.keyboard.press("e")
    page.locator(".report textarea").first.fill("The heart is enlarged.")
    save = page.get_by_role("button", name="Save correction")
    expect(save).to_be_enabled()
    save.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Dr. Junior reviewed this otherwise.")
    dialog.get_by_label("Why").fill("The heart")
    dialog.get_by_role("button", name="Change it").click()
    expect(page.locator(".signature")).to_contain_text("Dr. Second")
    page.goto("about:blank")
    newcomer.key = junior
    newcomer.enter("#/all")
    expect(page.locator(".rows .withdrawn")).to_have_text("your review was changed by Dr. Second")
    page.locator(".rows .row").click()
    expect(page.locator(".taken-from")).to_contain_text("Your review was changed. Dr. Second")
    expect(page.locator(".taken-from .reason")).to_have_text("The heart")

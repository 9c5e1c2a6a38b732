"""A text leaves the desk only with how it stands; what is said for a while is in nobody's way; dark or light."""

import re
from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from tests.integration.gateway.room.conftest import Room, study
from tests.integration.gateway.room.desk_tools import SECTIONED
from xraygpt_core.states import NOTICE

World = Any


def test_a_text_is_copied_saved_and_printed_as_the_draft_it_is(newcomer: Room, world: World) -> None:
    study_id, summary_id = study(world, SECTIONED)
    page = newcomer.open(study_id).page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.keyboard.press("c")
    expect(page.locator("#toasts")).to_contain_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    for words in ("Impression\nCardiomegaly.", "DRAFT, not signed.", NOTICE, study_id, summary_id, "model demo"):
        assert words in copied
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as text").click()
    assert saved.value.suggested_filename == f"report-{study_id[-8:]}-draft.txt"
    assert Path(saved.value.path()).read_text() == copied
    page.evaluate("() => { window.print = () => {} }")
    page.emulate_media(media="print")
    page.keyboard.press("Shift+P")
    sheet = page.locator(".sheet")
    expect(sheet).to_be_visible()
    expect(page.locator("#room")).to_be_hidden()
    for words in ("DRAFT, not signed.", NOTICE, "Cardiomegaly.", summary_id):
        expect(sheet).to_contain_text(words)
    page.emulate_media(media="screen")
    expect(sheet).to_be_hidden()


def test_once_signed_a_text_says_by_whom_and_that_it_came_of_a_draft(newcomer: Room, world: World) -> None:
    study_id, summary_id = study(world, SECTIONED)
    page = newcomer.open(study_id).page
    notice = page.locator(".side > .notice")
    expect(notice).to_have_text(NOTICE)
    newcomer.press("a")
    expect(notice).to_contain_text("Signed by Dr. Reader")
    expect(notice).to_contain_text("based on an AI draft")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as text").click()
    assert saved.value.suggested_filename.endswith("-signed.txt")
    text = Path(saved.value.path()).read_text()
    assert re.search(r"Signed by Dr\. Reader, .*, based on an AI draft\.", text)
    assert NOTICE not in text
    refused = {"state": "rejected", "reason": "not_useful", "reviewer": "Dr. Other"}
    world.client.post(f"/v1/summaries/{summary_id}/review", json=refused)
    page.reload()
    expect(notice).to_have_text(NOTICE)
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as text").click()
    assert "REJECTED by Dr. Other" in Path(saved.value.path()).read_text()


def test_what_is_said_covers_no_tool_and_the_keys_work_after_an_answer(newcomer: Room, world: World) -> None:
    (study_id, _), (_, _) = study(world, "First film."), study(world, "Second film.")
    page = newcomer.enter().page
    page.locator(".rows .row").first.click()
    expect(page.locator(".report")).to_contain_text("First film.")
    page.keyboard.press("c")
    expect(page.locator(".toast")).to_be_visible()
    toast, tools = page.locator(".toast").bounding_box(), page.locator(".tools").bounding_box()
    actions = page.locator(".actions").bounding_box()
    assert toast
    for other in (tools, actions):
        assert other
        assert toast["y"] + toast["height"] <= other["y"] or toast["x"] + toast["width"] <= other["x"]
    page.keyboard.press("q")
    page.get_by_role("textbox", name="Question").fill("Is it normal?")
    page.keyboard.press("Enter")
    expect(page.locator(".turns li")).to_contain_text("Waiting for the model")
    (asked,) = world.client.get(f"/v1/studies/{study_id}/chat").json()["turns"]
    world.write(asked["turn_id"])[1]("Yes.")
    expect(page.locator(".turns li")).to_have_attribute("data-state", "done")
    page.keyboard.press("j")
    expect(page.locator(".report")).to_contain_text("Second film.")

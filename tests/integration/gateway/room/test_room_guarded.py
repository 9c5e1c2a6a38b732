"""The reading room keeps what it is told: keys, texts of strangers, addresses; and answers as they are written."""

from dataclasses import replace
from typing import Any

from playwright.sync_api import expect

from api_gateway.app import create_app
from tests.integration.gateway.room.conftest import Room, picture, study
from tests.support.api_keys import create_api_key
from xraygpt_core.ledger.access.api_keys import revoke_api_key
from xraygpt_core.states import NOTICE, Role

World = Any

HOSTILE = '<script>window.hacked = 1</script><img src=x onerror="window.hacked = 2"> <b>bold</b> &amp; \' javascript:'


def test_a_wrong_key_is_told_and_another_one_may_be_tried(newcomer: Room, world: World) -> None:
    study(world)
    page = newcomer.knock("wrong").page
    expect(page.get_by_role("alert")).to_contain_text("This key opens nothing")
    assert page.context.cookies() == []
    page.get_by_label("Your API key").fill("schlüssel")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("letters and digits")
    page.get_by_label("Your API key").fill(newcomer.key)
    page.keyboard.press("Enter")
    expect(page.locator(".rows .row")).to_have_count(1)
    expect(page.locator(".who")).to_have_text("Dr. Reader")


def test_a_reload_keeps_the_reader_and_signing_out_forgets_them_in_every_tab(newcomer: Room) -> None:
    page = newcomer.enter().page
    page.reload()
    expect(page.get_by_role("navigation", name="Lists")).to_be_visible()
    other = page.context.new_page()
    other.goto(newcomer.url)
    expect(other.get_by_role("navigation", name="Lists")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    for tab in (page, other):
        expect(tab.get_by_label("Your API key")).to_be_visible()
    assert page.context.cookies() == []
    page.reload()
    expect(page.get_by_label("Your API key")).to_be_visible()
    other.close()


def test_who_signs_in_in_another_tab_takes_this_one_along(newcomer: Room, world: World) -> None:
    page = newcomer.enter().page
    other = page.context.new_page()
    page.context.request.post(f"{newcomer.url}/v1/session", data={"key": create_api_key(world.ledger, "Dr. Other")})
    other.goto(newcomer.url)
    expect(other.locator(".who")).to_have_text("Dr. Other")
    # What it asks next, by this or by itself, shows that it is the page of a session that is over.
    page.evaluate("location.hash = '#/all'")
    expect(page.get_by_role("alert")).to_contain_text("Sign in again")
    other.close()


def test_a_page_nobody_is_at_says_so_and_signs_out_and_keeps_what_was_written(newcomer: Room, world: World) -> None:
    study_id, _ = study(world)
    hurried = world.settings.model_copy(update={"session_idle_seconds": 15.0})
    ledger = replace(world.ledger, settings=hurried)
    newcomer.house.app = create_app(ledger, world.store, world.pseudonymiser)
    page = newcomer.open(study_id).page
    page.keyboard.press("e")
    page.get_by_label("Corrected text").fill("Half a sen")
    ending = page.locator(".ending")
    expect(ending).to_contain_text("This page is idle")
    page.keyboard.press("Shift")
    expect(ending).to_be_hidden()
    expect(ending).to_contain_text("This page is idle")
    expect(page.get_by_role("alert").filter(has_text="Your session is over")).to_be_visible()
    assert page.locator("canvas").count() == 0
    page.get_by_label("Your API key").fill(newcomer.key)
    page.keyboard.press("Enter")
    expect(page.get_by_label("Corrected text")).to_have_value("Half a sen")


def test_a_revoked_key_leads_back_to_the_door_and_what_was_written_is_kept(newcomer: Room, world: World) -> None:
    study_id, summary_id = study(world)
    page = newcomer.open(study_id).page
    page.keyboard.press("e")
    page.get_by_label("Corrected text").fill("Half a sen")
    expect(page.get_by_role("button", name="Save correction")).to_be_enabled()
    revoke_api_key(world.ledger, "Dr. Reader")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("alert")).to_contain_text("Sign in again")
    assert world.client.get(f"/v1/summaries/{summary_id}").json()["review_state"] == "draft"


def test_a_reader_is_told_that_another_readers_review_is_a_leads_to_take_back(newcomer: Room, world: World) -> None:
    study_id, summary_id = study(world)
    world.client.post(f"/v1/summaries/{summary_id}/review", json={"state": "accepted", "reviewer": "Dr. Other"})
    newcomer.key = create_api_key(world.ledger, "Dr. Junior", roles=[Role.READER])
    page = newcomer.open(study_id).page
    page.keyboard.press("t")
    expect(page.locator(".toast")).to_contain_text("role lead")
    assert world.client.get(f"/v1/summaries/{summary_id}").json()["review_state"] == "accepted"


def test_letters_that_turn_or_hide_words_are_marked_and_a_name_turns_nothing(newcomer: Room, world: World) -> None:
    turned = "No \u202eoisuffe\u202c. Hid\u200bden. \u2067x"
    _, summary_id = study(world, turned)
    page = newcomer.enter().page
    expect(page.locator(".opening")).to_have_text("No �oisuffe�. Hid�den. �x")
    page.locator(".rows .row").click()
    expect(page.locator(".report .text").first).to_contain_text("No �oisuffe�. Hid�den. �x")
    expect(page.locator(".report .text").first).to_have_css("unicode-bidi", "plaintext")
    said = {"state": "accepted", "reviewer": "ד״ר כהן"}
    assert world.client.post(f"/v1/summaries/{summary_id}/review", json=said).status_code == 200
    expect(page.locator(".signature bdi")).to_have_text("ד״ר כהן")
    expect(page.locator(".said bdi").first).to_have_text("ד״ר כהן")


def test_a_film_that_is_not_the_one_that_was_read_is_not_shown_and_said(newcomer: Room, world: World) -> None:
    study_id, _ = study(world)
    for listed in world.store.list(world.settings.derived_bucket):
        world.store.put(listed.key, picture(shade=90), "image/png")
    page = newcomer.open(study_id).page
    expect(page.locator(".film-note")).to_contain_text("not the one that was read")
    expect(page.locator(".unarmed")).to_contain_text("not the one that was read")
    expect(page.get_by_label("Film", exact=True).locator("canvas")).to_be_hidden()


def test_an_answer_is_shown_as_it_is_written_with_its_notice(newcomer: Room, world: World) -> None:
    study_id, summary_id = study(world)
    page = newcomer.open(study_id).page
    page.keyboard.press("q")
    page.get_by_role("textbox", name="Question").fill(f"Is it normal? {HOSTILE}")
    page.keyboard.press("Enter")
    turn = page.locator(".turns li")
    expect(turn).to_contain_text("Waiting for the model")
    (asked,) = world.client.get(f"/v1/studies/{study_id}/chat").json()["turns"]
    assert (asked["question"], asked["summary_id"]) == (f"Is it normal? {HOSTILE}", summary_id)
    show, finish = world.write(asked["turn_id"])
    show("Yes, the")
    expect(turn.locator(".answer")).to_have_text("Yes, the")
    show("Yes, the heart <b>is")
    expect(turn.locator(".answer")).to_have_text("Yes, the heart <b>is")
    finish("Yes, the heart <b>is</b> normal.")
    expect(turn.locator(".answer")).to_have_text("Yes, the heart <b>is</b> normal.")
    expect(turn).to_have_attribute("data-state", "done")
    expect(turn).to_contain_text(NOTICE)
    page.reload()
    expect(turn.locator(".answer")).to_have_text("Yes, the heart <b>is</b> normal.")


def test_a_question_whose_answer_fails_says_so(newcomer: Room, world: World) -> None:
    study_id, _ = study(world)
    turn_id = world.client.post(f"/v1/studies/{study_id}/chat", json={"question": "Why?"}).json()["turn_id"]
    page = newcomer.open(study_id).page
    expect(page.locator(".turns li")).to_contain_text("Waiting for the model")
    world.kill("chat", turn_id)
    expect(page.locator(".turns li")).to_contain_text("every attempt failed")


def test_the_browser_keeps_a_cookie_that_no_script_reads_and_nothing_else(newcomer: Room, world: World) -> None:
    study_id, _ = study(world, accession_pseudonym=world.pseudonymiser.accession("A-77"))
    page = newcomer.open(study_id).page
    expect(page.locator(".stage canvas")).to_be_visible()
    newcomer.press("a")
    expect(page.locator(".signature")).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0
    assert page.evaluate("document.cookie") == ""
    assert page.evaluate("localStorage.length") == 0
    assert page.evaluate("indexedDB.databases()") == []
    assert page.evaluate("caches.keys()") == []
    (cookie,) = page.context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"], cookie["expires"]) == (
        "xraygpt",
        True,
        "Strict",
        -1,
    )
    assert page.title() == "Reading room"
    assert page.url == f"{newcomer.url}/#/study/{study_id}"
    assert not any(newcomer.key in url for url in newcomer.requests)


def test_the_notice_is_in_sight_wherever_a_text_is(newcomer: Room, world: World) -> None:
    study_id, _ = study(world, "Long. " * 900)
    page = newcomer.open(study_id).page
    page.locator(".scroll").evaluate("element => element.scrollTo(0, element.scrollHeight)")
    expect(page.locator(".side > .notice")).to_be_in_viewport()
    expect(page.locator(".side > .notice")).to_have_text(NOTICE)
    page.keyboard.press("Escape")
    expect(page.locator(".worklist .notice")).to_have_text(NOTICE)


def test_an_address_nobody_knows_leads_to_the_worklist(newcomer: Room) -> None:
    page = newcomer.enter().page
    for fragment in ("#/nowhere", "#/study/../../etc", "#/study/<img src=x>", "#/__proto__", "#"):
        page.evaluate("hash => { location.hash = hash }", fragment)
        expect(page).to_have_url(f"{newcomer.url}/#/awaiting")
        expect(page.locator(".worklist h1")).to_have_text("To review")


def test_a_study_nobody_knows_is_said_to_be_none(newcomer: Room) -> None:
    page = newcomer.enter("#/study/00000000-0000-7000-8000-000000000000").page
    expect(page.get_by_text("There is no such study.")).to_be_visible()


def test_every_control_has_a_name_and_every_field_a_label(newcomer: Room, world: World) -> None:
    study_id, _ = study(world)
    page = newcomer.open(study_id).page
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, a, input, select, textarea, [role=img]")].filter(element =>
            !(element.getAttribute("aria-label") || element.textContent.trim() || element.labels?.length))
            .map(element => element.outerHTML)"""
    )
    assert nameless == []
    expect(page.get_by_role("toolbar", name="Film")).to_be_visible()
    expect(page.get_by_role("group", name="Review")).to_be_visible()

"""The page speaks its reader's language and wears its reader's colours; the browser remembers neither."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.integration.gateway.room.conftest import INSIDE, SCREEN, WIDTHS, House, Room
from tests.support.api_keys import create_api_key
from tests.support.axe import faults

World = Any

GROUND = "getComputedStyle(document.body).backgroundColor"


@pytest.fixture
def german(browser: Browser, house: House, world: World) -> Iterator[Page]:
    """The door, in a browser that is set to German, as far as its owner can speak it, and then English."""
    house.app = world.client.app
    context = browser.new_context(locale="de-CH")
    page = context.new_page()
    page.goto(house.url)
    yield page
    context.close()
    house.leave()


def test_before_anybody_signed_in_the_page_speaks_the_browsers_language(german: Page) -> None:
    expect(german.get_by_label("Ihr API-Schlüssel")).to_be_visible()
    assert german.evaluate("document.documentElement.lang") == "de"


def test_a_chosen_language_follows_its_reader_to_another_browser(newcomer: Room, german: Page) -> None:
    page = newcomer.enter().page
    expect(page.get_by_role("heading", name="To review")).to_be_visible()
    page.get_by_label("Language").select_option("fr")
    expect(page.get_by_label("Langue")).to_have_value("fr")
    assert page.evaluate("document.documentElement.lang") == "fr"
    german.get_by_label("Ihr API-Schlüssel").fill(newcomer.key)
    german.keyboard.press("Enter")
    expect(german.get_by_label("Langue")).to_have_value("fr")
    assert page.evaluate("localStorage.length") == 0


def test_the_colours_are_the_systems_until_they_are_chosen(newcomer: Room) -> None:
    page = newcomer.enter().page
    dark = page.evaluate(GROUND)
    page.get_by_label("Colours").select_option("light")
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    light = page.evaluate(GROUND)
    assert light != dark
    page.reload()
    expect(page.get_by_label("Colours")).to_have_value("light")
    assert page.evaluate(GROUND) == light
    page.get_by_label("Colours").select_option("")
    expect(page.locator("html[data-theme]")).to_have_count(0)
    assert page.evaluate(GROUND) == dark


def test_one_persons_language_is_not_anothers(newcomer: Room, world: World) -> None:
    page = newcomer.enter().page
    page.get_by_label("Colours").select_option("light")
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    page.get_by_role("button", name="Sign out").click()
    newcomer.key = create_api_key(world.ledger, "Dr. Other")
    newcomer.knock(newcomer.key)
    expect(page.get_by_label("Colours")).to_have_value("")
    expect(page.locator("html[data-theme]")).to_have_count(0)


@pytest.mark.parametrize("path", ["/", "/ops", "/training"])
def test_the_door_fits_every_width_and_is_open_to_those_who_do_not_see_it(newcomer: Room, path: str) -> None:
    page = newcomer.page
    page.goto(f"{newcomer.url}{path}")
    expect(page.get_by_label("Your API key")).to_be_visible()
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 740})
        assert page.evaluate(INSIDE), width
    page.set_viewport_size(SCREEN)
    assert faults(page) == []


@pytest.mark.parametrize("language", ["en", "de", "fr"])
def test_no_head_of_the_list_lies_on_the_next_one(newcomer: Room, world: World, language: str) -> None:
    world.summarised("in/a.dcm")
    page = newcomer.enter("#/all").page
    if language != "en":
        page.locator(".choices select").first.select_option(language)
    expect(page.locator(f"html[lang={language}]")).to_have_count(1)
    expect(page.locator(".rows tr.row")).to_have_count(1)
    for width in (1024, 1366, 1920):
        page.set_viewport_size({"width": width, "height": 740})
        over = page.evaluate(
            """() => [...document.querySelectorAll(".rows th")].map((head) => {
                const words = document.createRange();
                words.selectNodeContents(head);
                return [head.textContent, words.getBoundingClientRect().right - head.getBoundingClientRect().right];
            }).filter(([, over]) => over > 1)"""
        )
        assert over == [], width
    page.set_viewport_size(SCREEN)


def test_a_number_is_written_as_the_language_does(newcomer: Room) -> None:
    page = newcomer.enter().page
    written = """async (tag) => {
        const { number, speak } = await import(document.querySelector("link[href$='/language.js']").href);
        await speak(tag);
        return [number(0.4812, 2), number(12345.6, 3), number(2, null, 1)];
    }"""
    assert page.evaluate(written, "fr") == ["0,48", "12300", "2,0"]
    assert page.evaluate(written, "en") == ["0.48", "12300", "2.0"]

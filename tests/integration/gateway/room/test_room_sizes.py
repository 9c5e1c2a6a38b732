"""The desk on every screen: nothing beside the page, a film that can be seen, and nobody left out."""

from typing import Any

from playwright.sync_api import Page, expect

from tests.integration.gateway.room.conftest import SCREEN, Room, shot
from tests.integration.gateway.room.desk_tools import SECTIONED, facts, name_findings, study_of
from tests.support.axe import faults

World = Any
SIZES = [(360, 640), (390, 844), (768, 1024), (1366, 768), (1920, 1080), (683, 384)]


def opened(room: Room, world: World) -> Page:
    """A study with everything beside it: a lateral, a prior, chips."""
    before, _, _ = study_of(world, "A small nodule.", patient_pseudonym="jane")
    study_id, summary_id, _ = study_of(world, SECTIONED, views=("PA", "LATERAL"), patient_pseudonym="jane")
    facts(world, before, acquired_on="2024-05-05")
    facts(world, study_id, acquired_on="2026-02-28", spacing_mm=[0.2, 0.2], spacing_at="detector", laterality="R")
    name_findings(world, summary_id)
    page = room.open(study_id).page
    expect(page.locator(".chips")).to_be_visible()
    expect(page.get_by_role("button", name="Prior")).to_be_visible()
    return page


def test_the_desk_fits_every_screen_with_one_film_and_two(newcomer: Room, world: World) -> None:
    page = opened(newcomer, world)
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        for key in ("", "p", "e"):
            if key:
                page.keyboard.press(key)
            assert page.evaluate("document.documentElement.scrollWidth") == width, (width, key)
            beyond = page.evaluate(
                """() => [...document.querySelectorAll(".side button, .side textarea, .side p, .stage")]
                    .filter(one => one.checkVisibility()).map(one => [one.className, one.getBoundingClientRect()])
                    .filter(([, box]) => box.right > innerWidth + 1 || box.left < -1).map(([name]) => name)"""
            )
            assert beyond == [], (width, key)
            film = page.locator(".stage").first.bounding_box()
            assert film
            assert film["height"] >= (0.45 if height < 600 else 0.4) * height, (width, height, key)
        shot(page, f"desk-{width}")
        for name in ("Save correction", "Cancel"):
            button = page.get_by_role("button", name=name, exact=False).last
            button.scroll_into_view_if_needed()
            expect(button).to_be_in_viewport()
        page.get_by_role("button", name="Cancel").click()
        page.keyboard.press("p")
    page.set_viewport_size(SCREEN)


def test_the_desk_is_open_to_those_who_do_not_see_it_or_use_no_mouse(newcomer: Room, world: World) -> None:
    page = opened(newcomer, world)
    found = []
    for scheme in ("dark", "light"):
        page.get_by_label("Colours").select_option(scheme)
        found += [(scheme, "desk", one) for one in faults(page)]
        page.keyboard.press("p")
        expect(page.get_by_label("The prior's own report")).to_be_visible()
        found += [(scheme, "prior", one) for one in faults(page)]
        page.keyboard.press("e")
        found += [(scheme, "editor", one) for one in faults(page)]
        page.keyboard.press("Escape")
        newcomer.press("r", "Reject")
        found += [(scheme, "dialog", one) for one in faults(page)]
        page.keyboard.press("Escape")
        page.keyboard.press("p")
        expect(page.get_by_label("The prior's own report")).to_be_hidden()
    page.get_by_label("Colours").select_option("")
    assert found == [], "\n".join(map(str, found))


def test_a_key_works_at_once_after_a_dialog_is_left(newcomer: Room, world: World) -> None:
    page = opened(newcomer, world)
    page.keyboard.press("e")
    page.keyboard.press("Escape")  # the field that had the focus is gone: nothing takes it back from the dialog
    newcomer.press("r", "Reject")
    expect(page.get_by_role("dialog")).to_be_visible()
    # Closed and pressed within one task: the dialog still stands in the page, and the focus in it.
    page.evaluate(
        """() => {
            document.querySelector("dialog").close();
            const key = new KeyboardEvent("keydown", { key: "p", bubbles: true, cancelable: true });
            document.activeElement.dispatchEvent(key);
        }"""
    )
    expect(page.get_by_label("The prior's own report")).to_be_visible(timeout=10_000)

"""The list in a browser: heads, filters in the address, chips, pictures, many rows at once, every width."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.integration.gateway.room.conftest import Room, shot, study
from tests.support import axe
from tests.support.api_keys import create_api_key
from tests.support.ledger_tools import do
from xraygpt_core.states import KeyKind, Lane, Role

World = Any

WIDTHS = [(360, 740), (390, 844), (768, 1024), (1366, 768), (1920, 1080), (683, 384)]
LONG = "Large right pneumothorax with a shift of the mediastinum to the left, and a small left pleural effusion. " * 2


def label(world: World, study_id: str, asserted: str, uncertain: str = "") -> None:
    change = "UPDATE summaries SET asserted = CAST(:asserted AS text[]), uncertain = CAST(:uncertain AS text[])"
    do(
        world.ledger,
        f"{change} WHERE study_id = :id",
        id=study_id,
        asserted=f"{{{asserted}}}",
        uncertain=f"{{{uncertain}}}",
    )


def row(page: Page, study_id: str) -> Any:
    return page.locator(f'.row[data-study="{study_id}"]')


def count(page: Page, rows: int) -> None:
    expect(page.locator(".rows .row")).to_have_count(rows)


def test_a_row_says_what_a_reader_chooses_by_and_heads_sort(newcomer: Room, world: World) -> None:
    first, _ = study(world, LONG, Lane.STAT)
    second, _ = study(world, "Perhaps a nodule.")
    label(world, first, "effusion,pneumothorax")
    label(world, second, "", "nodule")
    do(world.ledger, "UPDATE images SET acquired_on = '2026-02-03' WHERE study_id = :id", id=second)
    page = newcomer.enter().page
    count(page, 2)
    chips = row(page, first).locator(".finding")
    assert chips.all_inner_texts() == ["▲Pneumothorax", "Pleural effusion"]
    expect(chips.first).to_have_class("finding urgent")
    expect(row(page, second)).to_contain_text("Nodule?")
    expect(row(page, second)).to_contain_text("3 Feb 2026")
    expect(row(page, first).locator(".thumb canvas")).to_be_visible()
    assert newcomer.rows() == [first, second]
    head = page.get_by_role("columnheader", name="Study date")
    expect(head).to_have_attribute("aria-sort", "none")
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "descending")
    expect(page.locator(".rows .row").first).to_have_attribute("data-study", second)
    assert page.url.endswith("#/awaiting?sort=acquired")
    shot(page, "list")


def test_filters_stand_in_the_address_and_what_was_typed_does_not(newcomer: Room, world: World) -> None:
    left, _ = study(world, "Small left effusion.")
    right, _ = study(world, "Mild scoliosis.", view="AP")
    label(world, left, "effusion")
    page = newcomer.enter("#/awaiting?finding=effusion").page
    count(page, 1)
    expect(page.get_by_label("Finding", exact=True)).to_have_value("effusion")
    expect(page.locator(".found-count")).to_have_text("1 found")
    page.get_by_role("button", name="Clear filters").first.click()
    count(page, 2)
    page.get_by_label("View", exact=True).select_option("AP")
    count(page, 1)
    assert page.url.endswith("#/awaiting?view=AP")
    page.locator(".rows .row").click()
    expect(page.locator(".report")).to_contain_text("Mild scoliosis.")
    page.keyboard.press("Escape")
    assert page.url.endswith("#/awaiting?view=AP")
    expect(row(page, right)).to_be_focused()
    page.go_back()
    page.go_back()
    page.go_back()
    count(page, 2)
    page.get_by_role("searchbox", name="Words of the text").fill("left zzz")
    expect(page.locator(".worklist .state")).to_contain_text("None with these filters.")
    expect(page.locator("nav .count").first).to_have_text("2")
    page.get_by_role("searchbox", name="Words of the text").fill("smal left")
    count(page, 1)
    assert not any("smal" in url for url in newcomer.requests)
    assert "smal" not in page.url


def test_rows_are_chosen_by_key_and_shift_and_assigned_and_put_back(newcomer: Room, world: World) -> None:
    made = [study(world, f"Film {n}.")[0] for n in range(4)]
    page = newcomer.enter().page
    count(page, 4)
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.locator(".selection")).to_contain_text("1 chosen")
    row(page, made[2]).get_by_role("checkbox").click(modifiers=["Shift"])
    expect(page.locator(".selection")).to_contain_text("3 chosen")
    page.get_by_role("button", name="Assign to me").click()
    expect(page.locator("#toasts")).to_contain_text("3 assigned to you.")
    expect(row(page, made[1])).to_contain_text("assigned to you")
    expect(row(page, made[3])).not_to_contain_text("assigned")
    page.get_by_role("button", name="Undo").click()
    expect(row(page, made[1])).not_to_contain_text("assigned")
    page.get_by_role("button", name="To Stat").click()
    expect(page.locator("#toasts")).to_contain_text("3 moved to Stat.")
    expect(row(page, made[0]).locator(".lane")).to_have_text("Stat")
    with page.expect_download() as file:
        page.get_by_role("button", name="Export CSV").click()
    assert file.value.suggested_filename == "studies.csv"


def test_a_reader_is_offered_what_a_reader_may_do_and_refusals_have_names(newcomer: Room, world: World) -> None:
    made = [study(world, f"Film {n}.")[0] for n in range(2)]
    world.as_role(Role.LEAD).post("/v1/studies/assign", json={"study_ids": made[:1]})
    newcomer.key = create_api_key(world.ledger, "Dr. Plain", KeyKind.PERSON, (Role.READER,))
    page = newcomer.enter().page
    count(page, 2)
    page.get_by_label("Choose all rows shown").check()
    expect(page.get_by_role("button", name="Assign to me")).to_be_visible()
    for absent in ("To Stat", "Write again"):
        expect(page.get_by_role("button", name=absent)).to_have_count(0)
    page.get_by_role("button", name="Assign to me").click()
    expect(page.locator("#toasts")).to_contain_text("1 assigned to you. 1 refused: it is assigned to lead")


def test_who_reads_a_study_is_seen_in_the_list_and_on_the_desk(newcomer: Room, world: World) -> None:
    study_id, _ = study(world)
    other = world.as_role(Role.READER)
    name = other.get("/v1/me").json()["name"]
    other.put(f"/v1/studies/{study_id}/reading")
    page = newcomer.enter().page
    expect(row(page, study_id)).to_contain_text(f"being read by {name}")
    row(page, study_id).click()
    expect(page.locator(".desk .being-read")).to_contain_text(f"Being read by {name}")
    newcomer.press("a")  # it hinders nobody
    expect(page.locator("#toasts")).to_contain_text("Accepted.")


def test_the_desk_claims_while_it_is_open_and_leaves_when_it_is_closed(newcomer: Room, world: World) -> None:
    study_id, _ = study(world)
    page = newcomer.open(study_id).page
    listed = world.as_role(Role.READER)

    def reader() -> str | None:
        found: str | None = listed.post("/v1/studies/search", json={}).json()["studies"][0]["read_by"]
        return found

    expect(page.locator(".report")).to_be_visible()
    assert reader() == "Dr. Reader"
    with page.expect_response(lambda answer: answer.url.endswith("/reading") and answer.request.method == "DELETE"):
        page.keyboard.press("Escape")
    assert reader() is None


# A click with a key that opens a tab: does the page leave it alone? The tab itself is the browser's work.
LEFT_TO_THE_BROWSER = """(link) => {
    let left = null;
    document.addEventListener("click", (event) => {
        left = !event.defaultPrevented;
        event.preventDefault();
    }, { once: true });
    link.dispatchEvent(new MouseEvent("click", { ctrlKey: true, bubbles: true, cancelable: true }));
    return left && location.hash !== new URL(link.href).hash;
}"""


def test_a_row_that_is_opened_in_a_new_tab_has_the_session(newcomer: Room, world: World) -> None:
    study_id, _ = study(world, "Left effusion.")
    page = newcomer.enter().page
    link = row(page, study_id).get_by_role("link")
    assert link.evaluate(LEFT_TO_THE_BROWSER)
    tab = page.context.new_page()
    tab.goto(str(link.evaluate("link => link.href")))
    expect(tab.locator(".report")).to_contain_text("Left effusion.")
    tab.close()


def test_what_is_signed_neither_ages_nor_stays_red(newcomer: Room, world: World) -> None:
    study_id, summary_id = study(world, "Normal.", Lane.STAT)
    world.client.post(f"/v1/summaries/{summary_id}/review", json={"state": "accepted", "reviewer": "Dr. A"})
    page = newcomer.enter("#/signed").page
    expect(row(page, study_id)).to_contain_text("Accepted · Dr. A")
    assert "waits" not in str(row(page, study_id).get_attribute("class"))
    assert row(page, study_id).locator("td.c-waited").inner_text() != "now"


@pytest.fixture
def crowd(newcomer: Room, world: World) -> Room:
    """Long texts, several flags, names and findings: what needs room."""
    for n in range(3):
        study_id, _ = study(world, LONG, Lane.STAT, flags=("burned_in_unchecked", "not_verified_chest"))
        do(world.ledger, "UPDATE studies SET view = 'LATERAL' WHERE id = :id", id=study_id)
        label(world, study_id, "pneumothorax,effusion,cardiomegaly", "nodule")
        if n:
            world.client.post("/v1/studies/assign", json={"study_ids": [study_id]})
        world.as_role(Role.READER).put(f"/v1/studies/{study_id}/reading")
    return newcomer


def test_the_list_fits_every_width_overlaps_nothing_and_can_be_used_without_seeing_it(crowd: Room) -> None:
    page = crowd.enter().page
    count(page, 3)
    try:
        for width, height in WIDTHS:
            page.set_viewport_size({"width": width, "height": height})
            assert page.evaluate("document.documentElement.scrollWidth") == width, width
            assert page.evaluate(
                "(list => list.scrollWidth <= list.clientWidth)(document.querySelector('.worklist'))"
            ), width
            assert page.evaluate(OVERLAPS) == [], width
            text = page.locator(".row .opening").first.bounding_box()
            assert text is not None
            if width == 390:
                assert text["width"] >= 0.55 * width
            shot(page, f"list-{width}")
            if width in (390, 1366):
                assert axe.faults(page) == [], width
    finally:
        page.set_viewport_size({"width": 1366, "height": 768})


# Cells of the first row that lie on each other.
OVERLAPS = """() => {
  const cells = [...document.querySelector('.row').children].map(cell => [cell.className, cell.getBoundingClientRect()])
    .filter(([, box]) => box.width && box.height);
  const found = [];
  cells.forEach(([name, one], place) => cells.slice(place + 1).forEach(([other, two]) => {
    if (one.left < two.right - 1 && two.left < one.right - 1 && one.top < two.bottom - 1 && two.top < one.bottom - 1)
      found.push(`${name} on ${other}`);
  }));
  return found;
}"""

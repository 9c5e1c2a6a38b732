"""Films on the desk: the lateral and the prior beside the draft's, a ruler that is right, and what each tool does."""

import math
import random
import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.integration.gateway.room.conftest import Room, shot
from tests.integration.gateway.room.desk_tools import facts, study_of

World = Any


def corners(page: Page, place: int = 0) -> Locator:
    return page.locator(".stage").nth(place).locator(".overlay")


def test_the_lateral_comes_beside_the_frontal_with_one_key_and_goes_with_it(newcomer: Room, world: World) -> None:
    study_id, summary_id, images = study_of(world, views=("PA", "LATERAL"))
    facts(world, study_id, laterality="L", acquired_on="2026-02-28")
    page = newcomer.open(study_id).page
    expect(page.get_by_role("button", name="Lateral")).to_be_visible()
    expect(page.get_by_role("button", name="Prior")).to_be_hidden()
    page.keyboard.press("v")
    expect(page.get_by_role("img", name="Same study, LATERAL view")).to_be_visible()
    for place, view in enumerate(("PA", "LATERAL")):
        for words in (f"{view} view", "28 Feb 2026", "Side: left", "400 × 500", "W 255 L 128", "8-bit copy"):
            expect(corners(page, place)).to_contain_text(words)
    shot(page, "lateral")
    page.keyboard.press("v")
    expect(page.locator(".stage")).to_have_count(1)
    newcomer.press("a")
    expect(page.locator(".signature")).to_be_visible()
    (kept,) = world.client.get(f"/v1/summaries/{summary_id}/reviews").json()["reviews"]
    with world.ledger.work() as work:
        film = work.row("SELECT normalised_sha256 AS sha FROM images WHERE id = CAST(:id AS uuid)", {"id": images[0]})
    assert kept["seen"]["image_sha256"] == film["sha"]


def test_the_prior_comes_with_its_day_and_its_own_report_and_does_not_count_as_seen(
    newcomer: Room, world: World
) -> None:
    before, earlier, _ = study_of(world, "A small nodule.", patient_pseudonym="jane", shades=(90,))
    world.client.post(f"/v1/summaries/{earlier}/review", json={"state": "accepted", "reviewer": "Dr. Before"})
    study_id, _, _ = study_of(world, "The nodule has grown.", patient_pseudonym="jane")
    facts(world, before, acquired_on="2024-05-05")
    facts(world, study_id, acquired_on="2026-02-28")
    page = newcomer.page
    page.route("**/image.png", lambda route: route.abort())
    page.route("**/preview.png", lambda route: route.abort())
    newcomer.open(study_id)
    expect(page.get_by_role("button", name="Prior")).to_be_visible()
    page.keyboard.press("p")
    report = page.get_by_label("The prior's own report")
    expect(report).to_contain_text("Prior of 5 May 2024: its own report")
    expect(report).to_contain_text("Signed by Dr. Before")
    expect(report).to_contain_text("A small nodule.")
    expect(page.get_by_role("img", name="Prior, PA view")).to_be_visible()
    expect(corners(page, 1)).to_contain_text("Prior")
    expect(corners(page, 1)).to_contain_text("5 May 2024")
    expect(page.locator(".report")).to_contain_text("The nodule has grown.")
    expect(page.locator(".unarmed")).to_contain_text("What cannot be seen cannot be signed.")
    expect(page.get_by_role("button", name="Accept")).to_be_disabled()
    shot(page, "prior")
    with world.ledger.work() as work:
        acts = work.rows("SELECT what, CAST(study_id AS text) AS study FROM audit WHERE actor = 'Dr. Reader'")
    assert {row["what"] for row in acts if row["study"] == before} == {"study read", "card read", "film read"}


def zooms(page: Page) -> list[str | None]:
    return [stage.get_attribute("data-zoom") for stage in page.locator(".stage").all()]


def test_two_films_are_magnified_together_on_request(newcomer: Room, world: World) -> None:
    study_id, _, _ = study_of(world, views=("PA", "LATERAL"))
    page = newcomer.open(study_id).page
    expect(page.get_by_role("button", name="Lateral")).to_be_visible()
    page.keyboard.press("v")
    expect(page.get_by_role("img", name="Same study")).to_be_visible()
    page.keyboard.press("+")
    assert zooms(page) == ["1.25", "1.00"]
    page.keyboard.press("l")
    assert zooms(page) == ["1.25", "1.25"]
    page.keyboard.press("s")
    page.keyboard.press("+")
    assert zooms(page) == ["1.56", "1.56"]
    page.keyboard.press("ArrowLeft")
    first, second = (page.locator(".stage canvas").nth(place).bounding_box() for place in (0, 1))
    stages = [page.locator(".stage").nth(place).bounding_box() for place in (0, 1)]
    assert first
    assert second
    assert stages[0]
    assert stages[1]
    assert first["x"] - stages[0]["x"] == pytest.approx(second["x"] - stages[1]["x"], abs=2)


SCALE = (0.4, 0.25)  # millimetres between rows, between columns


def screen(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where a point of the picture is on the screen."""
    found: list[float] = page.locator(".stage canvas").first.evaluate(
        """(canvas, [x, y]) => {
            const stage = canvas.parentElement.getBoundingClientRect();
            const at = new DOMPoint(x, y).matrixTransform(new DOMMatrix(getComputedStyle(canvas).transform));
            return [stage.left + at.x, stage.top + at.y];
        }""",
        [x, y],
    )
    return found[0], found[1]


def measured(page: Page) -> float:
    text = page.locator(".ruler text").last.text_content() or ""
    return float(re.match(r"[\d.]+", text)[0])  # type: ignore[index]


def test_the_ruler_is_right_to_one_percent_however_the_film_lies(newcomer: Room, world: World) -> None:
    study_id, _, _ = study_of(world)
    facts(world, study_id, spacing_mm=list(SCALE), spacing_at="detector")
    page = newcomer.open(study_id).page
    expect(corners(page)).to_contain_text("Lengths at the detector")
    page.keyboard.press("m")
    chance = random.Random(7)
    for keys in ("", "h", "o", "+", "o", "h+", "o", "0m"):
        for key in keys:
            page.keyboard.press(key)
        ends = [(chance.uniform(150, 250), chance.uniform(150, 250) + 100 * end) for end in (0, 1)]
        for end in ends:
            page.mouse.click(*screen(page, *end))
        (x, y), (to_x, to_y) = ends
        truth = math.hypot((to_x - x) * SCALE[1], (to_y - y) * SCALE[0])
        expect(page.locator(".ruler text").last).to_contain_text("mm at the detector")
        assert measured(page) == pytest.approx(truth, rel=0.01), keys
    shot(page, "ruler")
    page.keyboard.press("Enter")
    for _ in range(10):
        page.keyboard.press("Shift+ArrowDown")
    moved = (20 * 10) / page.evaluate("document.querySelector('.stage canvas').getBoundingClientRect().height / 500")
    page.keyboard.press("Enter")
    assert measured(page) == pytest.approx(moved * SCALE[0], rel=0.01)
    before = page.locator(".ruler text").count()
    page.keyboard.press("Delete")
    expect(page.locator(".ruler text")).to_have_count(before - 1)


@pytest.mark.parametrize("values", [{}, {"spacing_mm": list(SCALE), "spacing_at": "patient", "rows": 600}])
def test_a_length_is_in_pixels_where_no_scale_fits_the_picture(
    newcomer: Room, world: World, values: dict[str, Any]
) -> None:
    study_id, _, _ = study_of(world)
    if values:
        facts(world, study_id, **values)
    page = newcomer.open(study_id).page
    expect(page.locator(".stage canvas")).to_be_visible()
    page.keyboard.press("m")
    for end in ((100, 100), (100, 300)):
        page.mouse.click(*screen(page, *end))
    expect(page.locator(".ruler text")).to_have_text("200 pixels")


def test_windows_turns_and_mirrors_have_keys_and_another_study_starts_as_it_came(newcomer: Room, world: World) -> None:
    (study_id, _, _), (other, _, _) = study_of(world), study_of(world, "Another film.")
    page = newcomer.open(study_id).page
    expect(page.locator(".stage canvas")).to_be_visible()
    overlay = corners(page)
    page.keyboard.press("w")
    expect(overlay).to_contain_text("W 150 L 85")
    expect(page.get_by_label("Window")).to_have_value("lung")
    page.keyboard.press("h")
    page.keyboard.press("o")
    expect(overlay).to_contain_text("mirrored, turned 270°")
    page.keyboard.press("i")
    expect(overlay).to_contain_text("inverted")
    page.keyboard.press("z")
    expect(overlay).to_contain_text("Zoom 100 %")
    page.evaluate("hash => { location.hash = hash }", f"#/study/{other}")
    expect(page.locator(".report")).to_contain_text("Another film.")
    expect(overlay).to_contain_text("W 255 L 128")
    expect(overlay).not_to_contain_text("mirrored")
    expect(page.locator(".stage")).to_have_attribute("data-zoom", "1.00")


def test_two_fingers_magnify_and_one_moves(newcomer: Room, world: World) -> None:
    study_id, _, _ = study_of(world)
    page = newcomer.open(study_id).page
    expect(page.locator(".stage canvas")).to_be_visible()
    box = page.locator(".stage").bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    session = page.context.new_cdp_session(page)

    def touch(kind: str, *places: tuple[float, float]) -> None:
        points = [{"x": px, "y": py, "id": number} for number, (px, py) in enumerate(places)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", (x - 50, y), (x + 50, y))
    touch("touchMove", (x - 100, y), (x + 100, y))
    touch("touchEnd")
    expect(page.locator(".stage")).to_have_attribute("data-zoom", "2.00")
    before = page.locator(".stage canvas").bounding_box()
    touch("touchStart", (x, y))
    touch("touchMove", (x + 30, y + 20))
    touch("touchEnd")
    after = page.locator(".stage canvas").bounding_box()
    assert before
    assert after
    assert (after["x"] - before["x"], after["y"] - before["y"]) == (pytest.approx(30, abs=1), pytest.approx(20, abs=1))

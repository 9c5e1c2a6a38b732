"""The desk with everything on at once: own windows, boxes, a second film, a ruler, flags and German words."""

import hashlib
import json
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.integration.gateway.room.conftest import Room, shot
from tests.integration.gateway.room.desk_tools import SECTIONED, facts, name_findings, study_of
from tests.integration.gateway.room.test_room_deep import png
from tests.integration.gateway.room.test_room_places import GROUNDING, LEFT
from tests.support.ledger_tools import do

World = Any
SIZES = [(360, 640), (1366, 768)]
ROWS, COLUMNS = 500, 400

# The corners of each drawn box in pixels of the picture, by the matrix that the canvas has on the screen.
_ON_THE_PICTURE = """(stage) => {
    const at = new DOMMatrix(getComputedStyle(stage.querySelector("canvas")).transform).inverse();
    return [...stage.querySelectorAll(".boxes polygon")].map((one) => [...one.points].map((point) => {
        const found = new DOMPoint(point.x, point.y).matrixTransform(at);
        return [Math.round(found.x), Math.round(found.y)];
    }));
}"""
_CORNERS = """(stage) => {
    const lines = [...stage.querySelectorAll(".corner")].filter((one) => one.childElementCount)
        .map((one) => one.getBoundingClientRect());
    const all = stage.getBoundingClientRect();
    const out = lines.filter(({ right, bottom, top }) => right > all.right + 1 || bottom > all.bottom + 1
        || top < all.top - 1);
    const over = lines.filter((one, place) => lines.some((other, at) => at > place && one.left < other.right - 1
        && other.left < one.right - 1 && one.top < other.bottom - 1 && other.top < one.bottom - 1));
    return [out.length, over.length];
}"""


def corners(box: tuple[float, float, float, float]) -> list[list[int]]:
    left, top, right, bottom = (round(part * size) for part, size in zip(box, [COLUMNS, ROWS] * 2, strict=True))
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def drawn(page: Page, stage: int) -> list[list[list[int]]]:
    found: list[list[list[int]]] = page.locator(".stage").nth(stage).evaluate(_ON_THE_PICTURE)
    return found


def deepen(world: World, image_id: str) -> None:
    deep = png(np.tile(np.arange(COLUMNS), (ROWS, 1)).astype(np.uint16))
    world.store.put(f"deep/{image_id}.png", deep, "image/png")
    kept = "deep_key = :key, deep_sha256 = :sha, deep_scale = ARRAY[0, 1], deep_window = ARRAY[200, 400]"
    about = {"key": f"deep/{image_id}.png", "sha": hashlib.sha256(deep).hexdigest(), "id": UUID(image_id)}
    do(world.ledger, f"UPDATE images SET {kept} WHERE id = :id", **about)


@pytest.fixture
def everything(newcomer: Room, world: World) -> tuple[Page, str]:
    """The desk, in German, with a study that has all that a study can have; and the id of its summary."""
    before, _, earlier = study_of(world, "A small nodule.", patient_pseudonym="jane")
    study_id, summary_id, images = study_of(world, SECTIONED, views=("PA", "LATERAL"), patient_pseudonym="jane")
    facts(world, before, acquired_on="2024-05-05")
    facts(world, study_id, acquired_on="2026-02-28", spacing_mm=[0.2, 0.2], spacing_at="detector", laterality="R")
    name_findings(world, summary_id)
    for image_id in (*images, *earlier):
        deepen(world, image_id)
    sql = "UPDATE summaries SET grounding = CAST(:places AS jsonb) WHERE id = :id"
    do(world.ledger, sql, places=json.dumps(GROUNDING), id=UUID(summary_id))
    newcomer.enter()
    answer = newcomer.page.context.request.get(f"{newcomer.url}/v1/session")
    language = {"X-CSRF-Token": answer.json()["csrf_token"]}
    wanted = {"language": "de", "theme": None}
    put = newcomer.page.context.request.put(f"{newcomer.url}/v1/me/preferences", data=wanted, headers=language)
    assert put.ok, put.text()
    page = newcomer.page
    page.goto(f"{newcomer.url}/?de#/study/{study_id}")
    expect(page.locator(".chips").first).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", "de")
    return page, summary_id


def test_boxes_lie_on_the_draft_s_film_alone_however_it_is_turned(everything: tuple[Page, str]) -> None:
    page, _ = everything
    page.locator(".places button").first.click()
    page.get_by_label("Fenster").select_option("contrast")
    page.keyboard.press("m")
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        for beside in "vp":
            page.locator(".stage").first.focus()
            page.keyboard.press(beside)
            expect(page.locator(".stage canvas:visible")).to_have_count(2)
            page.keyboard.press("l")
            for key in ("ho", "+", "h", "ooo"):
                for pressed in key:
                    page.keyboard.press(pressed)
                assert drawn(page, 0) == [corners(LEFT)], (width, beside, key)
                assert drawn(page, 1) == []
            assert page.evaluate("document.documentElement.scrollWidth") == width
            shot(page, f"all-{width}-{beside}")
            for stage in (0, 1):
                assert page.locator(".stage").nth(stage).evaluate(_CORNERS) == [0, 0], (width, beside, stage)
            page.keyboard.press(beside)

"""The pictures of the documentation, made of drawn films: they show the pages as they are, and are small."""

import io
import os
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageFilter
from playwright.sync_api import Page, expect

from tests.integration.gateway.room.conftest import Room, study
from tests.integration.gateway.room.desk_tools import facts
from tests.integration.gateway.room.test_room_ops import a_day, enter
from tests.support.ledger_tools import do
from xraygpt_core.phantoms.draw import draw_phantom
from xraygpt_core.states import Lane, Role

World = Any

DOCS = Path(__file__).parents[4] / "docs"
MOST_BYTES = 170_000
COLOURS = 112
# What a study shows: its lane and findings, how old it is, and the day of its film.
ROUND = [
    (Lane.STAT, {"pneumothorax_right"}, "2 minutes", "2026-11-30"),
    (Lane.ROUTINE, {"effusion_left", "cardiomegaly"}, "50 minutes", "2026-11-30"),
    (Lane.ROUTINE, {"nodule"}, "35 minutes", "2026-11-29"),
    (Lane.ROUTINE, set(), "20 minutes", "2026-11-30"),
    (Lane.ROUTINE, {"cardiomegaly", "device"}, "12 minutes", "2026-11-30"),
    (Lane.BACKLOG, {"effusion_right"}, "3 hours", "2021-04-17"),
    (Lane.BACKLOG, set(), "2 hours", "2021-04-18"),
]
# Six hours of work in steps of five minutes: a wave of arrivals that is worked off.
WAVE = """
    INSERT INTO work_rollup (bucket, kind, lane_rank, arrived, done, waited_seconds, waited_max, ran_seconds, ran_max,
                             tokens, waiting_max, oldest_seconds)
    SELECT date_bin('5 minutes', now(), 'epoch') - n * interval '5 minutes', kind, rank,
           CAST(size * (1 + sin(n / 9.0)) AS int), CAST(size * (1 + sin((n - 3) / 9.0)) AS int),
           size * 9, 30, size * 4, 9, 0, size, 15 * (1 + sin((n - 6) / 9.0))
    FROM generate_series(1, 70) n, (VALUES ('ingest', 1, 60), ('ingest', 2, 140), ('summarise', 1, 55),
                                           ('summarise', 2, 120)) k (kind, rank, size)
"""


def film(seed: int, labels: set[str], side: int = 700) -> bytes:
    """A drawn film, without its noise: that would be most of the picture's bytes."""
    out = io.BytesIO()
    drawn = Image.fromarray(draw_phantom(seed, side=side, labels=labels, view="PA").grey8())
    drawn.filter(ImageFilter.GaussianBlur(1.5)).save(out, "PNG")
    return out.getvalue()


def drawn(world: World, seed: int, labels: set[str], lane: Lane = Lane.ROUTINE, **more: Any) -> str:
    """A study of a drawn film, with the report that belongs to it; its id."""
    report = draw_phantom(seed, side=128, labels=labels, view="PA").report
    text = f"Findings: {report.findings}\n\nImpression: {report.impression}"
    size = {"rows": 700, "columns": 700}
    study_id, summary_id = study(world, text, lane, film(seed, labels), flags=("synthetic",), **size, **more)
    do(world.ledger, "UPDATE summaries SET findings = :findings, impression = :impression WHERE id = :id",
       id=summary_id, findings=report.findings, impression=report.impression)  # fmt: skip
    return study_id


def keep(page: Page, name: str, folder: Path) -> None:
    """The page as a small PNG."""
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    picture.save(folder / name, optimize=True)
    assert (folder / name).stat().st_size < MOST_BYTES, name


def of_the_list(room: Room, world: World) -> Page:
    """A morning's list."""
    for seed, (lane, labels, age, day) in enumerate(ROUND, start=20):
        study_id = drawn(world, seed, labels, lane)
        facts(world, study_id, acquired_on=day)
        for table, column, key in (("studies", "received_at", "id"), ("summaries", "summarised_at", "study_id")):
            earlier = f"UPDATE {table} SET {column} = now() - CAST(:age AS interval) WHERE {key} = :id"
            do(world.ledger, earlier, id=study_id, age=age)
    page = room.enter().page
    expect(page.locator(".row .thumb canvas")).to_have_count(len(ROUND))
    return page


def of_the_desk(room: Room, world: World) -> Page:
    """A study beside the same patient's earlier one."""
    prior, now = (drawn(world, 7, one, patient_pseudonym="drawn") for one in (set[str](), {"effusion_left"}))
    for study_id, day in ((prior, "2025-06-02"), (now, "2026-11-30")):
        facts(world, study_id, acquired_on=day, spacing_mm=[0.5, 0.5], spacing_at="patient")
    page = room.open(now).page
    expect(page.get_by_role("button", name="Prior")).to_be_visible()
    page.keyboard.press("p")
    expect(page.get_by_role("img", name="Prior, PA view")).to_be_visible()
    expect(page.get_by_role("button", name="Accept")).to_be_enabled()
    return page


def of_operations(room: Room, world: World) -> Page:
    """An archive that is worked off, and two jobs that died."""
    a_day(world, "the codec ended")
    do(world.ledger, WAVE)
    page = enter(room, world, Role.OPERATOR)
    page.set_viewport_size({"width": 1366, "height": 1100})
    expect(page.locator("#work svg").first).to_be_visible()
    return page


PICTURES = {"reading-room-list.png": of_the_list, "reading-room.png": of_the_desk, "operations.png": of_operations}


@pytest.mark.long
def test_the_pictures_of_the_documentation_can_be_made_and_are_small(
    newcomer: Room, world: World, tmp_path: Path
) -> None:
    newcomer.page.emulate_media(color_scheme="light")
    for name, scene in PICTURES.items():
        newcomer.page.goto("about:blank")
        keep(scene(newcomer, world), name, Path(os.environ.get("XRAYGPT_PICTURES", tmp_path)))


def test_the_documentation_shows_these_pictures_and_no_other() -> None:
    shown = {
        name for page in DOCS.glob("*.md") for name in re.findall(r"!\[[^]]+\]\(([\w-]+\.png)\)", page.read_text())
    }
    assert shown == {path.name for path in DOCS.glob("*.png")} == set(PICTURES)

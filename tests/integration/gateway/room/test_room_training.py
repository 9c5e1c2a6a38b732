"""The page of training runs: who may open it, what each role may do there, and that it says what the ledger says."""

import hashlib
import re
from typing import Any
from uuid import UUID

from playwright.sync_api import expect

from tests.integration.gateway.room.conftest import INSIDE, SCREEN, WIDTHS, Room, shot
from tests.support.api_keys import create_api_key
from tests.support.axe import faults
from tests.support.ledger_tools import take
from xraygpt_core.ledger.training.curves import Point, note_progress
from xraygpt_core.ledger.training.files import keep_file
from xraygpt_core.ledger.training.runs import create_run, run, run_input
from xraygpt_core.states import JobKind, Role

World = Any


def trained(world: World) -> UUID:
    """A run that trains, with a curve, a held-out loss and a report."""
    run_id = create_run(world.ledger, "stage1", {}, None)
    got = take(world.ledger, JobKind.TRAIN, run_id)
    run_input(world.ledger, got)
    note_progress(world.ledger, got, Point(0, 9, None, None, 3.0, 3.5))
    for step in range(1, 7):
        note_progress(world.ledger, got, Point(step, 9, 3.0 / step, 5.0, 2.0 if step == 6 else None, 3.25))
    report = b"<!doctype html><title>Report</title><h1>Report of a run</h1>"
    world.s3.put_object(Bucket=world.settings.derived_bucket, Key="reports/1", Body=report)
    keep_file(world.ledger, got, "report.html", "reports/1", hashlib.sha256(report).hexdigest(), len(report))
    return run_id


def enter(room: Room, world: World, *roles: Role, run_id: UUID | None = None) -> Any:
    """The page, as somebody with these roles."""
    key = create_api_key(world.ledger, "Dr. Trainer", roles=roles)
    answer = room.page.context.request.post(f"{room.url}/v1/session", data={"key": key})
    assert answer.status == 201, answer.text()
    room.page.goto(f"{room.url}/training" + (f"#/run/{run_id}" if run_id else ""))
    return room.page


def test_a_key_opens_the_page_if_its_role_may_see_runs(newcomer: Room, world: World) -> None:
    trained(world)
    page = newcomer.page
    page.goto(f"{newcomer.url}/training")
    page.get_by_label("Your API key").fill(create_api_key(world.ledger, "Dr. R", roles=[Role.READER]))
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("trainer, operator or admin")
    page.get_by_label("Your API key").fill(create_api_key(world.ledger, "Op", roles=[Role.OPERATOR]))
    page.keyboard.press("Enter")
    expect(page.get_by_role("row")).to_have_count(2)
    page.get_by_role("link", name=re.compile("^[0-9a-f]{12}$")).click()
    expect(
        page.get_by_role("img", name=re.compile("Loss by step: loss from 3 to 0.5; held out from 3 to 2"))
    ).to_be_visible()
    for name in ("Pause", "Cancel", "Serve what it made"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)
    expect(page.get_by_role("link", name="Report")).to_have_count(0)


def test_a_trainer_pauses_and_resumes_a_run_with_the_keyboard_and_reads_its_report(
    newcomer: Room, world: World
) -> None:
    run_id = trained(world)
    page = enter(newcomer, world, Role.TRAINER)
    expect(page.get_by_role("row")).to_have_count(2)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=re.compile("stage1"))).to_be_focused()
    shot(page, "training")
    page.get_by_role("button", name="Pause").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("running, writes a checkpoint and pauses").first).to_be_visible()
    assert run(world.ledger, run_id).paused_at is not None
    page.get_by_role("button", name="Resume").press("Enter")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    assert run(world.ledger, run_id).paused_at is None
    with page.expect_popup() as opened:
        page.get_by_role("link", name="Report").click()
    expect(opened.value.get_by_role("heading", name="Report of a run")).to_be_visible()
    opened.value.close()
    page.keyboard.press("Escape")
    expect(page.get_by_role("heading", name=re.compile("stage1"))).to_be_hidden()


def test_the_page_is_open_to_those_who_do_not_see_it_or_use_no_mouse(newcomer: Room, world: World) -> None:
    run_id = trained(world)
    page = enter(newcomer, world, Role.ADMIN, Role.TRAINER, run_id=run_id)
    expect(page.get_by_role("link", name="Report")).to_be_visible()
    page.get_by_text("Figures").click()
    found = []
    for scheme in ("dark", "light"):
        page.get_by_label("Colours").select_option(scheme)
        expect(page.locator("html")).to_have_attribute("data-theme", scheme)
        found += [(scheme, one) for one in faults(page)]
    assert found == [], "\n".join(map(str, found))


def test_a_run_is_cancelled_only_after_a_second_yes(newcomer: Room, world: World) -> None:
    run_id = trained(world)
    page = enter(newcomer, world, Role.ADMIN, run_id=run_id)
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Let it run").click()
    assert run(world.ledger, run_id).state == "running"
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel the run").click()
    expect(page.locator(".standing[data-state='cancelled']")).to_be_visible()
    expect(page.get_by_role("link", name="Report")).to_have_count(0)


def test_without_a_run_the_page_says_how_one_is_started(newcomer: Room, world: World) -> None:
    page = enter(newcomer, world, Role.TRAINER)
    expect(page.get_by_text("No run was started yet")).to_be_visible()


def test_the_table_of_runs_and_an_open_run_fit_every_width(newcomer: Room, world: World) -> None:
    page = enter(newcomer, world, Role.TRAINER, run_id=trained(world))
    expect(page.get_by_role("link", name="Report")).to_be_visible()
    page.get_by_text("Figures").click()
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 740})
        assert page.evaluate(INSIDE), width
    page.set_viewport_size(SCREEN)

"""The page of operators: what it shows, what it does, and that a refresh takes nothing from the hand."""

import re
from typing import Any
from uuid import UUID

import pytest
from playwright.sync_api import Page, expect

from tests.integration.gateway.room.conftest import INSIDE, SCREEN, WIDTHS, Room, shot
from tests.support.api_keys import create_api_key
from tests.support.axe import faults
from tests.support.ledger_tools import do, one
from workers.rollups import Rollups
from xraygpt_core.ledger.operations.presence import Presence, announce
from xraygpt_core.states import JobKind, Role

World = Any
HOSTILE = "<img src=x onerror=alert(1)>\u202e"
ASK_LINK = """host => import(document.querySelector('link[href$="/opswords.js"]').href)
    .then(words => words.flowerLink('http://127.0.0.1:5555/', host))"""
SCOPE = {"made_for": "synthetic", "says": "Made for synthetic films.", "card": None, "validated_on": []}


def a_day(world: World, cause: str = HOSTILE) -> UUID:
    """Work of every sort; a backlog that is being worked on. ``cause``: of the jobs and events that failed."""
    for number in range(2):
        world.summarised(f"in/{number}.dcm")
    bad, _, *dead = world.submit("in/bad", "in/waits", "in/d1", "in/d2")
    world.reject(bad["image_id"])
    for place, image in enumerate(dead):
        world.kill(JobKind.INGEST, image["image_id"], f"CodecCrashed: signal {place} {cause}")
    announce(world.ledger, Presence("gpu-1@host", "gpu", 4, 3, 12.5, "demo", "ab" * 32, SCOPE, None))
    announce(world.ledger, Presence("control-2@host", "control", 0, 0))
    answer = world.client.post("/v1/backlogs", json={"uri": f"s3://{world.settings.bucket}/archive/"})
    backlog_id = UUID(answer.json()["backlog_id"])
    do(world.ledger, "UPDATE backlogs SET state = 'listed'")
    do(world.ledger, "INSERT INTO backlog_rollup (backlog_id, bucket, listed, registered, open, at)"
       " SELECT b.id, t, 100, 100, o, t FROM backlogs b,"
       " (VALUES (clock_timestamp() - interval '30 minutes', 90), (clock_timestamp(), 40)) v (t, o)")  # fmt: skip
    do(world.ledger, "INSERT INTO unreadable_events (door, cause, events) VALUES ('sqs', :cause, 3)", cause=cause)
    do(world.ledger, "INSERT INTO training_runs (id, stage, config, base_bundle, state, step, steps, loss) VALUES"
       " (gen_random_uuid(), 'stage1', '{}', 'demo', 'running', 5, 9, 1.5)")  # fmt: skip
    Rollups(world.ledger)._count(0.0)
    return backlog_id


def enter(room: Room, world: World, *roles: Role) -> Page:
    """The page, as somebody with these roles."""
    key = create_api_key(world.ledger, "Op", roles=roles)
    answer = room.page.context.request.post(f"{room.url}/v1/session", data={"key": key})
    assert answer.status == 201, answer.text()
    room.page.goto(f"{room.url}/ops")
    expect(room.page.locator("#now table")).to_be_visible()
    return room.page


def test_an_operator_sees_the_state_and_hostile_words_as_text(newcomer: Room, world: World) -> None:
    a_day(world)
    page = enter(newcomer, world, Role.OPERATOR)
    expect(page.get_by_role("img", name=re.compile("Done a minute.*Routine: now .* a minute")).first).to_be_visible()
    expect(page.locator("#dead td.says")).to_have_text(re.compile("CodecCrashed: signal … <img src=x"))
    expect(page.locator("#events td.says")).to_have_text(re.compile("<img src=x"))
    expect(page.locator("#backlogs")).to_contain_text("100 an hour. At this rate it takes 24 min more.")
    expect(page.locator("#workers")).to_contain_text("3 of 4")
    expect(page.locator("#workers")).to_contain_text("none that NVML sees")
    expect(page.locator("#runs")).to_contain_text("5 of 9")
    expect(page.locator("#bundles")).to_contain_text("Made for synthetic films.")
    expect(page.locator("#troubles")).to_contain_text("2 jobs used up their attempts")
    expect(page.locator("#troubles")).to_contain_text("worker of the kind ingest")
    expect(page.get_by_role("link", name="Flower")).to_have_count(0)
    for name in ("Serve", "Roll back"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)
    assert page.locator("#ops img, .body img").count() == 0
    shot(page, "ops")


def test_a_kind_of_worker_that_is_missing_is_named_although_no_job_waits_for_it(newcomer: Room, world: World) -> None:
    world.submit("in/waits")
    announce(world.ledger, Presence("control-2@host", "control", 0, 0))
    troubles = enter(newcomer, world, Role.OPERATOR).locator("#troubles")
    expect(troubles).to_contain_text("Jobs wait for a worker of the kind ingest, and none is alive.")
    expect(troubles).to_contain_text("No worker of the kind gpu is alive: new work would wait.")
    expect(troubles).not_to_contain_text("No worker of the kind ingest")


@pytest.mark.parametrize("more_settings", [{"flower_url": "https://flower.hospital.example/jobs/"}])
def test_the_link_to_flower_leads_where_the_setting_says(newcomer: Room, world: World) -> None:
    world.submit("in/waits")
    link = enter(newcomer, world, Role.OPERATOR).get_by_role("link", name="Flower")
    expect(link).to_have_attribute("href", "https://flower.hospital.example/jobs/")


@pytest.mark.parametrize("more_settings", [{"flower_url": "http://127.0.0.1:5555"}])
def test_a_loopback_address_of_flower_is_linked_for_browsers_of_its_machine_alone(newcomer: Room, world: World) -> None:
    world.submit("in/waits")
    page = enter(newcomer, world, Role.OPERATOR)
    expect(page.get_by_role("link", name="Flower")).to_have_attribute("href", "http://127.0.0.1:5555/")
    near, far = (page.evaluate(ASK_LINK, host) for host in ("localhost", "xray.hospital.example"))
    assert (near, far) == ("http://127.0.0.1:5555/", None)


def test_a_backlog_is_paused_at_once_and_cancelled_only_after_a_second_yes(newcomer: Room, world: World) -> None:
    backlog_id = a_day(world)
    page = enter(newcomer, world, Role.OPERATOR)
    page.get_by_role("button", name="Pause backlog").press("Enter")
    expect(page.get_by_role("button", name="Resume backlog")).to_be_visible()
    state = "SELECT state FROM backlogs WHERE id = :id"
    assert one(world.ledger, state, id=backlog_id) == "paused"
    page.get_by_role("button", name="Cancel backlog").click()
    page.get_by_role("button", name="Let it go on").click()
    assert one(world.ledger, state, id=backlog_id) == "paused"
    page.get_by_role("button", name="Cancel backlog").click()
    page.get_by_role("button", name="Cancel it").click()
    expect(page.locator("#backlogs .standing[data-state='cancelled']")).to_be_visible()
    acts = "SELECT count(*) FROM audit WHERE actor = 'Op' AND what LIKE 'backlog %'"
    assert one(world.ledger, acts) == 2


def test_dead_jobs_of_a_cause_are_tried_again_together(newcomer: Room, world: World) -> None:
    a_day(world)
    page = enter(newcomer, world, Role.OPERATOR)
    page.get_by_role("button", name="All 2").click()
    expect(page.get_by_text("2 jobs are queued again.")).to_be_visible()
    expect(page.locator("#dead")).to_contain_text("No job is dead.")
    assert one(world.ledger, "SELECT count(*) FROM jobs WHERE state = 'dead'") == 0


def test_a_refresh_takes_neither_focus_nor_figures_that_are_folded_out(newcomer: Room, world: World) -> None:
    a_day(world)
    page = enter(newcomer, world, Role.OPERATOR)
    page.locator("#work details").first.locator("summary").click()
    expect(page.locator("#work details").first.locator("table")).to_be_visible()
    cancel = page.get_by_role("button", name="Cancel backlog")
    cancel.focus()
    cancel.evaluate("(button) => (button.mine = true)")
    do(world.ledger, "UPDATE workers SET busy = 1 WHERE kind = 'gpu'")
    announce(world.ledger, Presence("gpu-0@host", "gpu", 4, 4))
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("#workers")).to_contain_text("1 of 4")
    expect(page.locator("#workers")).to_contain_text("gpu-0@host")
    expect(cancel).to_be_focused()
    assert cancel.evaluate("(button) => button.mine")
    expect(page.locator("#work details").first.locator("table")).to_be_visible()
    page.get_by_role("button", name="24 hours").press("Enter")
    expect(page.get_by_role("button", name="24 hours")).to_be_focused()
    expect(page.get_by_role("button", name="24 hours")).to_have_attribute("aria-pressed", "true")


def test_an_admin_serves_another_bundle_and_rolls_back_after_a_second_yes(newcomer: Room, world: World) -> None:
    a_day(world)
    do(world.ledger, "UPDATE installation SET served_bundle = 'new', previous_bundle = 'demo'")
    page = enter(newcomer, world, Role.ADMIN)
    expect(page.get_by_role("button", name="Pause backlog")).to_have_count(0)
    page.get_by_role("button", name="Roll back to demo").click()
    page.get_by_role("button", name="Keep the one there is").click()
    assert one(world.ledger, "SELECT served_bundle FROM installation") == "new"
    page.get_by_role("button", name="Roll back to demo").click()
    page.get_by_role("button", name="Roll back", exact=True).click()
    expect(page.locator("#bundles")).to_contain_text("Served: demo.")
    assert one(world.ledger, "SELECT count(*) FROM audit WHERE what = 'bundle rolled back'") == 1


def test_the_page_is_open_to_those_who_do_not_see_it_or_use_no_mouse(newcomer: Room, world: World) -> None:
    a_day(world)
    do(world.ledger, "UPDATE installation SET previous_bundle = 'old'")
    page = enter(newcomer, world, Role.OPERATOR, Role.ADMIN)
    page.locator("#work details summary").first.click()
    found = []
    for scheme in ("dark", "light"):
        page.get_by_label("Colours").select_option(scheme)
        expect(page.locator("html")).to_have_attribute("data-theme", scheme)
        found += [(scheme, "page", one) for one in faults(page)]
        page.get_by_role("button", name="Cancel backlog").click()
        expect(page.get_by_role("dialog")).to_be_visible()
        found += [(scheme, "dialog", one) for one in faults(page)]
        page.keyboard.press("Escape")
    assert found == [], "\n".join(map(str, found))


def test_no_window_is_too_narrow(newcomer: Room, world: World) -> None:
    a_day(world)
    page = enter(newcomer, world, Role.OPERATOR, Role.ADMIN)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 740})
        assert page.evaluate(INSIDE), width
        shot(page, f"ops-{width}")
    page.set_viewport_size(SCREEN)


def test_others_are_not_let_in(newcomer: Room, world: World) -> None:
    page = newcomer.page
    for role in (Role.READER, Role.TRAINER):
        page.goto(f"{newcomer.url}/ops")
        page.get_by_label("Your API key").fill(create_api_key(world.ledger, f"the {role}", roles=[role]))
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("operator or admin")

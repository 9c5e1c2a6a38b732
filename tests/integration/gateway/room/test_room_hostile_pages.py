"""The same texts as names of runs, bundles, workers and files, as causes, and as what the gateway says went wrong."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.integration.gateway.room.conftest import Room, study
from tests.integration.gateway.room.hostile_tools import NAMES, NOTHING, looked, missing
from tests.integration.gateway.room.test_room_ops import a_day
from tests.integration.gateway.room.test_room_ops import enter as enter_ops
from tests.integration.gateway.room.test_room_training import enter, trained
from tests.support.hostile_strings import STRINGS
from tests.support.ledger_tools import do
from xraygpt_core.ledger.operations.presence import Presence, announce
from xraygpt_core.states import JobKind, Role

World = Any

ALL = "\n".join(STRINGS)
SHORT = [text for text in STRINGS if len(text) < 300]
FILES = [*NAMES, "../../v1/ops", "a?b#c", "javascript:window.hacked=1", "//example.invalid", "%2e%2e%2f"]


def refuse(page: Page, path: str) -> None:
    """The gateway answers this with every text as the reason."""
    body = json.dumps({"detail": ALL})
    page.route(path, lambda route: route.fulfill(status=503, content_type="application/problem+json", body=body))


@pytest.mark.parametrize("more_settings", [{"flower_url": "https://flower.hospital.example/"}])
def test_names_causes_and_errors_are_texts_on_the_page_of_operators(newcomer: Room, world: World) -> None:
    a_day(world)
    (dead,) = world.submit("in/dead")
    world.kill(JobKind.INGEST, dead["image_id"], ALL)
    do(world.ledger, "UPDATE backlogs SET problem = :all", all=ALL)
    do(world.ledger, "UPDATE training_runs SET stage = :name, state = 'running'", name=NAMES[0])
    do(world.ledger, "UPDATE installation SET previous_bundle = :name", name=NAMES[1])
    for number in range(40):
        cause = "\n".join(SHORT[number::40])
        do(world.ledger, "INSERT INTO unreadable_events (door, cause, events) VALUES ('sns', :cause, 1)", cause=cause)
    figure = {"name": NAMES[0], "metric": NAMES[1], "value": 1, "n": 2}
    scope = {"made_for": "synthetic", "says": ALL, "card": None, "validated_on": [figure]}
    gpu = {"name": NAMES[2], "utilisation": 0.5, "memory_used": 1, "memory_total": 2}
    announce(world.ledger, Presence(NAMES[0], "gpu", 4, 3, 12.5, NAMES[2], "ab" * 32, scope, [gpu]))
    page = enter_ops(newcomer, world, Role.OPERATOR, Role.ADMIN)
    for place in ("#backlogs .problem", "#troubles", "#bundles"):
        assert missing(page, STRINGS, place) == [], place
    assert missing(page, SHORT, "#events") == []
    assert missing(page, [], "#dead") == []
    assert missing(page, NAMES[::2], "#workers") == []
    assert missing(page, NAMES[:1], "#runs") == []
    flower = page.get_by_role("link", name="Flower").get_attribute("href")
    assert looked(page) == NOTHING | {"addresses": [flower]}
    refuse(page, "**/v1/ops?*")
    refuse(page, "**/pause")
    page.get_by_role("button", name="Pause backlog").click()
    expect(page.locator(".toast.bad")).to_be_visible()
    assert missing(page, STRINGS, ".toast.bad") == []
    expect(page.locator("main > [role=status]")).to_contain_text("Normal study")
    assert missing(page, STRINGS, "main > [role=status]") == []
    assert looked(page) == NOTHING | {"addresses": [flower]}


def test_names_of_runs_and_files_and_why_a_run_failed_are_texts_and_no_address(newcomer: Room, world: World) -> None:
    run_id = trained(world)
    said = {"failure_says": ALL, "problem": ALL, "stage": NAMES[0], "base_bundle": NAMES[1], "bundle": NAMES[2]}
    columns = ", ".join(f"{name} = :{name}" for name in said)
    do(world.ledger, f"UPDATE training_runs SET state = 'dead', {columns}", **said)
    for name in FILES:
        do(world.ledger, "INSERT INTO training_files VALUES (:id, :name, 'reports/1', 'ab', 1)", id=run_id, name=name)
    page = enter(newcomer, world, Role.TRAINER, run_id=run_id)
    expect(page.locator(".run .failure")).to_contain_text("Normal study")
    for place in (".run .failure", ".run .facts", ".runs .says"):
        assert missing(page, STRINGS, place) == [], place
    assert missing(page, NAMES[:1], ".run h2") == []
    assert missing(page, NAMES[1:], ".run .facts") == []
    links = page.locator(".run a.button[download]")
    expect(links).to_have_count(len(FILES))
    assert missing(page, FILES, ".run a.button") == []
    folder = f"/v1/training-runs/{run_id}/files/"
    addresses = sorted(str(link.get_attribute("href")) for link in links.all())
    assert addresses == sorted(folder + quote(name, safe="!'()*") for name in FILES)
    assert looked(page) == NOTHING


def test_what_the_gateway_says_went_wrong_is_text_at_the_door_in_the_list_and_on_the_desk(
    newcomer: Room, world: World
) -> None:
    study_id, _ = study(world)
    page = newcomer.page
    refuse(page, "**/v1/session")
    newcomer.knock(newcomer.key)
    expect(page.locator(".problem")).to_contain_text("Normal study")
    assert missing(page, STRINGS, ".problem") == []
    page.unroute("**/v1/session")
    newcomer.enter()
    expect(page.locator(".rows .row")).to_have_count(1)
    for path in ("**/v1/studies/search", "**/v1/studies/assign", f"**/v1/studies/{study_id}"):
        refuse(page, path)
    page.get_by_label("Choose all rows shown").check()
    page.get_by_role("button", name="Assign to me").click()
    expect(page.locator(".toast.bad")).to_be_visible()
    assert missing(page, STRINGS, ".toast.bad") == []
    page.keyboard.press("2")
    expect(page.locator(".fresh")).to_contain_text("Normal study")
    assert missing(page, STRINGS, ".fresh") == []
    page.evaluate("hash => { location.hash = hash }", f"#/study/{study_id}")
    expect(page.locator(".desk")).to_contain_text("Normal study")
    assert missing(page, STRINGS, ".desk") == []
    assert looked(page) == NOTHING

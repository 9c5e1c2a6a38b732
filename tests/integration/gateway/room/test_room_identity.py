"""A reader comes with a number and sees it while the tab lives; people see who reads, as what, and who looked."""

from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
from playwright.sync_api import expect

from api_gateway.app import create_app
from tests.integration.gateway.room.conftest import Room, seat, shot, study
from tests.support.api_keys import create_api_key
from xraygpt_core.ledger.studies.end_image import reject_image
from xraygpt_core.ledger.studies.header_names import RejectedHeader
from xraygpt_core.sealing import Numbers, Sealer
from xraygpt_core.states import JobKind, KeyKind, ReasonCode, Role

World = Any
SEALER = Sealer(bytes(range(32)))
NUMBER = "ACC 1003/7"


def known(world: World, number: str = NUMBER, **more: Any) -> tuple[str, str]:
    return study(world, accession_pseudonym=world.pseudonymiser.accession(number), **more)


def signed_in(room: Room, key: str | None = None) -> None:
    answer = room.page.context.request.post(f"{room.url}/v1/session", data={"key": key or room.key})
    assert answer.status == 201


def expect_desk(room: Room, study_id: str, number: str = NUMBER) -> None:
    expect(room.page).to_have_url(f"{room.url}/#/study/{study_id}")
    expect(room.page.locator(".identity .searched")).to_have_text(f"Accession {number}, as you searched")


@pytest.mark.parametrize("link", ["/?accession={}&patientname=DOE", "/#/find?accession={}"])
def test_a_link_with_a_number_opens_its_study_and_the_address_loses_it_at_once(
    newcomer: Room, world: World, link: str
) -> None:
    study_id, _ = known(world)
    page = newcomer.page
    signed_in(newcomer)
    page.goto(newcomer.url + link.format(quote(NUMBER, safe="")))
    expect_desk(newcomer, study_id)
    asked = [url for url in newcomer.requests if "1003" in url]
    assert asked == ([page.evaluate("performance.getEntriesByType('navigation')[0].name")] if "/?" in link else [])
    assert "1003" not in page.evaluate("JSON.stringify([history.state, document.title, location.href])")
    assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
    page.keyboard.press("Escape")
    expect(page.locator(".row .searched")).to_have_text(f"Accession {NUMBER}")
    shot(page, "identity-row")
    page.reload()
    expect(page.locator(".rows .row")).to_have_count(1)
    expect(page.locator(".row .searched")).to_have_text("")


def test_a_number_waits_for_the_sign_in_and_leaves_with_its_reader(newcomer: Room, world: World) -> None:
    study_id, _ = known(world)
    page = newcomer.page
    page.goto(f"{newcomer.url}/?accession={quote(NUMBER)}")
    expect(page.get_by_label("Your API key")).to_be_visible()
    assert page.url == f"{newcomer.url}/"
    page.get_by_label("Your API key").fill(newcomer.key)
    page.keyboard.press("Enter")
    expect_desk(newcomer, study_id)
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Your API key").fill(create_api_key(world.ledger, "Dr. Next"))
    page.keyboard.press("Enter")
    expect(page.locator(".who")).to_have_text("Dr. Next")
    page.goto(f"{newcomer.url}/#/study/{study_id}")
    expect(page.locator(".study-head h1")).to_be_visible()
    assert "1003" not in page.content()


def test_a_form_of_another_page_opens_the_study_and_no_address_ever_has_the_number(
    newcomer: Room, world: World
) -> None:
    study_id, _ = known(world)
    page = newcomer.page
    signed_in(newcomer)
    ris = "http://localhost:" + newcomer.url.rpartition(":")[2]  # another site than 127.0.0.1, to a browser
    form = f"""<form method="post" action="{newcomer.url}/open"><input name="accession" value="{NUMBER}"></form>"""
    page.route(f"{ris}/ris", lambda route: route.fulfill(body=form, content_type="text/html"))
    page.goto(f"{ris}/ris")
    page.evaluate("document.forms[0].submit()")
    expect_desk(newcomer, study_id)
    newcomer.requests.remove(f"{ris}/ris")
    assert not [url for url in newcomer.requests if "1003" in url]
    assert page.locator("meta[name=number]").count() == 0
    page.reload()
    expect(page.locator(".study-head h1")).to_be_visible()
    assert "1003" not in page.content()


def test_a_link_reaches_a_page_that_is_open_already(newcomer: Room, world: World) -> None:
    study_id, _ = known(world)
    page = newcomer.enter().page
    page.evaluate("number => { location.hash = `#/find?accession=${encodeURIComponent(number)}` }", NUMBER)
    expect_desk(newcomer, study_id)
    page.evaluate("location.hash = '#/find'")
    expect(page.get_by_label("The number")).to_be_focused()


def test_find_shows_the_number_and_why_a_rejected_film_has_no_draft(newcomer: Room, world: World) -> None:
    first, _ = known(world)
    (image,) = world.submit("in/knee.dcm")
    header = RejectedHeader(names=(world.pseudonymiser.accession(NUMBER),))
    claim = world.claim(JobKind.INGEST, image["image_id"])
    reject_image(world.ledger, claim, ReasonCode.WRONG_BODY_PART, "the header names another part", header)
    page = newcomer.enter().page
    page.keyboard.press("/")
    page.keyboard.type(NUMBER)
    page.keyboard.press("Enter")
    found = page.locator(".found a")
    expect(found).to_have_count(2)
    expect(found.nth(0)).to_contain_text("Draft written")
    expect(found.nth(1)).to_contain_text("Not summarised: It is a radiograph of another part of the body.")
    found.nth(1).click()
    expect(page.locator(".standing-card")).to_contain_text("another part of the body")
    expect_desk(newcomer, image["study_id"])
    assert first != image["study_id"]


@pytest.fixture
def keeping(newcomer: Room, world: World) -> Room:
    """The room of an installation that keeps numbers."""
    newcomer.house.app = create_app(world.ledger, world.store, world.pseudonymiser, sealer=SEALER)
    return newcomer


def test_the_numbers_that_are_kept_are_shown_when_asked_for_and_not_before(keeping: Room, world: World) -> None:
    study_id, _ = study(world)
    with world.ledger.work() as work:
        (image,) = work.rows("SELECT id FROM images")
    box = SEALER.seal(image["id"], Numbers(accession="<b>A</b>", patient="P-77", patient_issuer="CLINIC"))
    do = "INSERT INTO sealed_numbers VALUES (:id, :box, :key)"
    with world.ledger.work() as work:
        work.run(do, {"id": image["id"], "box": box.box, "key": box.key_fingerprint})
    page = keeping.open(study_id).page
    shown = page.locator(".identity .opened")
    expect(shown).to_have_text("")
    opened = "SELECT count(*) AS times FROM audit WHERE what = 'numbers opened'"
    with world.ledger.work() as work:
        assert work.row(opened)["times"] == 0
    page.get_by_role("button", name="Show numbers").click()
    expect(shown).to_have_text("Accession <b>A</b> · Patient P-77 (CLINIC)")
    shot(page, "identity-desk")
    with world.ledger.work() as work:
        assert work.row(opened)["times"] == 1


def test_where_no_numbers_are_kept_there_is_no_button_for_them(newcomer: Room, world: World) -> None:
    study_id, _ = study(world)
    page = newcomer.open(study_id).page
    expect(page.get_by_role("button", name="Correct")).to_be_visible()
    assert page.get_by_role("button", name="Show numbers").count() == 0
    assert page.locator(".identity").is_visible() is False


def test_the_top_bar_says_who_reads_and_as_what(newcomer: Room, world: World) -> None:
    newcomer.key = create_api_key(world.ledger, "Dr. Lead", roles=[Role.LEAD, Role.ANALYST])
    page = newcomer.enter().page
    page.locator(".who").click()
    menu = page.locator(".whoami .menu")
    expect(menu.locator(".roles")).to_have_text("Lead radiologist, Analyst")
    expect(menu).to_contain_text("take back the signatures of others, with a reason")
    assert "purge" not in menu.inner_text()
    shot(page, "who")
    page.keyboard.press("Escape")
    expect(menu).to_be_hidden()


def test_who_reads_no_films_reads_what_the_key_is_for(newcomer: Room, world: World) -> None:
    page = newcomer.page
    for role, said in (Role.ANALYST, "xraygpt query"), (Role.OPERATOR, "xraygpt submit"), (Role.ADMIN, "xraygpt keys"):
        newcomer.knock(create_api_key(world.ledger, f"the {role}", roles=[role]))
        expect(page.get_by_role("heading")).to_have_text("This key does not read films")
        expect(page.locator(".purpose")).to_contain_text(said)
        expect(page.locator(".purpose")).to_contain_text(f"the {role}")
        assert page.locator(".rows, .top").count() == 0
        shot(page, f"purpose-{role}")
        page.keyboard.press("1")
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("Your API key")).to_be_visible()
    assert not [url for url in newcomer.requests if "/v1/studies" in url]
    assert page.context.cookies() == []


def test_a_lead_sees_who_looked_and_a_reader_does_not(newcomer: Room, world: World) -> None:
    study_id, _ = study(world)
    world.as_role(Role.READER).get(f"/v1/studies/{study_id}/preview.png")
    newcomer.key = create_api_key(world.ledger, "Dr. Junior", roles=[Role.READER])
    page = newcomer.open(study_id).page
    expect(page.get_by_text("Where this text comes from")).to_be_visible()
    assert page.get_by_text("Who looked at this study").count() == 0
    seat(newcomer, study_id, create_api_key(world.ledger, "Dr. Lead", roles=[Role.LEAD]))
    page.get_by_text("Who looked at this study").click()
    rows = page.locator(".readers li")
    expect(rows.filter(has_text="Looked at a film").filter(has_text="reader ")).to_have_count(1)
    expect(rows.filter(has_text="Looked at the study").filter(has_text="Dr. Junior")).to_have_count(1)
    shot(page, "readers")
    with world.ledger.work() as work:
        (row,) = work.rows("SELECT actor, study_id FROM audit WHERE what = 'readers listed'")
    assert (row["actor"], row["study_id"]) == ("Dr. Lead", UUID(study_id))


def test_a_lead_withdraws_a_signature_with_a_reason_and_who_signed_sees_it(newcomer: Room, world: World) -> None:
    study_id, _ = study(world)
    junior = create_api_key(world.ledger, "Dr. Junior", roles=[Role.READER])
    newcomer.key = junior
    page = newcomer.open(study_id).page
    newcomer.press("a")
    expect(page.locator(".signature")).to_contain_text("Accepted by Dr. Junior")
    seat(newcomer, study_id, create_api_key(world.ledger, "Dr. Lead", roles=[Role.LEAD]))
    page.get_by_role("button", name="Take back").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Take it back").click()
    expect(dialog).to_contain_text("Say why")
    dialog.get_by_label("Why").fill("Side marker is <b>wrong</b>")
    dialog.get_by_role("button", name="Take it back").click()
    expect(page.locator(".said li")).to_have_count(2)
    assert page.locator(".taken-from").count() == 0
    page.goto("about:blank")
    newcomer.key = junior
    newcomer.enter("#/all?mine=1")
    expect(page.locator(".rows .withdrawn")).to_have_text("your signature was taken back by Dr. Lead")
    expect(page.get_by_label("Mine")).to_be_checked()
    page.locator(".rows .row").click()
    expect(page.locator(".taken-from")).to_contain_text("Your signature was taken back. Dr. Lead")
    expect(page.locator(".taken-from .reason")).to_have_text("Side marker is <b>wrong</b>")
    expect(page.locator(".said")).to_contain_text("Accepted by Dr. Junior")
    expect(page.locator(".said")).to_contain_text("Taken back by Dr. Lead")
    shot(page, "taken-from")
    newcomer.press("a")
    expect(page.locator(".signature")).to_contain_text("Accepted by Dr. Junior")
    expect(page.locator(".taken-from")).to_have_count(0)


def test_a_reader_is_offered_no_take_back_of_anothers_signature(newcomer: Room, world: World) -> None:
    study_id, summary_id = study(world)
    body = {"state": "accepted", "reviewer": "Dr. Other"}
    program = world.as_role(Role.SERVICE, kind=KeyKind.PROGRAM)
    assert program.post(f"/v1/summaries/{summary_id}/review", json=body).status_code == 200
    newcomer.key = create_api_key(world.ledger, "Dr. Junior", roles=[Role.READER])
    page = newcomer.open(study_id).page
    expect(page.get_by_role("button", name="Correct")).to_be_visible()
    assert page.get_by_role("button", name="Take back").count() == 0
    seat(newcomer, study_id, create_api_key(world.ledger, "Dr. Lead", roles=[Role.LEAD]))
    expect(page.get_by_role("button", name="Take back")).to_be_visible()


def test_the_top_bar_fits_every_width(newcomer: Room, world: World) -> None:
    page = newcomer.enter().page
    page.locator(".who").click()
    for width in (360, 390, 683, 768, 1024, 1366):
        page.set_viewport_size({"width": width, "height": 700})
        for name in (".top", ".whoami .menu", ".find", ".top nav"):
            box = page.locator(name).bounding_box()
            assert box is not None
            assert -0.5 <= box["x"] <= box["x"] + box["width"] <= width + 0.5, (width, name, box)
        shot(page, f"top-{width}")

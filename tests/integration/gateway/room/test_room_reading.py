"""A radiologist's day in the reading room: what is read first, what a key does, and what the database then holds."""

from typing import Any

from playwright.sync_api import expect

from tests.integration.gateway.room.conftest import Room, shot, study
from xraygpt_core.states import JobKind, Lane, ReasonCode

World = Any


def stored(world: World, summary_id: str) -> tuple[str, str, str]:
    """State, reviewer and text of a summary, from the gateway."""
    found = world.client.get(f"/v1/summaries/{summary_id}").json()
    return found["review_state"], found["reviewed_by"], found["summary"]


def wait_for_list(room: Room, *study_ids: str) -> None:
    expect(room.page.locator(".rows .row")).to_have_count(len(study_ids))
    assert room.rows() == list(study_ids)


def test_urgent_drafts_stand_first_and_the_keyboard_opens_them(newcomer: Room, world: World) -> None:
    late, _ = study(world, "Normal.", Lane.BACKLOG)
    usual, _ = study(world, "Left effusion.", flags=("burned_in_unchecked",))
    urgent, _ = study(world, "Large pneumothorax.", Lane.STAT)
    page = newcomer.enter().page
    wait_for_list(newcomer, urgent, usual, late)
    expect(page).to_have_title("1 stat · Reading room")
    expect(page.locator(".rows .row").nth(1)).to_contain_text("Text in the picture unchecked")
    for key in ("j", "j", "k", "j", "Enter"):
        page.keyboard.press(key)
    expect(page.locator(".report")).to_contain_text("Left effusion.")
    assert page.url.endswith(f"#/study/{usual}")
    shot(page, "desk")
    page.keyboard.press("Escape")
    expect(page.locator(f'.row[data-study="{usual}"]')).to_be_focused()


def test_an_accepted_draft_stands_in_the_database_and_the_next_one_comes(newcomer: Room, world: World) -> None:
    first, summary_id = study(world, "First film.")
    second, _ = study(world, "Second film.")
    page = looking_once(newcomer).enter().page
    wait_for_list(newcomer, first, second)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator(".report")).to_contain_text("First film.")
    newcomer.press("a")
    expect(page.locator(".report")).to_contain_text("Second film.")
    assert stored(world, summary_id)[:2] == ("accepted", "Dr. Reader")
    newcomer.press("a")
    expect(page.locator("#toasts")).to_contain_text("Nothing else waits here.")
    expect(page.locator(".worklist .state")).to_have_text("Nothing waits for a review.")


def test_a_correction_takes_the_place_of_the_text_and_the_models_own_stays_in_reach(
    newcomer: Room, world: World
) -> None:
    study_id, summary_id = study(world, "Normal chest.")
    page = newcomer.open(study_id).page
    page.keyboard.press("e")
    page.get_by_label("Corrected text").fill("Small left effusion.")
    newcomer.press("Control+Enter", "Save correction")
    expect(page.locator(".signature")).to_contain_text("Corrected by Dr. Reader")
    expect(page.locator(".report > .text")).to_have_text("Small left effusion.")
    assert stored(world, summary_id) == ("edited", "Dr. Reader", "Small left effusion.")
    expect(page.get_by_label("Review history")).to_be_visible()
    page.get_by_text("What the model wrote").click()
    expect(page.locator(".report .folded .text")).to_have_text("Normal chest.")


def looking_once(room: Room) -> Room:
    """The room fetches nothing of its own accord: what changed meanwhile, the reader learns by signing.

    What it says stays, too, until it was looked for.
    """
    room.page.add_init_script(
        "window.setTimeout = (later => (act, ms) => (ms >= 2000 ? 0 : later(act, ms)))(window.setTimeout)"
    )
    return room


def test_who_was_slower_is_told_and_overwrites_nothing(newcomer: Room, world: World) -> None:
    study_id, summary_id = study(world)
    page = looking_once(newcomer).open(study_id).page
    review = {"state": "edited", "text": "Pneumothorax on the right.", "reviewer": "Dr. Faster"}
    world.client.post(f"/v1/summaries/{summary_id}/review", json=review)
    newcomer.press("a")
    expect(page.locator(".banner")).to_contain_text("Dr. Faster corrected it")
    expect(page.locator(".banner")).to_contain_text("Nothing of yours was saved.")
    expect(page.locator(".report")).to_contain_text("Pneumothorax on the right.")
    assert stored(world, summary_id)[:2] == ("edited", "Dr. Faster")
    shot(page, "conflict")
    newcomer.press("a")
    expect(page.locator(".signature")).to_contain_text("Accepted by Dr. Reader")
    assert stored(world, summary_id) == ("accepted", "Dr. Reader", "Pneumothorax on the right.")


def test_a_correction_is_kept_when_somebody_else_signs_meanwhile(newcomer: Room, world: World) -> None:
    study_id, summary_id = study(world)
    page = looking_once(newcomer).open(study_id).page
    page.keyboard.press("e")
    page.get_by_label("Corrected text").fill("My own words.")
    world.client.post(f"/v1/summaries/{summary_id}/review", json={"state": "accepted", "reviewer": "Dr. Faster"})
    page.get_by_role("button", name="Save correction").click()
    expect(page.locator(".banner")).to_contain_text("Dr. Faster accepted it")
    expect(page.get_by_label("Corrected text")).to_have_value("My own words.")
    assert stored(world, summary_id)[:2] == ("accepted", "Dr. Faster")
    page.get_by_role("button", name="Save correction").click()
    page.get_by_role("dialog").get_by_label("Why").fill("Mine are right.")
    page.get_by_role("button", name="Change it").click()
    expect(page.locator(".signature")).to_contain_text("Corrected by Dr. Reader")
    assert stored(world, summary_id) == ("edited", "Dr. Reader", "My own words.")


def test_a_newer_draft_is_not_signed_unseen_and_the_correction_of_the_older_one_is_not_lost(
    newcomer: Room, world: World
) -> None:
    study_id, summary_id = study(world, "The older draft.")
    page = newcomer.open(study_id).page
    page.keyboard.press("e")
    page.get_by_label("Corrected text").fill("My own words.")
    newer = world.summarise_again(study_id, "The newer draft.")
    newcomer.press("Control+Enter", "Save correction")
    expect(page.locator(".banner")).to_contain_text("A newer draft took the place of the one you read")
    expect(page.locator(".report")).to_contain_text("The newer draft.")
    expect(page.get_by_label("Your unsaved correction")).to_contain_text("My own words.")
    assert [stored(world, one)[0] for one in (summary_id, newer)] == ["draft", "draft"]


def test_a_newer_draft_stands_beside_what_was_signed_before(newcomer: Room, world: World) -> None:
    study_id, summary_id = study(world, "The older draft.")
    review = {"state": "edited", "text": "An apical nodule.", "reviewer": "Dr. Before"}
    world.client.post(f"/v1/summaries/{summary_id}/review", json=review)
    world.summarise_again(study_id, "The newer draft.")
    page = newcomer.open(study_id).page
    expect(page.locator(".report")).to_contain_text("The newer draft.")
    expect(page.locator(".cautions")).to_contain_text("Newer than a signed version")
    earlier = page.get_by_label("Earlier signed version")
    expect(earlier).to_contain_text("Corrected by Dr. Before")
    expect(earlier).to_contain_text("An apical nodule.")


def test_an_unsaved_correction_survives_a_look_at_another_study_and_holds_the_tab_back(
    newcomer: Room, world: World
) -> None:
    first, _ = study(world, "First film.")
    second, _ = study(world, "Second film.")
    page = newcomer.enter().page
    wait_for_list(newcomer, first, second)
    page.locator(".rows .row").first.click()
    expect(page.locator(".report")).to_contain_text("First film.")
    page.keyboard.press("e")
    page.get_by_label("Corrected text").fill("Half a sen")
    page.get_by_role("button", name="Next study").click()
    expect(page.locator(".report")).to_contain_text("Second film.")
    page.go_back()
    expect(page.get_by_label("Corrected text")).to_have_value("Half a sen")
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    page.close(run_before_unload=True)
    page.wait_for_event("dialog") if not asked else None
    assert asked == ["beforeunload"]


def test_a_correction_is_discarded_only_when_that_is_confirmed(newcomer: Room, world: World) -> None:
    study_id, summary_id = study(world)
    page = newcomer.open(study_id).page
    page.keyboard.press("e")
    page.get_by_label("Corrected text").fill("Half a sen")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Keep writing").click()
    expect(page.get_by_label("Corrected text")).to_have_value("Half a sen")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Discard it").click()
    expect(page.get_by_label("Corrected text")).to_have_count(0)
    assert stored(world, summary_id)[0] == "draft"


def test_what_comes_in_takes_neither_place_nor_focus_from_the_reader(newcomer: Room, world: World) -> None:
    first, _ = study(world)
    page = newcomer.enter().page
    wait_for_list(newcomer, first)
    page.keyboard.press("j")
    urgent, _ = study(world, "Large pneumothorax.", Lane.STAT)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    wait_for_list(newcomer, urgent, first)
    expect(page.locator(f'.row[data-study="{first}"]')).to_be_focused()


def test_a_study_without_a_draft_says_why_in_plain_words(newcomer: Room, world: World) -> None:
    (blank, dead, waiting) = world.submit("in/blank.dcm", "in/dead.dcm", "in/waiting.dcm")
    world.reject(blank["image_id"], ReasonCode.BLANK)
    world.kill(JobKind.INGEST, dead["image_id"])
    page = newcomer.enter("#/unread").page
    expect(page.locator(".rows .row")).to_have_count(2)
    expect(page.locator(f'.row[data-study="{dead["study_id"]}"]')).to_contain_text("Every attempt failed.")
    page.locator(f'.row[data-study="{blank["study_id"]}"]').click()
    expect(page.locator(".standing-card")).to_contain_text("There is no picture: all pixels are alike")
    expect(page.locator(".steps:not(.readers)")).to_contain_text("Registered")
    expect(page.get_by_role("textbox", name="Question")).to_be_disabled()
    expect(page.get_by_role("button", name="Accept")).to_have_count(0)
    page.keyboard.press("3")
    wait_for_list(newcomer, waiting["study_id"])


def test_the_draft_appears_on_the_desk_as_soon_as_it_is_written(newcomer: Room, world: World) -> None:
    (image,) = world.submit("in/a.dcm")
    page = newcomer.open(image["study_id"]).page
    expect(page.locator(".standing-card")).to_contain_text("Received")
    world.summarise(world.ingest(image["image_id"]), "Written meanwhile.")
    expect(page.locator(".report")).to_contain_text("Written meanwhile.")
    expect(page.get_by_role("button", name="Accept")).to_be_visible()


def test_the_film_is_windowed_inverted_magnified_and_put_back(newcomer: Room, world: World) -> None:
    study_id, _ = study(world)
    page = newcomer.open(study_id).page
    canvas = page.get_by_role("img", name="Film, PA view")
    expect(canvas).to_be_visible()

    def greys() -> list[int]:
        """Of a black and a grey pixel, once they are painted."""
        found: list[int] = canvas.evaluate(
            """element => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(
                [10, 390].map(x => element.getContext("2d").getImageData(x, 250, 1, 1).data[0])))))"""
        )
        return found

    assert greys() == [0, 160]
    page.keyboard.press("i")
    assert greys() == [255, 95]
    page.keyboard.press("0")
    page.get_by_label("Brightness").fill("60")
    assert greys() == [60, 220]
    page.keyboard.press("0")
    page.get_by_label("Contrast").fill("40")
    assert greys() == [0, 193]  # half the window: (160 - 127.5) * 2 + 127.5
    for _ in range(3):
        page.keyboard.press("+")
    stage = page.locator(".stage")
    expect(stage).to_have_attribute("data-zoom", "1.95")
    before = canvas.bounding_box()
    stage.focus()
    page.keyboard.press("ArrowRight")
    after = canvas.bounding_box()
    assert before is not None
    assert after is not None
    assert after["x"] < before["x"]
    page.keyboard.press("0")
    expect(stage).to_have_attribute("data-zoom", "1.00")
    assert greys() == [0, 160]


def test_the_hospitals_number_leads_to_the_study_and_stands_in_no_address(newcomer: Room, world: World) -> None:
    pseudonyms = world.pseudonymiser
    study_id, _ = study(
        world,
        study_pseudonym=pseudonyms.study("1.2.840.7"),
        accession_pseudonym=pseudonyms.accession("1.2.840.7"),
        patient_pseudonym=pseudonyms.patient("1.2.840.7"),
    )
    page = newcomer.enter().page
    for kind in ("accession", "patient", "study_uid"):
        page.keyboard.press("/")
        page.get_by_label("Which number").select_option(kind)
        page.get_by_label("The number").fill("1.2.840.8")
        page.keyboard.press("Enter")
        expect(page.locator(".found")).to_contain_text("No study of this number")
        page.get_by_label("The number").fill("1.2.840.7")
        page.keyboard.press("Enter")
        expect(page).to_have_url(f"{newcomer.url}/#/study/{study_id}")
        expect(page.get_by_label("The number")).to_have_value("")
        page.get_by_role("button", name="List").click()
    assert not any("1.2.840" in url for url in newcomer.requests)

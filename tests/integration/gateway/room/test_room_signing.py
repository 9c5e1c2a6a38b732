"""A signature counts for what was seen, once, and can be undone; what was said stays in sight whoever takes it back."""

import random
from typing import Any

from playwright.sync_api import expect

from tests.integration.gateway.room.conftest import Room, picture, shot, study

World = Any

FILM = "**/image.png"
PREVIEW = "**/preview.png"
# When the film was drawn, and when a signature began to count, by the page's own clock.
WATCH = """
    window.times = {};
    new MutationObserver(() => {
        const accept = document.querySelector(".actions .button[aria-keyshortcuts=a]");
        const canvas = document.querySelector(".stage canvas");
        if (canvas && !canvas.hidden) times.drawn ??= performance.now();
        if (accept && !accept.disabled) times.armed ??= performance.now();
    }).observe(document, {subtree: true, childList: true, attributes: true});
"""
IMPATIENT = (
    "window.setTimeout = (later => (act, ms) => later(act, ms >= 2000 && ms <= 10000 ? 100 : ms))(window.setTimeout)"
)


def acts(world: World, summary_id: str) -> list[str]:
    found = world.client.get(f"/v1/summaries/{summary_id}/reviews").json()["reviews"]
    return [one["action"] for one in found]


def by_somebody(world: World, summary_id: str, text: str, name: str = "Dr. Before") -> None:
    body = {"state": "edited", "text": text, "reviewer": name}
    assert world.client.post(f"/v1/summaries/{summary_id}/review", json=body).status_code == 200


def test_nothing_is_signed_before_the_film_was_on_the_screen_for_a_moment(newcomer: Room, world: World) -> None:
    study_id, summary_id = study(world)
    page, held = newcomer.page, []
    page.add_init_script(WATCH)
    page.route(PREVIEW, lambda route: route.abort())
    page.route(FILM, lambda route: held.append(route))
    newcomer.open(study_id)
    accept = page.get_by_role("button", name="Accept")
    expect(accept).to_be_disabled()
    expect(page.get_by_role("button", name="Reject")).to_be_disabled()
    expect(page.locator(".unarmed")).to_have_text("The film is not on the screen yet.")
    page.keyboard.press("a")
    expect(page.locator("#toasts")).to_contain_text("The film is not on the screen yet.")
    held.pop().continue_()
    expect(accept).to_be_enabled()
    times = page.evaluate("times")
    assert times["armed"] - times["drawn"] >= 800
    assert acts(world, summary_id) == []
    page.keyboard.press("a")
    expect(page.locator(".signature")).to_contain_text("Accepted by Dr. Reader")
    (kept,) = world.client.get(f"/v1/summaries/{summary_id}/reviews").json()["reviews"]
    assert kept["seen"]["shown_ms"] >= 800
    assert len(kept["seen"]["image_sha256"]) == 64


def test_two_presses_sign_one_study_which_is_undone_from_the_next(newcomer: Room, world: World) -> None:
    (first, summary_id), (_, other) = study(world, "First film."), study(world, "Second film.")
    page = newcomer.enter().page
    page.locator(".rows .row").first.click()
    expect(page.locator(".report")).to_contain_text("First film.")
    newcomer.press("a")
    page.keyboard.press("a")
    expect(page.locator(".report")).to_contain_text("Second film.")
    page.keyboard.press("a")
    expect(page.get_by_role("button", name="Accept")).to_be_enabled()
    assert (acts(world, summary_id), acts(world, other)) == (["accepted"], [])
    page.get_by_role("button", name="Undo").click()
    expect(page).to_have_url(f"{newcomer.url}/#/study/{first}")
    expect(page.locator(".report")).to_contain_text("First film.")
    assert acts(world, summary_id) == ["accepted", "undone"]
    page.keyboard.press("Escape")
    expect(page.locator(".rows .row")).to_have_count(2)


def test_a_film_that_cannot_be_shown_or_is_another_one_cannot_be_signed(newcomer: Room, world: World) -> None:
    study_id, summary_id = study(world)
    page = newcomer.page
    page.add_init_script(IMPATIENT)
    page.route(FILM, lambda route: route.abort())
    newcomer.open(study_id)
    expect(page.locator(".unarmed")).to_contain_text("The film cannot be shown")
    expect(page.locator(".unarmed")).to_contain_text("What cannot be seen cannot be signed.")
    expect(page.get_by_role("button", name="Accept")).to_be_disabled()
    page.keyboard.press("a")
    page.keyboard.press("e")
    page.get_by_label("Corrected text").fill("Unseen.")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("button", name="Save correction")).to_be_disabled()
    assert not any(url.endswith("/review") for url in newcomer.requests)
    shot(page, "unseen")
    page.route(FILM, lambda route: route.fulfill(body=b"no picture", content_type="image/png"))
    expect(page.locator(".unarmed")).to_contain_text("no picture that this browser can draw")
    page.route(FILM, lambda route: route.fulfill(body=picture(90), content_type="image/png"))
    newcomer.press("Control+Enter", "Save correction")
    expect(page.locator(".banner")).to_contain_text("not the one this summary is about")
    assert acts(world, summary_id) == []
    expect(page.get_by_label("Corrected text")).to_have_value("Unseen.")


def test_taking_back_asks_keeps_the_text_in_sight_and_is_undone(newcomer: Room, world: World) -> None:
    study_id, summary_id = study(world, "Normal chest. Clear lungs.")
    page = newcomer.open(study_id).page
    page.keyboard.press("e")
    page.get_by_label("Corrected text").fill("Enlarged heart. Clear lungs. Small effusion.")
    newcomer.press("Control+Enter", "Save correction")
    said = page.get_by_label("Review history")
    expect(said.locator("del")).to_have_text(["Normal", "chest."])
    expect(said.locator("ins")).to_have_text(["Enlarged", "heart.", " Small effusion."])
    page.keyboard.press("t")
    page.get_by_role("dialog").get_by_role("button", name="Leave it").click()
    assert acts(world, summary_id) == ["edited"]
    page.keyboard.press("t")
    page.get_by_role("dialog").get_by_role("button", name="Take it back").click()
    expect(page.locator(".report > .text")).not_to_contain_text("Enlarged heart.")
    expect(said.locator("li")).to_have_count(2)
    expect(said).to_contain_text("Taken back by Dr. Reader")
    shot(page, "history")
    page.keyboard.press("e")
    expect(page.get_by_label("Corrected text")).to_have_value("Enlarged heart. Clear lungs. Small effusion.")
    page.get_by_role("button", name="The text as it stands").click()
    expect(page.get_by_label("Corrected text")).to_have_value("Normal chest. Clear lungs.")
    page.keyboard.press("Escape")
    page.keyboard.press("u")
    expect(page.locator(".signature")).to_contain_text("Corrected by Dr. Reader")
    expect(page.locator(".banner")).to_be_hidden()
    assert acts(world, summary_id) == ["edited", "draft", "undone"]


def test_another_readers_text_stays_after_it_was_taken_back_with_a_reason(newcomer: Room, world: World) -> None:
    study_id, summary_id = study(world, "Normal chest.")
    by_somebody(world, summary_id, "Heart enlarged.")
    page = newcomer.open(study_id).page
    expect(page.locator(".signature")).to_contain_text("Corrected by Dr. Before")
    page.keyboard.press("t")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Dr. Before signed this.")
    dialog.get_by_role("button", name="Take it back").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Say why")
    dialog.get_by_label("Why").fill("Another patient's film.")
    dialog.get_by_role("button", name="Take it back").click()
    said = page.get_by_label("Review history")
    expect(said).to_contain_text("Reason: Another patient's film.")
    expect(said).to_contain_text("by Dr. Before (signed by tests)")
    expect(said.locator("ins")).to_have_text(["Heart", "enlarged."])
    page.keyboard.press("e")
    expect(page.get_by_label("Corrected text")).to_have_value("Normal chest.")
    page.get_by_role("button", name="The text of Dr. Before").click()
    expect(page.get_by_label("Corrected text")).to_have_value("Heart enlarged.")
    assert acts(world, summary_id) == ["edited", "draft"]


def test_what_changed_between_two_texts_adds_up_to_both(newcomer: Room) -> None:
    chance = random.Random(11)
    words = ["No", "left", "effusion.", "heart", " ", "\n", "  "]
    pairs = [["".join(chance.choices(words, k=chance.randrange(12))) for _ in "ab"] for _ in range(300)]
    pairs += [["a " * 9000, "b " * 9000], ["", "x"], ["same", "same"]]
    found = newcomer.enter().page.evaluate(
        """async (pairs) => {
            const { diff } = await import(document.querySelector("link[href$='/diff.js']").href);
            return pairs.map(([before, after]) => {
                const pieces = diff(before, after);
                const without = (kind) => pieces.filter((one) => one[0] !== kind).map((one) => one[1]).join("");
                return [without("new"), without("gone")];
            });
        }""",
        pairs,
    )
    assert found == pairs


LATE = """
    window.late = [];
    const real = window.createImageBitmap;
    window.createImageBitmap = async (blob, ...more) => {
        const bitmap = await real(blob, ...more);
        if (bitmap.width === 640) await new Promise(later => window.late.push(later));
        return bitmap;
    };
"""


def test_a_picture_that_comes_late_is_not_drawn_beside_another_study(newcomer: Room, world: World) -> None:
    (first, _), (second, _) = study(world, "First film."), study(world, "Second film.")
    page = newcomer.page
    page.add_init_script(LATE)
    large = picture(90, (640, 500))
    page.route(f"**/{first}/preview.png", lambda route: route.fulfill(body=large, content_type="image/png"))
    newcomer.open(first)
    expect(page.locator(".report")).to_contain_text("First film.")
    page.evaluate("new Promise(done => (function look() { late.length ? done() : requestAnimationFrame(look) })())")
    page.evaluate("hash => { location.hash = hash }", f"#/study/{second}")
    expect(page.locator(".report")).to_contain_text("Second film.")
    expect(page.get_by_role("button", name="Accept")).to_be_enabled()
    page.evaluate("late.forEach(later => later())")
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    expect(page.locator(".stage canvas")).to_have_attribute("width", "400")


def test_an_answer_that_comes_late_leaves_the_next_study_alone(newcomer: Room, world: World) -> None:
    (_, one), (_, other), _ = [study(world, f"Film {n}.") for n in (1, 2, 3)]
    page, held = newcomer.enter().page, []
    page.route("**/review", lambda route: held.append(route))
    page.locator(".rows .row").first.click()
    expect(page.locator(".report")).to_contain_text("Film 1.")
    newcomer.press("a")
    page.keyboard.press("j")
    expect(page.locator(".report")).to_contain_text("Film 2.")
    here = page.url
    held.pop().continue_()
    expect(page.locator("#toasts")).to_contain_text("Accepted.")
    expect(page.locator(".rows .row")).to_have_count(2)
    newcomer.press("r", "Reject")
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Reject")).to_be_disabled()
    assert page.url == here
    page.keyboard.press("j")
    expect(page.locator(".report")).to_contain_text("Film 3.")
    page.route("**/review", lambda route: route.abort())
    held.pop().abort()
    unknown = "It is not known whether it was signed: The gateway does not answer."
    expect(page.locator("#toasts")).to_contain_text(unknown)
    expect(page.locator(".banner")).to_be_hidden()
    assert (acts(world, one), acts(world, other)) == (["accepted"], [])


def test_a_correction_of_an_earlier_draft_is_still_there_on_the_way_back(newcomer: Room, world: World) -> None:
    (study_id, _), (other, _) = study(world, "Old draft."), study(world, "Another film.")
    page = newcomer.page
    page.add_init_script(IMPATIENT)
    newcomer.open(study_id)
    page.keyboard.press("e")
    page.get_by_label("Corrected text").fill("Mine, half written.")
    world.summarise_again(study_id, "New draft.")
    lost = page.get_by_label("Your unsaved correction")
    expect(lost).to_contain_text("Mine, half written.")
    newcomer.press("a")
    expect(page.locator(".signature")).to_be_visible()
    expect(lost).to_contain_text("Mine, half written.")
    page.evaluate("hash => { location.hash = hash }", f"#/study/{other}")
    expect(page.locator(".report")).to_contain_text("Another film.")
    expect(lost).to_have_count(0)
    page.go_back()
    expect(lost).to_contain_text("Mine, half written.")
    lost.get_by_role("button", name="Discard it").click()
    page.reload()
    expect(page.locator(".report")).to_contain_text("New draft.")
    expect(lost).to_have_count(0)


def test_a_key_that_is_held_down_does_not_sign_once_the_film_is_there(newcomer: Room, world: World) -> None:
    study_id, summary_id = study(world)
    page, held = newcomer.page, []
    page.route(PREVIEW, lambda route: route.abort())
    page.route(FILM, lambda route: held.append(route))
    newcomer.open(study_id)
    page.keyboard.press("e")
    page.get_by_label("Corrected text").fill("Enlarged heart.")
    page.keyboard.down("Control")
    page.keyboard.down("Enter")
    expect(page.locator("#toasts")).to_contain_text("not on the screen yet")
    held.pop().continue_()
    expect(page.get_by_role("button", name="Save correction")).to_be_enabled()
    page.keyboard.down("Enter")  # as the keyboard repeats it
    page.keyboard.up("Enter")
    page.keyboard.up("Control")
    assert acts(world, summary_id) == []
    page.keyboard.press("Control+Enter")
    expect(page.locator(".signature")).to_contain_text("Corrected by Dr. Reader")

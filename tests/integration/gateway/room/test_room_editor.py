"""A correction: two fields, one line for each finding, what changed, undo; and a rejection with its reason."""

import random
from typing import Any

from playwright.sync_api import Page, expect

from tests.integration.gateway.room.conftest import Room, shot, study
from tests.integration.gateway.room.desk_tools import SECTIONED, name_findings
from xraygpt_core.report.labeller import label_report
from xraygpt_core.report.sections import split_report

World = Any
MODULE = "await import(document.querySelector(`link[href$='/{0}']`).href)"


def stored(world: World, summary_id: str) -> dict[str, Any]:
    found: dict[str, Any] = world.client.get(f"/v1/summaries/{summary_id}").json()
    return found


def test_findings_and_impression_are_two_fields_and_stay_two_parts(newcomer: Room, world: World) -> None:
    study_id, summary_id = study(world, SECTIONED)
    page = newcomer.open(study_id).page
    page.keyboard.press("e")
    expect(page.get_by_role("textbox", name="Findings")).to_have_value(
        "No pleural effusion or pneumothorax. Heart enlarged."
    )
    impression = page.get_by_role("textbox", name="Impression")
    expect(impression).to_have_value("Cardiomegaly.")
    impression.fill("Large heart, otherwise normal.")
    expect(page.locator(".field ins")).to_have_text("Large heart, otherwise normal.")
    shot(page, "editor")
    newcomer.press("Control+Enter", "Save correction")
    expect(page.locator(".report > .text")).to_contain_text("Large heart, otherwise normal.")
    found = stored(world, summary_id)
    assert found["summary"] == SECTIONED.replace("Cardiomegaly.", "Large heart, otherwise normal.")
    assert found["findings"] == "No pleural effusion or pneumothorax. Heart enlarged."
    assert found["impression"] == "Large heart, otherwise normal."
    (row,) = world.client.get("/v1/studies", params={"list": "signed"}).json()["studies"]
    assert row["opening"] == "Large heart, otherwise normal."


def test_a_text_without_headings_is_one_field_until_its_reader_takes_it_apart(newcomer: Room, world: World) -> None:
    study_id, summary_id = study(world, "Normal chest.")
    page = newcomer.open(study_id).page
    page.keyboard.press("e")
    expect(page.get_by_label("Corrected text")).to_have_value("Normal chest.")
    page.get_by_role("button", name="Findings and impression apart").click()
    page.get_by_role("textbox", name="Impression").fill("Normal.")
    newcomer.press("Control+Enter", "Save correction")
    expect(page.locator(".signature")).to_be_visible()
    assert stored(world, summary_id)["summary"] == "Findings: Normal chest.\n\nImpression: Normal."


def test_a_chip_marks_its_words_and_says_its_finding_otherwise_as_a_correction(newcomer: Room, world: World) -> None:
    study_id, summary_id = study(world, SECTIONED)
    name_findings(world, summary_id)
    page = newcomer.open(study_id).page
    chip = page.get_by_role("button", name="Enlarged heart: present")
    chip.hover()
    expect(page.locator(".words.marked")).to_have_text(["Heart enlarged", "Cardiomegaly"])
    page.mouse.move(0, 0)
    expect(page.locator(".words.marked")).to_have_count(0)
    page.keyboard.press("d")
    expect(page.locator(".words.marked")).to_have_text(["No pleural effusion"])
    shot(page, "chips")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    findings, impression = (page.get_by_role("textbox", name=name) for name in ("Findings", "Impression"))
    expect(findings).to_have_value("No pleural effusion. Possible pneumothorax. Heart enlarged.")
    expect(impression).to_have_value("Cardiomegaly.")
    expect(page.locator(".field ins").first).to_be_visible()
    lines = page.get_by_label("Findings, one line each").locator("li")
    lines.nth(2).get_by_role("button", name="present").click()
    expect(findings).to_have_value("No pleural effusion. Possible pneumothorax. No cardiomegaly.")
    expect(impression).to_have_value("No cardiomegaly.")
    lines.nth(1).get_by_role("button", name="side?").click()
    expect(findings).to_have_value("No pleural effusion. Possible left pneumothorax. No cardiomegaly.")
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    expect(impression).to_have_value("Cardiomegaly.")
    page.keyboard.press("Control+y")
    expect(impression).to_have_value("No cardiomegaly.")
    page.get_by_label("Add a finding").select_option("nodule")
    expect(findings).to_have_value(
        "No pleural effusion. Possible pneumothorax. No cardiomegaly. Left lower zone pulmonary nodule."
    )
    newcomer.press("Control+Enter", "Save correction")
    expect(page.locator(".signature")).to_contain_text("Corrected by Dr. Reader")
    assert stored(world, summary_id)["impression"] == "No cardiomegaly."


def test_what_was_written_by_hand_is_not_overwritten_by_a_line(newcomer: Room, world: World) -> None:
    study_id, summary_id = study(world, SECTIONED)
    name_findings(world, summary_id)
    page = newcomer.open(study_id).page
    expect(page.locator(".chips")).to_be_visible()
    page.keyboard.press("e")
    findings = page.get_by_role("textbox", name="Findings")
    findings.fill("My own words.")
    page.get_by_label("Findings, one line each").locator("li").first.get_by_role("button", name="absent").click()
    expect(findings).to_have_value("My own words. Possible pleural effusion.")
    page.get_by_role("button", name="Undo").click()
    expect(findings).to_have_value("My own words.")


def test_the_sentences_of_the_lines_say_to_the_labeller_what_they_say_to_a_reader(newcomer: Room) -> None:
    found = newcomer.enter().page.evaluate(
        f"""async () => {{
            const {{ sentenceOf, KNOWN }} = {MODULE.format("findings.js")};
            const lines = [];
            for (const finding of KNOWN) for (const status of ["present", "absent", "uncertain"])
                for (const side of [null, "left", "right"]) for (const zone of [null, "upper", "lower"])
                    lines.push({{ finding, status, side, zone }});
            return lines.map((line) => [line, sentenceOf(line)]);
        }}"""
    )
    assert len(found) == 6 * 3 * 3 * 3
    for line, sentence in found:
        finding, side, zone = line["finding"], line["side"], line["zone"]
        said = {one for one in label_report(sentence) if one.partition("_")[0] == finding}
        whole = {"effusion": side, "pneumothorax": side, "consolidation": side and zone}.get(finding, True)
        assert bool(said) == bool(line["status"] == "present" and whole), sentence
        if said and finding in ("effusion", "pneumothorax"):
            assert said == {f"{finding}_{side}"}, sentence
        if said and finding == "consolidation":
            assert said == {f"consolidation_{side}_{zone}"}, sentence


def rebuilt(page: Page, texts: list[str]) -> list[tuple[str, list[dict[str, Any]]]]:
    found: list[tuple[str, list[dict[str, Any]]]] = page.evaluate(
        f"""async (texts) => {{
            const {{ apart, canonical }} = {MODULE.format("sections.js")};
            return texts.map((text) => [canonical(text), apart(text)]);
        }}""",
        texts,
    )
    return found


def test_a_text_that_was_taken_apart_and_put_together_loses_nothing_and_is_read_alike(newcomer: Room) -> None:
    chance = random.Random(16)
    words = [
        "Findings:",
        "Impression:",
        "**Impression**:",
        "impression of",
        "a.",
        "\n",
        " ",
        "b",
        "𝔸.",
        "History: c",
        "\r\n",
    ]
    texts = ["".join(f"{word} " for word in chance.choices(words, k=chance.randrange(9))) for _ in range(300)]
    texts += [f"Findings: a{' ' * 19_000}x", "*" * 19_000, "Findings: " + "impression " * 1700]  # in no time
    for text, (whole, parts) in zip(texts, rebuilt(newcomer.enter().page, texts), strict=True):
        kept = " ".join(part["text"] for part in parts).split()
        headings = {"Findings:", "Impression:", "**Impression**:"}
        assert [one for one in kept if one not in headings] == [one for one in text.split() if one not in headings]
        if len(parts) == 2 and all(part["text"] and ":" not in part["text"] for part in parts):
            assert split_report(whole) == tuple(" ".join(part["text"].replace("**", " ").split()) for part in parts)


def test_a_rejection_says_why_in_a_code_and_words_and_the_history_shows_it(newcomer: Room, world: World) -> None:
    study_id, summary_id = study(world, SECTIONED)
    name_findings(world, summary_id)
    page = newcomer.open(study_id).page
    newcomer.press("r", "Reject")
    dialog = page.get_by_role("dialog")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("Choose a reason")
    page.keyboard.press("9")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("Say which other reason.")
    page.keyboard.press("3")
    dialog.get_by_label("In your own words").fill("It is the <b>right</b> side: 3 cm.")
    shot(page, "reject")
    page.keyboard.press("Enter")
    expect(page.locator(".signature")).to_contain_text("Rejected by Dr. Reader")
    expect(page.get_by_label("these do not count as findings").get_by_role("button").first).to_be_visible()
    expect(page.get_by_label("Review history")).to_contain_text(
        "Reason: A finding is on the wrong side or in the wrong place: It is the <b>right</b> side: 3 cm."
    )
    (kept,) = world.client.get(f"/v1/summaries/{summary_id}/reviews").json()["reviews"]
    assert kept["reason"] == "wrong_place: It is the <b>right</b> side: 3 cm."


def test_a_rejection_that_is_left_changes_nothing(newcomer: Room, world: World) -> None:
    study_id, summary_id = study(world)
    page = newcomer.open(study_id).page
    newcomer.press("r", "Reject")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name="Reject")).to_be_visible()
    assert world.client.get(f"/v1/summaries/{summary_id}/reviews").json()["reviews"] == []

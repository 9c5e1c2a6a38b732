"""Two hundred texts that would like to be part of the page, in every field of a study: they stay texts."""

import json
from typing import Any
from uuid import UUID

import pytest
from playwright.sync_api import expect

from tests.integration.gateway.room.conftest import Room, study
from tests.integration.gateway.room.hostile_tools import NAMES, NOTHING, looked, missing
from tests.support.api_keys import create_api_key
from tests.support.hostile_strings import BROKEN, STRINGS
from tests.support.ledger_tools import do
from xraygpt_core.plain_text import unseen

World = Any

LONGEST = 19_000  # letters of a correction, some room left


def signable() -> list[list[str]]:
    """What a person may sign, in as many corrections as it takes."""
    parts: list[list[str]] = [[]]
    for text in STRINGS:
        if unseen(text) is not None:
            continue
        if sum(map(len, parts[-1])) + len(text) + 2 * len(parts[-1]) > LONGEST:
            parts.append([])
        parts[-1].append(text)
    return parts


def test_two_hundred_hostile_texts_are_texts_wherever_the_page_shows_them(newcomer: Room, world: World) -> None:
    dialogs: list[str] = []
    newcomer.page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    newcomer.key = create_api_key(world.ledger, NAMES[0])
    study_id, summary_id = study(world, "\n\n".join(STRINGS))
    bundle = {"bundle": NAMES[0], "bundle_sha256": NAMES[1], "findings": STRINGS[60]}
    do(world.ledger, "UPDATE summaries SET bundle = :bundle, bundle_sha256 = :bundle_sha256, findings = :findings "
       "WHERE id = :id", id=UUID(summary_id), **bundle)  # fmt: skip
    for text in STRINGS[40:52]:
        study(world, text)
    page = newcomer.enter().page
    expect(page.locator(".rows .row")).to_have_count(13)
    expect(page.locator(".who")).to_have_text(NAMES[0])
    assert looked(page) == NOTHING
    page.goto(f"{newcomer.url}/#/study/{study_id}")
    expect(page.locator(".report")).to_contain_text("Normal study")
    assert missing(page, STRINGS, ".report") == []
    assert looked(page) == NOTHING
    for number, part in enumerate(signable()):
        said = {"state": "edited", "text": "\n\n".join(part), "reviewer": NAMES[number % len(NAMES)], "reason": "More."}
        answer = world.client.post(f"/v1/summaries/{summary_id}/review", json=said)
        assert answer.status_code == 200, answer.text
    ask(world, study_id)
    page.reload()
    expect(page.locator(".turns .answer")).to_contain_text("Normal study")
    assert missing(page, signable()[-1], ".report") == []
    assert missing(page, STRINGS, ".turns .answer") == []
    expect(page.locator(".signature")).to_contain_text(NAMES[(len(signable()) - 1) % len(NAMES)])
    assert looked(page) == NOTHING
    page.keyboard.press("2")
    expect(page.locator(".row .standing")).to_contain_text(NAMES[(len(signable()) - 1) % len(NAMES)])
    assert looked(page) == NOTHING
    assert dialogs == []


def ask(world: World, study_id: str) -> None:
    """A question and an answer of all that HTTP takes."""
    question = "\n".join(text for text in STRINGS if unseen(text) is None and len(text) < 60)[:1900]
    asked = world.client.post(f"/v1/studies/{study_id}/chat", json={"question": question})
    assert asked.status_code == 202, asked.text
    world.write(asked.json()["turn_id"])[1]("\n".join(STRINGS))


@pytest.mark.parametrize("field", ["text", "reason", "reviewer"])
def test_a_review_with_half_a_letter_or_a_nul_is_refused_and_kept_nowhere(world: World, field: str) -> None:
    _, summary_id = world.summarised()
    for broken in BROKEN:
        said = {"state": "edited" if field == "text" else "draft", field: f"x{broken}"}
        answer = world.client.post(
            f"/v1/summaries/{summary_id}/review",
            content=json.dumps(said).encode(),
            headers={"Content-Type": "application/json"},
        )
        assert answer.status_code == 422, (broken, answer.text)
    assert world.client.get(f"/v1/summaries/{summary_id}/reviews").json()["reviews"] == []

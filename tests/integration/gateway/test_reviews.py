"""Reviews over HTTP: who may say what in whose name, what they saw, and what stays of it."""

from typing import Any

import pytest

from tests.support.api_keys import create_api_key
from xraygpt_core.states import KeyKind, Rejection

World = Any

NOBODYS = "00000000-0000-7000-8000-000000000000"
UNTOUCHED = {"review_state": "draft", "reviewed_at": None, "superseded_at": None}
SEEN = ("review_state", "reviewed_at", "superseded_at")


class Caller:
    """Somebody with a key of their own, who looks before they sign."""

    def __init__(self, world: World, name: str, kind: KeyKind = KeyKind.PERSON) -> None:
        self.world, self.headers = world, {"X-API-Key": create_api_key(world.ledger, name, kind)}

    def seen(self, summary_id: str) -> dict[str, Any]:
        now = self.world.client.get(f"/v1/summaries/{summary_id}").json()
        return {name: now[name] for name in SEEN}

    def post(self, summary_id: str, body: dict[str, Any], **headers: str) -> Any:
        """A review exactly as it is given."""
        url = f"/v1/summaries/{summary_id}/review"
        return self.world.stranger.post(url, json=body, headers=self.headers | headers)

    def sign(self, summary_id: str, state: str, **more: Any) -> Any:
        return self.post(summary_id, {"state": state, "seen": self.seen(summary_id)} | more)


def history(world: World, summary_id: str) -> list[dict[str, Any]]:
    answer = world.client.get(f"/v1/summaries/{summary_id}/reviews")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["reviews"]
    return found


def test_a_corrected_summary_is_shown_and_the_reviewer_kept(world: World) -> None:
    study_id, summary_id = world.summarised()
    body = {"state": "edited", "text": "Small left effusion.", "reviewer": "Dr. Who"}
    answer = world.client.post(f"/v1/summaries/{summary_id}/review", json=body)
    assert (answer.json()["review_state"], answer.json()["summary"]) == ("edited", "Small left effusion.")
    assert world.client.get(f"/v1/studies/{study_id}").json()["summary"]["summary"] == "Small left effusion."
    with world.ledger.work() as work:
        row = work.row("SELECT summary, reviewed_by FROM summaries")
    assert (row["summary"], row["reviewed_by"]) == ("No acute disease.", "Dr. Who")


def test_a_corrected_summary_is_shown_wherever_the_models_text_was(world: World) -> None:
    (image,) = world.submit("in/a.dcm")
    study_id = world.ingest(image["image_id"])
    summary_id = world.summarise(study_id)
    body = {"state": "edited", "text": "Small left effusion."}
    world.client.post(f"/v1/summaries/{summary_id}/review", json=body)
    (shown,) = world.client.post("/v1/images/status", json={"image_ids": [image["image_id"]]}).json()["images"]
    for text in (shown, world.client.get(f"/v1/studies/{study_id}").json()["summary"]):
        assert (text["summary"], text["findings"], text["impression"]) == ("Small left effusion.", None, None)


def test_who_reviewed_a_summary_and_when_can_be_read_back(world: World) -> None:
    study_id, summary_id = world.summarised()
    before = world.client.get(f"/v1/summaries/{summary_id}").json()
    assert (before["reviewed_by"], before["reviewed_at"]) == (None, None)
    world.client.post(f"/v1/summaries/{summary_id}/review", json={"state": "accepted", "reviewer": "Dr. Who"})
    after = world.client.get(f"/v1/studies/{study_id}").json()["summary"]
    assert after["reviewed_by"] == "Dr. Who"
    assert after["reviewed_at"] is not None


@pytest.mark.parametrize("then", ["accepted", "rejected"])
def test_a_correction_survives_what_the_next_reader_says_of_it(world: World, then: str) -> None:
    _, summary_id = world.summarised()
    review = f"/v1/summaries/{summary_id}/review"
    world.client.post(review, json={"state": "edited", "text": "Small left effusion."})
    after = world.client.post(review, json={"state": then, "reason": "not_useful"}).json()
    assert (after["review_state"], after["summary"]) == (then, "Small left effusion.")
    assert world.client.post(review, json={"state": "draft"}).json()["summary"] == "No acute disease."


def test_a_reviewed_summary_stays_visible_beside_a_newer_draft(world: World) -> None:
    study_id, summary_id = world.summarised()
    assert world.client.get(f"/v1/studies/{study_id}").json()["reviewed"] is None
    body = {"state": "edited", "text": "Small left effusion."}
    world.client.post(f"/v1/summaries/{summary_id}/review", json=body)
    assert world.client.get(f"/v1/studies/{study_id}").json()["reviewed"] is None, "it is the current one"
    world.summarise_again(study_id, "Large left effusion.")
    study = world.client.get(f"/v1/studies/{study_id}").json()
    assert study["summary"]["summary"] == "Large left effusion."
    assert (study["reviewed"]["summary_id"], study["reviewed"]["summary"]) == (summary_id, "Small left effusion.")


def test_a_review_without_a_name_is_the_callers(world: World) -> None:
    _, summary_id = world.summarised()
    world.client.post(f"/v1/summaries/{summary_id}/review", json={"state": "accepted"})
    with world.ledger.work() as work:
        assert work.row("SELECT reviewed_by FROM summaries")["reviewed_by"] == "tests"


@pytest.mark.parametrize("body", [{"state": "edited"}, {"state": "accepted", "text": "x"}, {"state": "liked"}, {}])
def test_a_review_that_does_not_fit_together_is_refused(world: World, body: dict[str, str]) -> None:
    _, summary_id = world.summarised()
    assert world.client.post(f"/v1/summaries/{summary_id}/review", json=body).status_code == 422


def test_a_review_of_what_was_seen_stands_and_one_of_what_is_no_more_is_refused(world: World) -> None:
    study_id, summary_id = world.summarised()
    draft = world.client.get(f"/v1/studies/{study_id}").json()["summary"]
    seen = {name: draft[name] for name in ("review_state", "reviewed_at", "superseded_at")}
    url = f"/v1/summaries/{summary_id}/review"
    first = world.client.post(url, json={"state": "accepted", "seen": seen})
    assert first.status_code == 200
    again = world.client.post(url, json={"state": "rejected", "seen": seen, "reason": "poor_film"})
    assert again.status_code == 409
    assert "read it again" in again.json()["detail"]
    now = {name: first.json()[name] for name in seen}
    assert world.client.post(url, json={"state": "rejected", "seen": now, "reason": "poor_film"}).status_code == 200


@pytest.mark.parametrize("reason", [None, "nonsense", "nonsense: wrong_place", "other", "other: ", "Wrong_place"])
def test_a_rejection_without_a_code_is_refused_and_the_codes_are_named(world: World, reason: str | None) -> None:
    _, summary_id = world.summarised()
    body = {"state": "rejected"} | ({} if reason is None else {"reason": reason})
    answer = world.client.post(f"/v1/summaries/{summary_id}/review", json=body)
    assert answer.status_code == 422
    assert all(code in answer.json()["detail"] for code in Rejection)
    assert history(world, summary_id) == []


@pytest.mark.parametrize(
    ("reason", "kept"),
    [
        ("wrong_place", "wrong_place"),
        ("wrong_place: it is\nthe right: side", "wrong_place: it is\nthe right: side"),
        ("wrong_place:right", "wrong_place: right"),
        ("other: the plate", "other: the plate"),
    ],
)
def test_a_rejection_is_kept_with_its_code_and_words(world: World, reason: str, kept: str) -> None:
    _, summary_id = world.summarised()
    body = {"state": "rejected", "reason": reason}
    assert world.client.post(f"/v1/summaries/{summary_id}/review", json=body).status_code == 200
    assert [act["reason"] for act in history(world, summary_id)] == [kept]


@pytest.mark.parametrize(
    "seen",
    [
        {},
        {"review_state": "draft"},
        {"review_state": "draft", "reviewed_at": None},
        {"review_state": "draft", "superseded_at": None},
        {"review_state": "x", "reviewed_at": None, "superseded_at": None},
        {"review_state": "draft", "reviewed_at": "2026-01-01T00:00:00", "superseded_at": None},
        {"review_state": "draft", "reviewed_at": None, "superseded_at": None, "by": "me"},
    ],
)
def test_a_half_sentence_about_what_was_seen_is_refused(shared: World, seen: dict[str, Any]) -> None:
    answer = shared.client.post(f"/v1/summaries/{NOBODYS}/review", json={"state": "accepted", "seen": seen})
    assert answer.status_code == 422


def test_a_person_says_what_was_seen_and_signs_in_no_other_name(world: World) -> None:
    _, summary_id = world.summarised()
    reader = Caller(world, "Dr. R")
    unseen = reader.post(summary_id, {"state": "accepted"})
    forged = reader.sign(summary_id, "accepted", reviewer="Prof. Somebody Else")
    assert (unseen.status_code, forged.status_code) == (422, 422)
    assert "seen" in unseen.json()["detail"]
    assert "reviewer" in forged.json()["detail"]
    assert history(world, summary_id) == []
    assert reader.sign(summary_id, "accepted").json()["reviewed_by"] == "Dr. R"


def test_a_program_names_the_person_it_speaks_for_and_its_own_key_is_kept(world: World) -> None:
    study_id, summary_id = world.summarised()
    bridge = Caller(world, "bridge", KeyKind.PROGRAM)
    assert bridge.post(summary_id, {"state": "accepted", "reviewer": "Dr. Who"}).json()["reviewed_by"] == "Dr. Who"
    (act,) = history(world, summary_id)
    assert (act["reviewer"], act["key_name"], act["key_kind"]) == ("Dr. Who", "bridge", "program")
    step = world.client.get(f"/v1/studies/{study_id}/timeline").json()["steps"][-1]
    assert (step["what"], step["who"], step["detail"]["key"]) == ("summary accepted", "bridge", act["key_id"])


def test_the_whole_history_of_a_study_can_be_read_back(world: World) -> None:
    study_id, summary_id = world.summarised()
    first, second = Caller(world, "Dr. A"), Caller(world, "Dr. B")
    assert first.sign(summary_id, "edited", text="Heart enlarged.").status_code == 200
    refused = second.sign(summary_id, "draft")
    assert (refused.status_code, "reason" in refused.json()["detail"]) == (422, True)
    assert second.sign(summary_id, "draft", reason="The wrong side.").json()["summary"] == "No acute disease."
    found = world.client.get(f"/v1/studies/{study_id}").json()["reviews"]
    assert found == history(world, summary_id)
    assert [(act["action"], act["text"], act["reason"], act["reviewer"]) for act in found] == [
        ("edited", "Heart enlarged.", None, "Dr. A"),
        ("draft", None, "The wrong side.", "Dr. B"),
    ]
    assert {act["draft"] for act in found} == {"No acute disease."}
    assert found[0]["seen"]["review_state"] == "draft"


def test_who_undoes_an_act_lets_stand_again_what_stood_before(world: World) -> None:
    _, summary_id = world.summarised()
    reader = Caller(world, "Dr. A")
    reader.sign(summary_id, "edited", text="Heart enlarged.")
    reader.sign(summary_id, "rejected", reason="missed_finding")
    undone = reader.sign(summary_id, "draft", undo=True).json()
    assert (undone["review_state"], undone["summary"]) == ("edited", "Heart enlarged.")
    assert reader.sign(summary_id, "accepted", undo=True).status_code == 422


def test_a_review_sent_again_under_its_key_is_kept_once(world: World) -> None:
    _, summary_id = world.summarised()
    reader = Caller(world, "Dr. A")
    body = {"state": "edited", "text": "Heart enlarged.", "seen": reader.seen(summary_id)}
    answers = [reader.post(summary_id, body, **{"Idempotency-Key": "k"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    assert len(history(world, summary_id)) == 1


def test_a_film_that_is_not_the_summarys_is_not_signed_for(world: World) -> None:
    _, summary_id = world.summarised(normalised_sha256="a" * 64)
    reader = Caller(world, "Dr. A")
    seen = reader.seen(summary_id)
    other = reader.sign(summary_id, "accepted", seen=seen | {"image_sha256": "b" * 64})
    assert (other.status_code, "film" in other.json()["detail"]) == (409, True)
    mine = {"image_sha256": "a" * 64, "painted_at": "2026-11-28T10:00:00Z", "shown_ms": 4000}
    assert reader.sign(summary_id, "accepted", seen=seen | mine).status_code == 200
    assert history(world, summary_id)[0]["seen"]["shown_ms"] == 4000


@pytest.mark.parametrize(
    "more",
    [
        {"reason": ""},
        {"reason": "\0"},
        {"undo": "perhaps"},
        {"reviewer": "Dr.\u202eR"},
        {"seen": UNTOUCHED | {"image_sha256": "x"}},
        {"seen": UNTOUCHED | {"shown_ms": -1}},
    ],
)
def test_what_nobody_can_mean_is_refused(world: World, more: dict[str, Any]) -> None:
    _, summary_id = world.summarised()
    answer = world.client.post(f"/v1/summaries/{summary_id}/review", json={"state": "accepted"} | more)
    assert answer.status_code == 422, answer.text
    assert history(world, summary_id) == []


def test_nobody_reads_reviews_without_a_key_or_of_a_summary_that_is_not_there(shared: World) -> None:
    path = f"/v1/summaries/{NOBODYS}/reviews"
    assert (shared.stranger.get(path).status_code, shared.client.get(path).status_code) == (401, 404)


@pytest.mark.parametrize("letter", ["\u202e", "\u2066", "\u200b", "\x1b", "\x9b"], ids=ascii)
@pytest.mark.parametrize("field", ["text", "reason"])
def test_what_nobody_sees_is_not_signed(shared: World, letter: str, field: str) -> None:
    said = {"state": "edited", "text": "Effusion.", "reviewer": "Dr. Who"} | {field: f"No {letter}effusion."}
    answer = shared.client.post(f"/v1/summaries/{NOBODYS}/review", json=said)
    assert answer.status_code == 422
    assert f"U+{ord(letter):04X}" in answer.text
    assert "effusion" not in answer.text


def test_a_correction_may_be_written_in_any_language(world: World) -> None:
    _, summary_id = world.summarised()
    text = "انصباب جنبي ۱۲\u00a0mm.\r\n\tمی\u200cخواهم"
    answer = world.client.post(f"/v1/summaries/{summary_id}/review", json={"state": "edited", "text": text})
    assert (answer.status_code, answer.json()["summary"]) == (200, text)

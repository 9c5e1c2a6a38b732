"""A review and the answer to it are one commit: its sender may ask again, and hears what is stored."""

from typing import Any

from tests.support.kept_answers import no_answer_kept
from tests.support.ledger_tools import one

World = Any
KEY = {"Idempotency-Key": "k"}
SIGNED = {
    "state": "edited",
    "text": "Small left effusion.",
    "seen": {"review_state": "draft", "reviewed_at": None, "superseded_at": None},
}


def signed(world: World, summary_id: str, **body: Any) -> Any:
    return world.client.post(f"/v1/summaries/{summary_id}/review", json=SIGNED | body, headers=KEY)


def stored(world: World) -> tuple[Any, Any, Any]:
    return (
        one(world.ledger, "SELECT count(*) FROM reviews"),
        one(world.ledger, "SELECT count(*) FROM audit WHERE what = 'summary edited' AND outcome = 'done'"),
        one(world.ledger, "SELECT count(*) FROM timeline WHERE what = 'summary edited'"),
    )


def test_a_review_whose_answer_could_not_be_kept_is_not_kept_either(world: World) -> None:
    _, summary_id = world.summarised()
    with no_answer_kept(world.ledger):
        assert signed(world, summary_id).status_code == 503
    assert stored(world) == (0, 0, 0)


def test_its_sender_asks_again_and_is_not_refused_for_what_they_did_themselves(world: World) -> None:
    _, summary_id = world.summarised()
    with no_answer_kept(world.ledger):
        signed(world, summary_id)
    again = signed(world, summary_id)
    assert (again.status_code, again.json().get("review_state")) == (200, "edited"), again.text
    assert stored(world) == (1, 1, 1)


def test_a_review_whose_answer_got_lost_on_the_way_is_answered_again(world: World) -> None:
    _, summary_id = world.summarised()
    first, again = signed(world, summary_id), signed(world, summary_id)
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json()
    assert stored(world) == (1, 1, 1)


def test_a_review_that_was_refused_may_be_sent_again_under_its_key(world: World) -> None:
    _, summary_id = world.summarised()
    other = world.client.post(f"/v1/summaries/{summary_id}/review", json={"state": "accepted"})
    assert other.status_code == 200
    assert signed(world, summary_id).status_code == 409
    world.client.post(f"/v1/summaries/{summary_id}/review", json={"state": "draft", "undo": True})
    assert signed(world, summary_id).status_code == 200
    assert stored(world)[0] == 3


def test_another_review_under_the_same_key_is_refused_and_not_stored(world: World) -> None:
    _, summary_id = world.summarised()
    signed(world, summary_id)
    other = signed(world, summary_id, text="Large left effusion.")
    assert (other.status_code, "Idempotency-Key" in other.json()["detail"]) == (422, True)
    assert stored(world)[0] == 1

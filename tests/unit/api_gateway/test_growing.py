"""The events of one answer, without a server."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from api_gateway import chat
from api_gateway.chat import growing
from xraygpt_core.ledger.studies.chat import Turn

NOW = datetime(2026, 1, 2, tzinfo=UTC)
FIRST = Turn(UUID(int=1), UUID(int=2), UUID(int=3), "Why?", "", "queued", NOW, None)


def told(*moments: tuple[str, str]) -> list[tuple[str, dict[str, object]]]:
    """What a listener hears if the turn goes through these (state, answer)."""
    turns = iter([replace(FIRST, state=state, answer=answer) for state, answer in moments])

    async def listen() -> list[tuple[str, dict[str, object]]]:
        return [(str(one.event), json.loads(str(one.data))) async for one in growing(next(turns), lambda: next(turns))]

    return asyncio.run(listen())


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat, "SHORTEST_PAUSE", 0.0)
    monkeypatch.setattr(chat, "LONGEST_PAUSE", 0.0)


def tokens(heard: list[tuple[str, dict[str, object]]]) -> list[object]:
    return [data["text"] for name, data in heard if name == "token"]


def test_each_piece_is_sent_once() -> None:
    heard = told(
        ("queued", ""), ("running", "The"), ("running", "The"), ("running", "The heart"), ("done", "The heart.")
    )
    assert tokens(heard) == ["The", " heart", "."]
    assert heard[-1][0] == "done"
    assert heard[-1][1]["answer"] == "The heart."


def test_a_listener_who_comes_late_gets_what_is_written() -> None:
    assert tokens(told(("running", "The heart"), ("done", "The heart."))) == ["The heart", "."]


def test_a_finished_answer_is_told_at_once() -> None:
    assert [name for name, _ in told(("done", "Yes."))] == ["token", "done"]


def test_an_empty_answer_has_no_token() -> None:
    assert [name for name, _ in told(("done", ""))] == ["done"]


def test_an_answer_that_starts_anew_repeats_nothing() -> None:
    heard = told(
        ("running", "The heart"),
        ("queued", ""),
        ("running", "The"),
        ("running", "The heart is"),
        ("done", "The heart is."),
    )
    assert tokens(heard) == ["The heart", " is", "."]


def test_another_worker_may_say_something_else_and_the_end_tells_it_whole() -> None:
    heard = told(("running", "The heart"), ("running", "No"), ("done", "No effusion."))
    assert tokens(heard) == ["The heart"]
    assert heard[-1][1]["answer"] == "No effusion."


@pytest.mark.parametrize("state", ["dead", "cancelled"])
def test_a_turn_that_ends_without_an_answer_is_an_error(state: str) -> None:
    assert told(("running", "The"), (state, "The"))[-1] == ("error", {"state": state})


def test_a_listener_who_may_not_go_on_hears_nothing_more() -> None:
    looks = iter([None])

    async def listen() -> list[tuple[str, object]]:
        first = replace(FIRST, state="running", answer="The")
        return [(str(one.event), json.loads(str(one.data))) async for one in growing(first, lambda: next(looks))]

    assert asyncio.run(listen()) == [("token", {"text": "The"}), ("error", {"state": "signed_out"})]

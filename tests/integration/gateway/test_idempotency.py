"""The Idempotency-Key, on real services."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from sqlalchemy import Connection, text

from tests.support.api_keys import create_api_key
from tests.support.ledger_tools import no_errors, together
from xraygpt_core.db import Database
from xraygpt_core.errors import Conflict, InvalidRequest, Refused, Unavailable
from xraygpt_core.ledger.access.idempotency import Answer, Attempt, answered, forget_answers, once, once_in_steps
from xraygpt_core.ledger.transaction import Ledger

World = Any
ATTEMPT = Attempt("tests", "POST /v1/x", "key-1", b"{}")


def counted(answers: list[Answer]) -> Any:
    def action(_ledger: Ledger) -> Answer:
        answers.append({"number": len(answers) + 1})
        return answers[-1]

    return action


def make_older(ledger: Ledger, seconds: float) -> None:
    with ledger.work() as work:
        work.run("UPDATE idempotency_keys SET created_at = created_at - make_interval(secs => :age)", {"age": seconds})


def test_a_repeat_gets_the_first_answer(ledger: Ledger) -> None:
    answers: list[Answer] = []
    assert once(ledger, ATTEMPT, 202, counted(answers)) == {"number": 1}
    assert once(ledger, ATTEMPT, 202, counted(answers)) == {"number": 1}
    assert len(answers) == 1


@pytest.mark.parametrize(
    "other",
    [
        Attempt("somebody", "POST /v1/x", "key-1", b"{}"),
        Attempt("tests", "POST /v1/y", "key-1", b"{}"),
        Attempt("tests", "POST /v1/x", "key-2", b"{}"),
    ],
)
def test_another_caller_route_or_key_is_another_request(ledger: Ledger, other: Attempt) -> None:
    answers: list[Answer] = []
    once(ledger, ATTEMPT, 202, counted(answers))
    assert once(ledger, other, 202, counted(answers)) == {"number": 2}


def test_another_body_under_the_same_key_is_refused(ledger: Ledger) -> None:
    once(ledger, ATTEMPT, 202, lambda _: {})
    with pytest.raises(InvalidRequest, match="another request"):
        once(ledger, Attempt("tests", "POST /v1/x", "key-1", b"[]"), 202, lambda _: {})


def test_a_request_that_failed_may_be_sent_again(ledger: Ledger) -> None:
    def failing(_ledger: Ledger) -> Answer:
        raise Conflict("not yet")

    with pytest.raises(Conflict, match="not yet"):
        once(ledger, ATTEMPT, 202, failing)
    assert once(ledger, ATTEMPT, 202, lambda _: {"number": 1}) == {"number": 1}


class Slow:
    """An action that says when it is inside, and leaves when it is told to."""

    def __init__(self) -> None:
        self.inside, self.leave = threading.Event(), threading.Event()

    def __call__(self, _ledger: Ledger) -> Answer:
        self.inside.set()
        assert self.leave.wait(60)
        return {"number": 1}


def wait_for_lock(ledger: Ledger) -> None:
    """Until another connection to this database waits for a lock."""
    waiting = None
    while waiting is None:
        with ledger.work() as work:
            waiting = work.row(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )


def test_the_same_request_at_the_same_time_waits_for_the_first_answer(ledger: Ledger) -> None:
    slow, second = Slow(), []
    first = threading.Thread(target=once, args=(ledger, ATTEMPT, 202, slow))
    first.start()
    assert slow.inside.wait(60)
    repeat = threading.Thread(target=lambda: second.append(once(ledger, ATTEMPT, 202, lambda _: {"number": 2})))
    repeat.start()
    wait_for_lock(ledger)
    slow.leave.set()
    first.join()
    repeat.join()
    assert second == [{"number": 1}]


def test_a_repeat_that_waits_too_long_may_come_again_and_is_no_conflict(ledger: Ledger) -> None:
    slow = Slow()
    first = threading.Thread(target=once, args=(ledger, ATTEMPT, 202, slow))
    first.start()
    assert slow.inside.wait(60)
    impatient = Ledger(ledger.settings, Impatient(ledger.database.url), ledger.doorbell)
    try:
        with pytest.raises(Refused, match="right now"):
            once(impatient, ATTEMPT, 202, lambda _: {"number": 2})
    finally:
        slow.leave.set()
        first.join()
        impatient.database.close()


class Impatient(Database):
    """A database whose statements wait for a lock for a tenth of a second only."""

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        with super().transaction() as connection:
            connection.execute(text("SET LOCAL lock_timeout = 100"))
            yield connection


def test_a_request_whose_process_dies_may_be_sent_again_at_once(ledger: Ledger) -> None:
    slow, ended = Slow(), []

    def dying() -> None:
        with pytest.raises(Unavailable):
            once(ledger, ATTEMPT, 202, slow)
        ended.append(True)

    first = threading.Thread(target=dying)
    first.start()
    assert slow.inside.wait(60)
    with ledger.work() as work:
        work.row(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND state = 'idle in transaction'"
        )
    assert once(ledger, ATTEMPT, 202, lambda _: {"number": 2}) == {"number": 2}
    slow.leave.set()
    first.join()
    assert ended == [True]


def test_an_action_may_be_silent_for_longer_than_other_transactions(ledger: Ledger) -> None:
    hasty = Ledger(ledger.settings, Database(ledger.database.url, idle_seconds=2.0), ledger.doorbell)

    def silent(_ledger: Ledger) -> Answer:
        with ledger.work() as work:
            work.row("SELECT pg_sleep(3)")
        return {"number": 1}

    assert once_in_steps(hasty, ATTEMPT, 202, silent) == {"number": 1}
    hasty.database.close()


def test_as_many_requests_as_there_are_connections_do_not_wait_for_each_others(ledger: Ledger) -> None:
    small = Ledger(ledger.settings, Database(ledger.database.url, pool_size=2), ledger.doorbell)
    all_inside = threading.Barrier(4)  # each with a connection, and all of the pool's are taken

    def action(_ledger: Ledger) -> Answer:
        with suppress(threading.BrokenBarrierError):
            all_inside.wait(0.2)
        small.database.ping()
        return {"number": 1}

    attempts = [Attempt("tests", "POST /v1/x", f"key-{number}", b"{}") for number in range(4)]
    answers = together(*[lambda attempt=attempt: once_in_steps(small, attempt, 202, action) for attempt in attempts])
    small.database.close()
    assert no_errors(answers) == [{"number": 1}] * 4
    assert all_inside.broken


def test_what_was_answered_can_be_known_before_the_request_is_got_ready(ledger: Ledger) -> None:
    assert answered(ledger, ATTEMPT) is None
    once(ledger, ATTEMPT, 202, lambda _: {"number": 1})
    assert answered(ledger, ATTEMPT) == {"number": 1}
    with pytest.raises(InvalidRequest, match="another request"):
        answered(ledger, Attempt("tests", "POST /v1/x", "key-1", b"[]"))
    make_older(ledger, 24 * 3600 + 1)
    assert answered(ledger, ATTEMPT) is None


def test_an_answer_is_forgotten_after_a_day(ledger: Ledger) -> None:
    once(ledger, ATTEMPT, 202, lambda _: {"number": 1})
    make_older(ledger, 24 * 3600 + 1)
    assert forget_answers(ledger) == 1
    assert once(ledger, ATTEMPT, 202, lambda _: {"number": 2}) == {"number": 2}


def test_an_old_answer_counts_no_more_even_before_it_is_forgotten(ledger: Ledger) -> None:
    once(ledger, ATTEMPT, 202, lambda _: {"number": 1})
    make_older(ledger, 24 * 3600 + 1)
    assert once(ledger, ATTEMPT, 202, lambda _: {"number": 2}) == {"number": 2}


# Over HTTP


def test_a_repeated_question_is_asked_once(world: World) -> None:
    study_id, _ = world.summarised()
    path, headers = f"/v1/studies/{study_id}/chat", {"Idempotency-Key": "k"}
    first, second = (world.client.post(path, json={"question": "Why?"}, headers=headers) for _ in range(2))
    assert (second.status_code, second.json()) == (202, first.json())
    assert len(world.client.get(path).json()["turns"]) == 1


def test_without_a_key_every_question_counts(world: World) -> None:
    study_id, _ = world.summarised()
    path = f"/v1/studies/{study_id}/chat"
    for _ in range(2):
        world.client.post(path, json={"question": "Why?"})
    assert len(world.client.get(path).json()["turns"]) == 2


def test_another_question_under_the_same_key_is_refused(world: World) -> None:
    study_id, _ = world.summarised()
    path, headers = f"/v1/studies/{study_id}/chat", {"Idempotency-Key": "k"}
    world.client.post(path, json={"question": "Why?"}, headers=headers)
    answer = world.client.post(path, json={"question": "How?"}, headers=headers)
    assert answer.status_code == 422
    assert "Idempotency-Key" in answer.json()["detail"]


def test_a_repeated_submission_tells_the_source_that_is_not_stored(world: World) -> None:
    uri = world.put("in/DOE.dcm")
    body, headers = {"objects": [{"uri": uri}]}, {"Idempotency-Key": "k"}
    first, second = (world.client.post("/v1/studies", json=body, headers=headers).json() for _ in range(2))
    assert first == second
    assert second["images"][0]["source"] == uri
    with world.ledger.work() as work:
        assert "DOE" not in str(work.rows("SELECT * FROM idempotency_keys"))


def test_no_connection_is_held_while_the_bucket_is_asked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    head, held = world.store.head, []

    def slow_head(bucket: str, key: str) -> Any:
        with world.ledger.work() as work:
            held.append(
                work.row(
                    "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() "
                    "AND state LIKE 'idle in transaction%'"
                )["n"]
            )
        return head(bucket, key)

    monkeypatch.setattr(world.store, "head", slow_head)
    body, headers = {"objects": [{"uri": world.put("in/a.dcm")}]}, {"Idempotency-Key": "k"}
    first, second = (world.client.post("/v1/studies", json=body, headers=headers) for _ in range(2))
    assert first.status_code == 202
    assert first.json() == second.json()
    assert held == [0], "and the repeat asks the bucket nothing"


def test_a_stranger_learns_nothing_from_a_key_somebody_used(world: World) -> None:
    uri = world.put("in/a.dcm")
    body, headers = {"objects": [{"uri": uri}]}, {"Idempotency-Key": "k"}
    world.client.post("/v1/studies", json=body, headers=headers)
    assert world.stranger.post("/v1/studies", json=body, headers=headers).status_code == 401


def test_two_callers_may_use_the_same_key(world: World) -> None:
    study_id, _ = world.summarised()
    path = f"/v1/studies/{study_id}/chat"
    other = {"X-API-Key": create_api_key(world.ledger, "others"), "Idempotency-Key": "k"}
    world.client.post(path, json={"question": "Why?"}, headers={"Idempotency-Key": "k"})
    world.stranger.post(path, json={"question": "How?"}, headers=other)
    assert len(world.client.get(path).json()["turns"]) == 2


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_an_impossible_key_is_refused(shared: World, key: str) -> None:
    answer = shared.client.post("/v1/dead/replay", json={"all": True}, headers={"Idempotency-Key": key})
    assert answer.status_code == 422

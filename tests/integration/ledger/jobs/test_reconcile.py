"""Dispatch and reconcile on a real database and a real broker: what was lost comes back, and no queue overflows."""

from collections.abc import Callable, Iterator

import pytest
import redis
from pydantic import SecretStr

from tests.support.ledger_tools import (
    do,
    expire,
    image_state,
    ingest,
    job,
    job_of,
    no_errors,
    one,
    put,
    state_of,
    take,
    together,
)
from xraygpt_core.errors import Unavailable
from xraygpt_core.ledger.jobs.claims import claim_next, fail
from xraygpt_core.ledger.jobs.reconcile import tick
from xraygpt_core.ledger.studies.register import ObjectRef, register_objects
from xraygpt_core.ledger.transaction import Ledger, open_ledger
from xraygpt_core.settings import Settings
from xraygpt_core.states import JobKind, Lane

INGEST = [(JobKind.INGEST, lane) for lane in Lane]

pytestmark = pytest.mark.usefixtures("sound")


def many(ledger: Ledger, count: int, lane: Lane = Lane.BACKLOG) -> None:
    register_objects(ledger, [ObjectRef("source", f"k{n}", "e") for n in range(count)], lane, actor="test")


def length(ledger: Ledger, queue: str = "ingest.backlog") -> int:
    return ledger.doorbell.lengths([queue])[queue]


def flush(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()


@pytest.fixture
def small(make_settings: Callable[..., Settings]) -> Iterator[Ledger]:
    """The same ledger with a window of ten messages."""
    opened = open_ledger(make_settings(window=10))
    yield opened
    opened.close()


def test_a_backlog_wakes_as_many_as_the_window_holds(small: Ledger) -> None:
    many(small, 50)
    assert tick(small).rung == 10
    assert length(small) == 10
    assert tick(small).rung == 0
    assert length(small) == 10


def test_a_few_jobs_wake_no_more_than_so_many(small: Ledger) -> None:
    many(small, 3)
    assert tick(small).rung == 3
    assert length(small) == 3


def test_the_window_holds_over_many_rounds_of_work(small: Ledger, redis_url: str) -> None:
    many(small, 60)
    longest = 0
    with redis.Redis.from_url(redis_url) as client:
        for _ in range(20):
            tick(small)
            longest = max(longest, length(small))
            for _ in range(4):
                client.brpop("ingest.backlog", timeout=1)
            claim_next(small, INGEST, "w", limit=4)
    assert longest <= 10


def test_a_queue_that_is_too_long_already_gets_nothing(small: Ledger, ledger: Ledger) -> None:
    many(ledger, 30, Lane.ROUTINE)
    assert length(ledger, "ingest.routine") == 30
    put(small)
    assert length(ledger, "ingest.routine") == 30


def test_a_message_nobody_has_taken_yet_is_enough_for_one_more_job(ledger: Ledger) -> None:
    for _ in range(5):
        put(ledger)
    assert length(ledger, "ingest.routine") == 1
    assert tick(ledger).rung == 4


def test_a_new_job_of_another_lane_is_not_held_up_by_a_full_queue(small: Ledger) -> None:
    many(small, 50)
    tick(small)
    put(small, "urgent", lane=Lane.STAT)
    assert length(small, "ingest.stat") == 1


def test_what_the_broker_forgot_is_rung_again(ledger: Ledger, redis_url: str) -> None:
    many(ledger, 20, Lane.ROUTINE)
    flush(redis_url)
    assert tick(ledger).rung == 20
    assert length(ledger, "ingest.routine") == 20
    assert tick(ledger).rung == 0


def test_a_paused_job_wakes_nobody(ledger: Ledger) -> None:
    many(ledger, 5)
    do(ledger, "UPDATE jobs SET not_before = 'infinity'")
    assert tick(ledger).rung == 0
    assert claim_next(ledger, INGEST, "w", limit=5) == []


def test_a_job_in_its_pause_is_rung_when_the_pause_is_over(ledger: Ledger, redis_url: str) -> None:
    slow = Ledger(ledger.settings.model_copy(update={"retry_seconds": 600.0}), ledger.database, ledger.doorbell)
    got = take(ledger, JobKind.INGEST, put(ledger).image_id)
    fail(slow, got, "no")
    flush(redis_url)
    assert tick(ledger).rung == 0
    do(ledger, "UPDATE jobs SET not_before = clock_timestamp()")
    assert tick(ledger).rung == 1
    assert [one.job_id for one in claim_next(ledger, INGEST, "w")] == [got.job_id]


def test_an_expired_job_is_queued_again_and_rung_in_the_same_round(ledger: Ledger, redis_url: str) -> None:
    got = take(ledger, JobKind.INGEST, put(ledger).image_id)
    flush(redis_url)
    expire(ledger, got.job_id)
    did = tick(ledger)
    assert (did.requeued, did.buried, did.rung) == (1, 0, 1)
    found = job(ledger, got.job_id)
    assert (found["state"], found["attempts"], found["last_error"]) == ("queued", 1, "the worker was lost")


def test_a_live_lease_is_left_alone(ledger: Ledger) -> None:
    got = take(ledger, JobKind.INGEST, put(ledger).image_id)
    did = tick(ledger)
    assert (did.requeued, did.buried, did.rung) == (0, 0, 0)
    assert job(ledger, got.job_id)["state"] == "running"


def test_a_job_whose_last_worker_was_lost_is_dead_with_its_cause(ledger: Ledger) -> None:
    registered = put(ledger)
    job_id = job_of(ledger, JobKind.INGEST, registered.image_id)
    for _ in range(ledger.settings.max_attempts - 1):
        fail(ledger, take(ledger, JobKind.INGEST, registered.image_id), "the codec crashed")
    take(ledger, JobKind.INGEST, registered.image_id)
    expire(ledger, job_id)
    did = tick(ledger)
    assert (did.requeued, did.buried) == (0, 1)
    assert job(ledger, job_id)["last_error"] == (
        "the worker was lost in attempt 5 of as many; before that: the codec crashed"
    )
    assert image_state(ledger, registered.image_id) == ("dead", None)
    assert state_of(ledger, registered.study_id) == "dead"
    assert tick(ledger).buried == 0


def test_leaders_at_the_same_moment_do_nothing_twice(ledger: Ledger) -> None:
    many(ledger, 40)
    lost = [take(ledger, JobKind.INGEST, put(ledger).image_id) for _ in range(3)]
    for got in lost:
        expire(ledger, got.job_id)
    did = no_errors(together(*[lambda: tick(ledger)] * 6))
    assert any(one.leader for one in did)
    assert sum(one.requeued for one in did) == 3
    window = ledger.settings.window
    assert window <= length(ledger) <= 2 * window
    assert 1 <= length(ledger, "ingest.routine") <= 6


def test_who_does_not_lead_does_nothing(ledger: Ledger) -> None:
    many(ledger, 5)
    with ledger.work() as work:
        work.run("SELECT pg_advisory_xact_lock(:key)", {"key": 0x58524159})
        did = tick(ledger)
    assert not did.leader
    assert (did.requeued, did.buried, did.rung) == (0, 0, 0)
    assert tick(ledger).rung == 5


def test_a_row_that_is_being_written_does_not_stop_the_round(ledger: Ledger) -> None:
    stuck, lost = (take(ledger, JobKind.INGEST, put(ledger).image_id) for _ in range(2))
    for got in (stuck, lost):
        expire(ledger, got.job_id)
    with ledger.work() as work:
        work.run("SELECT FROM jobs WHERE id = :id FOR UPDATE", {"id": stuck.job_id})
        assert tick(ledger).requeued == 1
    assert tick(ledger).requeued == 1


def test_a_broker_that_is_away_costs_a_registration_nothing_and_a_round_everything(
    make_settings: Callable[..., Settings], ledger: Ledger
) -> None:
    deaf = open_ledger(make_settings(redis_url=SecretStr("redis://127.0.0.1:1/0")))
    registered = put(deaf)
    assert registered.new
    with pytest.raises(Unavailable):
        tick(deaf)
    deaf.close()
    assert tick(ledger).rung == 1


def test_every_kind_and_lane_is_dispatched(ledger: Ledger, redis_url: str) -> None:
    for lane in Lane:
        put(ledger, lane=lane)
    ingest(ledger, put(ledger))
    flush(redis_url)
    assert tick(ledger).rung == one(ledger, "SELECT count(*) FROM jobs WHERE state = 'queued'") == 4
    assert [length(ledger, f"ingest.{lane}") for lane in Lane] == [1, 1, 1]
    assert length(ledger, "settle.routine") == 1

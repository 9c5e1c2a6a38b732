"""Faults, one after the other, in a system at work. Nothing is lost, nothing is done twice, and it recovers in time.

The short form of each is part of every test run; ``make chaos`` repeats them with ``XRAYGPT_CHAOS_ROUNDS``.
"""

import os
import random
import signal
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import redis

from tests.chaos.arena import LIMIT_SECONDS, Arena
from tests.chaos.faulty_s3 import Trouble
from workers.sweep import sweep_bucket
from xraygpt_core.metrics import MISSED_BY_EVENT
from xraygpt_core.storage import ObjectStore

ROUNDS = int(os.environ.get("XRAYGPT_CHAOS_ROUNDS", "1"))
OUTAGE_SECONDS = 60.0 if ROUNDS > 1 else 2.0
LOAD = 20

pytestmark = pytest.mark.timeout(900 * ROUNDS)  # more than its waits together, which tell more


@pytest.fixture(params=range(ROUNDS))
def again(request: pytest.FixtureRequest) -> int:
    """Once, or as often as the long form says."""
    number: int = request.param
    return number


def within_the_limit(arena: Arena, fault: str, *, beside: float = 0.0) -> None:
    """The promised time is checked in the long form, with the machine to itself; the short form reports it."""
    if ROUNDS > 1:
        assert arena.recoveries[fault][-1] <= LIMIT_SECONDS + beside, f"{fault}: {arena.recoveries[fault]}"


@pytest.mark.parametrize("role", ["gateway", "ingest", "gpu", "control"])
def test_a_killed_process_costs_time_and_nothing_else(arena: Arena, role: str, again: int) -> None:
    victim = "gateway" if role == "gateway" else f"{role}-{random.choice('12')}"
    events = arena.upload(LOAD)
    arena.tell(events[: LOAD // 2])
    if role in {"ingest", "gpu"}:
        arena.make_busy(victim, LOAD)
    arena.kill(victim)
    arena.tell(events[LOAD // 2 :])
    with arena.recovering(f"SIGKILL {role}"):
        pass
    within_the_limit(arena, f"SIGKILL {role}")


@pytest.mark.parametrize("role", ["ingest", "gpu"])
def test_a_zombie_that_wakes_up_changes_nothing(arena: Arena, role: str, again: int) -> None:
    """Stopped past its lease: somebody else does the work, and what the zombie then brings is refused."""
    victim = f"{role}-1"
    held = freeze_at_work(arena, victim)
    pid = arena.children[victim].pid
    lost = arena.log(victim).count("lease lost")
    with arena.recovering(f"SIGSTOP {role}"):
        pass
    within_the_limit(arena, f"SIGSTOP {role}")
    arena.settle_down()
    before = arena.rows("SELECT id, job_id, lease_epoch, summary FROM summaries ORDER BY id")
    arena.children[victim].send(signal.SIGCONT)
    done = arena.rows("SELECT claimed_by FROM jobs WHERE id = ANY(%s)", held)
    assert not any(f"-{pid}@" in row["claimed_by"] for row in done)
    arena.wait_until(lambda: arena.log(victim).count("lease lost") > lost, "the zombie was refused")
    assert arena.rows("SELECT id, job_id, lease_epoch, summary FROM summaries ORDER BY id") == before


def test_a_broker_that_forgets_everything_is_filled_again(arena: Arena, again: int) -> None:
    arena.load(LOAD)
    with redis.Redis.from_url(arena.broker.url) as client, arena.recovering("FLUSHALL"):
        client.flushall()
    within_the_limit(arena, "FLUSHALL")


def test_a_broker_that_stands_still_delays_and_loses_nothing(arena: Arena, again: int) -> None:
    arena.load(LOAD // 2)
    os.kill(arena.broker.pid, signal.SIGSTOP)
    with arena.recovering("broker paused"):
        try:
            psycopg_sleep(arena, OUTAGE_SECONDS)
        finally:
            os.kill(arena.broker.pid, signal.SIGCONT)
    # kombu notices a connection that went silent by its own clock.
    within_the_limit(arena, "broker paused", beside=OUTAGE_SECONDS)


def test_a_killed_broker_is_rung_again(arena: Arena, again: int) -> None:
    arena.load(LOAD)
    os.kill(arena.broker.pid, signal.SIGKILL)
    with arena.recovering("SIGKILL broker"):
        arena.wait_until(lambda: not arena.broker.running, "the broker is dead")
        arena.broker.start()
    within_the_limit(arena, "SIGKILL broker")


def test_a_full_broker_refuses_and_loses_nothing(arena: Arena, again: int) -> None:
    with redis.Redis.from_url(arena.broker.url) as client:
        client.config_set("maxmemory", "1")
        try:
            arena.load(LOAD)  # accepted, although nobody can be rung
        finally:
            with arena.recovering("broker full"):
                client.config_set("maxmemory", "0")
    within_the_limit(arena, "broker full")


def test_a_killed_database_comes_back_with_everything_it_confirmed(arena: Arena, again: int) -> None:
    arena.load(LOAD)
    confirmed = arena.value("SELECT count(*) FROM images")
    with arena.recovering("SIGKILL PostgreSQL"):
        os.kill(arena.postgres.pid, signal.SIGKILL)
        arena.wait_until(lambda: not arena.postgres.running, "the database is dead")
        arena.postgres.start()
    within_the_limit(arena, "SIGKILL PostgreSQL")
    assert arena.value("SELECT count(*) FROM images") == confirmed


def test_a_database_that_drops_every_connection_costs_nothing(arena: Arena, again: int) -> None:
    arena.load(LOAD)
    with arena.recovering("connections dropped"):
        arena.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    within_the_limit(arena, "connections dropped")


def test_a_database_that_takes_no_writes_delays_and_loses_nothing(arena: Arena, again: int) -> None:
    """As hosted servers do when their disk is full, or after a fail-over to a replica."""
    events = arena.upload(LOAD)
    arena.tell(events[: LOAD // 2])
    only_reading(arena, True)
    try:
        psycopg_sleep(arena, 1.0)
    finally:
        with arena.recovering("PostgreSQL read-only"):
            only_reading(arena, False)
    arena.tell(events[LOAD // 2 :])
    within_the_limit(arena, "PostgreSQL read-only")


@pytest.mark.parametrize(
    ("trouble", "share"), [("busy", 0.5), ("slow", 0.3), ("truncated", 0.5), ("reset", 0.3), ("full", 1.0)]
)
def test_a_bucket_in_trouble_is_asked_again(arena: Arena, trouble: Trouble, share: float, again: int) -> None:
    with arena.bucket_proxy.in_trouble(trouble, share):
        arena.load(LOAD)
        arena.wait_until(lambda: arena.bucket_proxy.troubled > 3, "the bucket is in trouble")
    with arena.recovering(f"bucket {trouble}"):
        pass
    within_the_limit(arena, f"bucket {trouble}")


@pytest.mark.parametrize("trouble", ["busy", "reset"])
def test_a_bucket_that_is_away_costs_time_and_no_attempts(arena: Arena, trouble: Trouble, again: int) -> None:
    failures = "SELECT count(*) FROM timeline WHERE what LIKE '% failed'"
    before = arena.value(failures)
    with arena.bucket_proxy.in_trouble(trouble, 1.0):
        arena.load(LOAD)
        arena.wait_until(lambda: arena.bucket_proxy.troubled > 3, "the bucket is away")
        psycopg_sleep(arena, OUTAGE_SECONDS)
        assert arena.value(failures) == before
    with arena.recovering(f"bucket away ({trouble})"):
        pass
    within_the_limit(arena, f"bucket away ({trouble})")


def test_an_object_that_was_replaced_between_event_and_read_is_read_as_it_is_now(arena: Arena, again: int) -> None:
    keys = [f"films/replaced-{again}-{number}.dcm" for number in range(6)]
    for name in ("ingest-1", "ingest-2"):
        arena.children[name].send(signal.SIGSTOP)
    try:
        arena.tell([arena.put(key, f"before {key}".encode()) for key in keys])
        late = [arena.put(key, f"after {key}".encode()) for key in keys]
    finally:
        for name in ("ingest-1", "ingest-2"):
            arena.children[name].send(signal.SIGCONT)
    with arena.recovering("object replaced"):
        pass
    within_the_limit(arena, "object replaced")
    arena.tell(late[:3])  # the second event comes late, or never
    arena.settle_down()
    found = arena.rows(
        "SELECT k.key, count(*) FILTER (WHERE i.reason_code = 'replaced') AS replaced, "
        "count(*) FILTER (WHERE i.state = 'accepted' AND s.state = 'summarised') AS read "
        "FROM object_keys k JOIN images i ON i.id = k.image_id JOIN studies s ON s.id = i.study_id "
        "WHERE k.key = ANY(%s) GROUP BY k.key",
        keys,
    )
    assert sorted((row["key"], row["replaced"], row["read"]) for row in found) == [(key, 1, 1) for key in sorted(keys)]


def test_workers_whose_clocks_disagree_agree_on_the_work(arena: Arena, again: int) -> None:
    """Ten minutes fast, ten minutes slow: the clock that counts is the database's. The slow one is killed at work."""
    arena.kill("ingest-1", CHAOS_CLOCK_SKEW="600")
    arena.kill("gpu-1", CHAOS_CLOCK_SKEW="-600")
    arena.make_busy("gpu-1", LOAD)
    arena.kill("gpu-1")
    with arena.recovering("clock skew and SIGKILL"):
        pass
    within_the_limit(arena, "clock skew and SIGKILL")


@pytest.mark.parametrize("role", ["ingest", "gpu", "control"])
def test_a_worker_that_is_told_to_stop_leaves_nothing_running(arena: Arena, role: str, again: int) -> None:
    name = f"{role}-2"
    if role == "control":
        arena.load(LOAD)
    else:
        arena.make_busy(name, LOAD)
    arena.children[name].send(signal.SIGTERM)
    assert arena.children[name].wait(60)  # longer than it may take to drain
    # The control process shows no job to wait for: it may be told before it has begun, and then has nothing to drain.
    assert arena.children[name].exit_code in ({0, -signal.SIGTERM} if role == "control" else {0})
    assert not arena.busy(name)  # nothing is left to its lease
    with arena.recovering(f"SIGTERM {role}"):
        pass
    within_the_limit(arena, f"SIGTERM {role}")


def test_what_no_event_announced_the_sweep_finds_and_counts(arena: Arena, again: int) -> None:
    events = arena.upload(LOAD)
    told = random.sample(events, LOAD // 2)
    arena.tell(told)
    with arena.ledger() as ledger:
        before = MISSED_BY_EVENT._value.get()
        now = datetime.now(UTC)
        store = ObjectStore(ledger.settings)
        since, until = now - timedelta(hours=1), now + timedelta(hours=1)
        assert sweep_bucket(ledger, store, since, until).missed == LOAD - len(told)
        assert sweep_bucket(ledger, store, since, until).missed == 0
        assert MISSED_BY_EVENT._value.get() == before + LOAD - len(told)
    arena.tell(events)  # they come after all
    with arena.recovering("events dropped"):
        pass


def freeze_at_work(arena: Arena, victim: str) -> list[Any]:
    """Stop it while it holds jobs; which. What it has just finished, or a lease that ran out meanwhile, is none."""
    for _ in range(20):
        arena.make_busy(victim, LOAD)
        arena.freeze(victim)
        if held := arena.held(victim):
            return held
        arena.children[victim].send(signal.SIGCONT)
    raise AssertionError(f"{victim} never held a job when it was stopped\n{arena.told()}")


def psycopg_sleep(arena: Arena, seconds: float) -> None:
    """Let so much time pass for the processes; the fault is its length."""
    with psycopg.connect(arena.postgres.url, autocommit=True) as connection:
        connection.execute("SELECT pg_sleep(%s)", [seconds])


def only_reading(arena: Arena, yes: bool) -> None:
    with arena.postgres._superuser("postgres") as connection:
        connection.execute(f"ALTER SYSTEM SET default_transaction_read_only = {'on' if yes else 'off'}")
        connection.execute("SELECT pg_reload_conf()")

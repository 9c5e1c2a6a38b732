"""How much there is to do and who is at it, counted in the indexes of open work and never through finished jobs."""

import time
from typing import Any

import pytest

from tests.support.ledger_tools import expire, put, rows, take
from xraygpt_core.ledger.jobs import status
from xraygpt_core.ledger.jobs.claims import claim_next, fail
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import JobKind, Lane


def test_open_and_dead_work_is_counted_by_kind_lane_and_state(ledger: Ledger) -> None:
    put(ledger, lane=Lane.STAT)
    put(ledger, lane=Lane.BACKLOG)
    put(ledger, lane=Lane.BACKLOG)
    take(ledger, JobKind.INGEST, put(ledger, lane=Lane.BACKLOG).image_id)
    fail(ledger, take(ledger, JobKind.INGEST, put(ledger).image_id), "no", retry=False)
    counts = {(row["kind"], row["lane"], row["state"]): row["jobs"] for row in status.status_counts(ledger)}
    assert counts == {
        ("ingest", "stat", "queued"): 1,
        ("ingest", "backlog", "queued"): 2,
        ("ingest", "backlog", "running"): 1,
        ("ingest", "routine", "dead"): 1,
    }


def test_what_waits_for_its_time_counts_as_queued_and_the_oldest_of_all_is_the_oldest(ledger: Ledger) -> None:
    put(ledger)
    put(ledger)
    with ledger.work() as work:
        work.run(
            "UPDATE jobs SET not_before = 'infinity', created_at = created_at - interval '1 hour' "
            "WHERE id = (SELECT id FROM jobs ORDER BY id DESC LIMIT 1)"
        )
    (count,) = status.status_counts(ledger)
    assert (count["state"], count["jobs"]) == ("queued", 2)
    assert 3600 <= count["oldest_seconds"] < 3700


def test_the_oldest_of_a_queue_is_the_one_that_came_first(ledger: Ledger) -> None:
    put(ledger)
    with ledger.work() as work:
        work.run("UPDATE jobs SET created_at = created_at - interval '1 minute'")
    put(ledger)
    (count,) = status.status_counts(ledger)
    assert 60 <= count["oldest_seconds"] < 120


def test_finished_jobs_are_not_read_to_count_the_open_ones(ledger: Ledger) -> None:
    with ledger.work() as work:
        work.run(
            "INSERT INTO jobs (id, kind, subject, key, lane_rank, max_attempts, state) "
            "SELECT gen_random_uuid(), 'ingest', gen_random_uuid(), n::text, 2, 5, 'done' "
            "FROM generate_series(1, 5000) AS n"
        )
        work.run("ANALYZE jobs")
    plan = "\n".join(str(row["QUERY PLAN"]) for row in rows(ledger, f"EXPLAIN {status._COUNTS}"))
    assert "Seq Scan on jobs" not in plan


def test_workers_are_listed_with_what_they_hold_and_for_how_long(ledger: Ledger) -> None:
    for _ in range(3):
        put(ledger)
    queues = [(JobKind.INGEST, Lane.ROUTINE)]
    lost = claim_next(ledger, queues, "ingest-1@a", limit=2)
    claim_next(ledger, queues, "ingest-2@b")
    expire(ledger, lost[0].job_id)
    found = {row["worker"]: row for row in status.workers(ledger)}
    assert {name: (row["kind"], row["jobs"]) for name, row in found.items()} == {
        "ingest-1@a": ("ingest", 2),
        "ingest-2@b": ("ingest", 1),
    }
    assert found["ingest-1@a"]["lease_seconds"] < 0 < found["ingest-2@b"]["lease_seconds"]
    assert found["ingest-2@b"]["oldest_seconds"] >= 0


def test_a_count_that_takes_long_is_kept_for_a_while(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def slow(_: Ledger) -> list[dict[str, Any]]:
        asked.append(1)
        if len(asked) == 1:
            time.sleep(0.06)
        return [{"jobs": len(asked)}]

    monkeypatch.setattr(status, "status_counts", slow)
    monkeypatch.setattr(status, "_SHARE", 2000)  # two minutes: no stall of the machine is as long
    counts = status.Counts(ledger)
    assert [counts(), counts()] == [[{"jobs": 1}]] * 2


def test_a_quick_count_is_made_anew_each_time(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "_LONG_SECONDS", 60.0)  # the first one connects, and the machine may be busy
    counts = status.Counts(ledger)
    assert counts() == []
    put(ledger)
    assert len(counts()) == 1


def test_texts_of_the_last_minute_are_counted_by_their_index(ledger: Ledger) -> None:
    assert status.summarised_within(ledger, 60.0) == 0
    with ledger.work() as work:
        work.run("SET LOCAL enable_seqscan = off")
        plan = work.rows(f"EXPLAIN {status._LATELY}", {"seconds": 60.0})
    assert "ix_summaries_summarised_at" in str([dict(line) for line in plan])

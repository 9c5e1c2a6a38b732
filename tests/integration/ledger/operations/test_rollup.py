"""The rollups say what the jobs say, whatever was late, repeated, replayed or interrupted."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.ledger_tools import begun, do, ingest, one, put, reject, rows, take, together, whole_study
from workers.rollups import Rollups
from xraygpt_core.ids import first_id, new_id
from xraygpt_core.ledger.jobs.claims import fail
from xraygpt_core.ledger.jobs.replay import replay_dead
from xraygpt_core.ledger.jobs.status import status_counts
from xraygpt_core.ledger.operations.gauges import note_backlogs, note_queues
from xraygpt_core.ledger.operations.rollup import BUCKET, KEPT_DAYS, bucket_of, forget_old, roll_up
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import JobKind, Lane

FIGURES = ("arrived", "done", "dead", "cancelled", "retried", "tokens")


def counted(ledger: Ledger) -> dict[tuple[str, int], dict[str, int]]:
    """The rollup, over all time, by kind and lane."""
    sums = ", ".join(f"sum({name})::int AS {name}" for name in FIGURES)
    found = rows(ledger, f"SELECT kind, lane_rank, {sums} FROM work_rollup GROUP BY 1, 2")
    return {(row.pop("kind"), row.pop("lane_rank")): row for row in found}


def in_jobs(ledger: Ledger) -> dict[tuple[str, int], dict[str, int]]:
    """The same, from every job there is."""
    found = rows(
        ledger,
        """
        SELECT kind, j.lane_rank, count(*)::int AS arrived, count(*) FILTER (WHERE state = 'done')::int AS done,
               count(*) FILTER (WHERE state = 'dead')::int AS dead,
               count(*) FILTER (WHERE state = 'cancelled')::int AS cancelled,
               COALESCE(sum(GREATEST(attempts - 1, 0)) FILTER (WHERE finished_at IS NOT NULL), 0)::int AS retried,
               COALESCE(sum(tokens), 0)::int AS tokens
        FROM jobs j LEFT JOIN summaries s ON s.job_id = j.id GROUP BY 1, 2
        """,
    )
    return {(row.pop("kind"), row.pop("lane_rank")): row for row in found}


def with_failures(ledger: Ledger) -> None:
    """A run in which something of everything happens."""
    for _ in range(3):
        whole_study(ledger)
    reject(ledger, put(ledger, lane=Lane.STAT))
    dead = put(ledger)
    fail(ledger, take(ledger, JobKind.INGEST, dead.image_id), "the codec crashed", retry=False)
    again = put(ledger)
    fail(ledger, take(ledger, JobKind.INGEST, again.image_id), "the bucket was away")
    ingest(ledger, again)
    put(ledger, lane=Lane.BACKLOG)
    do(ledger, "UPDATE jobs SET state = 'cancelled', finished_at = clock_timestamp() WHERE kind = 'settle'"
               " AND state = 'queued'")  # fmt: skip


def test_after_a_run_with_failures_the_rollup_says_what_the_jobs_say(ledger: Ledger) -> None:
    with_failures(ledger)
    rolled = roll_up(ledger)
    assert rolled is not None
    assert rolled.present
    assert counted(ledger) == in_jobs(ledger)
    assert counted(ledger)["summarise", 1]["tokens"] == 27


def test_a_round_that_is_repeated_or_done_by_several_at_once_counts_everything_once(ledger: Ledger) -> None:
    with_failures(ledger)
    results = together(*[lambda: roll_up(ledger)] * 4)
    assert not [error for error in results if isinstance(error, BaseException)]
    assert any(results)
    roll_up(ledger)
    assert counted(ledger) == in_jobs(ledger)


def test_a_row_that_was_committed_late_is_counted_by_the_next_round(ledger: Ledger) -> None:
    roll_up(ledger)
    late = datetime.now(UTC) - timedelta(minutes=6)
    do(ledger, "INSERT INTO jobs (id, kind, subject, key, lane_rank, state, attempts, max_attempts, claimed_by,"
               " created_at, started_at, finished_at)"
               " VALUES (:id, 'ingest', :id, 'late', 1, 'done', 2, 5, 'w', :at, :at, :at)",
       id=new_id(), at=late)  # fmt: skip
    roll_up(ledger)
    assert counted(ledger)["ingest", 1] == {
        "arrived": 1, "done": 1, "dead": 0, "cancelled": 0, "retried": 1, "tokens": 0,
    }  # fmt: skip


def test_a_dead_job_that_was_replayed_counts_as_dead_no_more(ledger: Ledger) -> None:
    image = put(ledger)
    fail(ledger, take(ledger, JobKind.INGEST, image.image_id), "no room", retry=False)
    roll_up(ledger)
    assert counted(ledger)["ingest", 1]["dead"] == 1
    assert replay_dead(ledger) == 1
    roll_up(ledger)
    assert counted(ledger)["ingest", 1]["dead"] == 0


def test_what_was_there_before_the_rollups_is_counted_an_hour_at_a_time(ledger: Ledger) -> None:
    for hours in (1, 30, 100, 400):
        do(ledger, "INSERT INTO jobs (id, kind, subject, key, lane_rank, state, max_attempts, created_at, finished_at)"
                   " VALUES (:id, 'ingest', :id, :key, 1, 'done', 5, :at, :at)", id=id_of(hours), key=str(hours),
           at=datetime.now(UTC) - timedelta(hours=hours))  # fmt: skip
    rolled = roll_up(ledger)
    assert rolled is not None
    assert not rolled.present  # it begins a hundred hours ago
    assert Rollups(ledger).round()
    assert counted(ledger)["ingest", 1]["done"] == 3  # the last week
    assert counted(ledger)["ingest", 1]["arrived"] == 3


def id_of(hours: int) -> Any:
    """An id as it was made so long ago."""
    return type(new_id())(int=first_id(datetime.now(UTC) - timedelta(hours=hours)).int | hours)


def test_a_new_process_goes_on_where_the_rollups_end(ledger: Ledger) -> None:
    with_failures(ledger)
    assert Rollups(ledger).round()
    whole_study(ledger)
    assert Rollups(ledger).round()
    assert counted(ledger) == in_jobs(ledger)


def test_each_worker_has_its_jobs_its_seconds_and_its_bundle(ledger: Ledger) -> None:
    whole_study(ledger)
    roll_up(ledger)
    found = {row["kind"]: row for row in rows(ledger, "SELECT * FROM worker_rollup")}
    assert {(row["worker"], row["jobs"]) for row in found.values()} == {("worker-1", 1)}
    assert (found["summarise"]["bundle"], found["summarise"]["tokens"]) == ("demo", 9)
    assert found["ingest"]["bundle"] is None
    assert all(row["busy_seconds"] >= 0 for row in found.values())


def test_the_worst_look_at_a_queue_within_five_minutes_stays(ledger: Ledger) -> None:
    put(ledger)
    do(ledger, "UPDATE jobs SET created_at = clock_timestamp() - interval '90 seconds'")
    note_queues(ledger, status_counts(ledger))
    do(ledger, "UPDATE jobs SET created_at = clock_timestamp()")
    put(ledger)
    note_queues(ledger, status_counts(ledger))
    roll_up(ledger)
    found = one(ledger, "SELECT max(oldest_seconds) FROM work_rollup")
    assert 90 <= found < 600
    assert one(ledger, "SELECT max(waiting_max) FROM work_rollup") == 2


def test_an_open_backlog_is_noted_and_closed_when_its_last_image_ended(ledger: Ledger) -> None:
    backlog_id, images = begun(ledger, 2)
    assert note_backlogs(ledger) == 1
    for image in images:
        reject(ledger, image)
    note_backlogs(ledger)
    assert one(ledger, "SELECT state FROM backlogs WHERE id = :id", id=backlog_id) == "done"
    note_backlogs(ledger)
    assert note_backlogs(ledger) == 0
    (last,) = rows(ledger, "SELECT registered, rejected, open FROM backlog_rollup ORDER BY bucket DESC LIMIT 1")
    assert last == {"registered": 2, "rejected": 2, "open": 0}


def test_only_one_process_counts_at_a_time(ledger: Ledger) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with ledger.work() as work:
            work.rows("SELECT pg_advisory_xact_lock(1481789260)")
            inside.set()
            assert go_on.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    assert inside.wait(60)
    assert roll_up(ledger) is None
    go_on.set()
    thread.join()
    assert roll_up(ledger) is not None


def test_old_rollups_are_forgotten_and_young_ones_kept(ledger: Ledger) -> None:
    for days in (KEPT_DAYS - 1, KEPT_DAYS + 1):
        do(ledger, "INSERT INTO work_rollup (bucket, kind, lane_rank) VALUES (:at, 'ingest', 1)",
           at=datetime.now(UTC) - timedelta(days=days))  # fmt: skip
    forget_old(ledger)
    assert one(ledger, "SELECT count(*) FROM work_rollup") == 1


def test_a_round_reads_no_table_from_end_to_end(ledger: Ledger) -> None:
    do(ledger, "INSERT INTO jobs (id, kind, subject, key, lane_rank, state, max_attempts, created_at, finished_at)"
               " SELECT i, 'ingest', i, i::text, 1, 'done', 5, t, t FROM (SELECT uuidv7(make_interval(secs => -n)) i,"
               " clock_timestamp() - make_interval(secs => n) AS t FROM generate_series(4000, 9000) n) g")  # fmt: skip
    do(ledger, "SELECT pg_stat_force_next_flush()")
    before = one(ledger, "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'jobs'")
    roll_up(ledger, datetime.now(UTC))
    do(ledger, "SELECT pg_stat_force_next_flush()")
    assert one(ledger, "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'jobs'") == before


@pytest.mark.parametrize("moment", ["2026-11-30T10:04:59.999999+00:00", "2026-11-30T10:00:00+00:00"])
def test_a_moment_lies_in_the_five_minutes_that_began_before_it(moment: str) -> None:
    assert bucket_of(datetime.fromisoformat(moment)) == datetime(2026, 11, 30, 10, tzinfo=UTC)
    assert timedelta(minutes=5) == BUCKET


def test_a_long_round_is_followed_by_a_rest(ledger: Ledger) -> None:
    now = [0.0]

    def clock() -> float:
        now[0] += 1.0
        return now[0]

    rollups = Rollups(ledger, clock)
    rounds: list[Callable[[], bool]] = [rollups.round, rollups.round]
    assert [do_round() for do_round in rounds] == [True, False]
    now[0] += 100
    assert rollups.round()

"""A long queue slows nobody down: whoever asks for work in an empty one does not walk past the jobs of the others."""

import re
from typing import Any
from uuid import UUID

import pytest

from tests.support.ledger_tools import job
from xraygpt_core.ledger.backlogs import change, change_statements, progress
from xraygpt_core.ledger.jobs import claims, reconcile, status
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.queue import queue_of, queues_of
from xraygpt_core.states import JobKind, Lane

LONG = 20_000
QUEUES = [queue_of(name) for name in queues_of(*JobKind)]
VALUES = {"kinds": [kind for kind, _ in QUEUES], "ranks": [lane.rank for _, lane in QUEUES]}


@pytest.fixture
def long_queue(ledger: Ledger) -> Ledger:
    """Twenty thousand jobs wait in one queue, and the planner knows it."""
    with ledger.work() as work:
        work.run(
            "INSERT INTO jobs (id, kind, subject, key, lane_rank, max_attempts) "
            "SELECT gen_random_uuid(), 'ingest', gen_random_uuid(), n::text, :rank, 5 FROM generate_series(1, :n) AS n",
            {"rank": Lane.BACKLOG.rank, "n": LONG},
        )
        work.run("ANALYZE jobs")
    return ledger


def plan(ledger: Ledger, sql: str, values: dict[str, Any], *, by_index: bool = False) -> str:
    with ledger.work() as work:
        if by_index:
            work.by_index()
        return "\n".join(str(row["QUERY PLAN"]) for row in work.rows(f"EXPLAIN (ANALYZE) {sql}", values))


@pytest.mark.parametrize(
    ("sql", "values"),
    [
        pytest.param(claims._NEXT.format(limit=16, which=claims._EVERY) + "SELECT id FROM due", VALUES, id="claim"),
        pytest.param(reconcile._READY.format(window=32), VALUES, id="dispatch"),
        pytest.param(status._COUNTS, {}, id="status"),
    ],
)
def test_each_queue_is_found_in_the_index_of_what_is_ready(
    long_queue: Ledger, sql: str, values: dict[str, Any]
) -> None:
    found = plan(long_queue, sql, values)
    assert "ix_jobs_ready" in found
    assert "pk_jobs" not in found
    assert max(map(int, re.findall(r"Rows Removed by Filter: (\d+)", found)), default=0) < len(QUEUES)


def test_an_urgent_job_is_claimed_before_all_of_them(long_queue: Ledger) -> None:
    with long_queue.work() as work:
        work.run("UPDATE jobs SET lane_rank = 0 WHERE key = '777'")
    taken = claims.claim_next(long_queue, QUEUES, "test", limit=2)
    assert [claim.lane for claim in taken] == [Lane.STAT, Lane.BACKLOG]
    assert job(long_queue, taken[0].job_id)["key"] == "777"


IMAGES, SMALL_WINDOW = 2_000, 10
A_FEW = 5  # rows that belong to one image: itself, its study, two jobs, its story
TABLES = ("studies", "images", "jobs", "backlogs", "backlog_images", "timeline")


@pytest.fixture(params=["just filled", "believed to be empty", "studies known", "jobs known", "known to the planner"])
def long_backlog(ledger: Ledger, request: pytest.FixtureRequest) -> UUID:
    """A paused backlog of two thousand images, to be read and to be settled, beside another one that is as long."""
    backlog_id = progress.create_backlog(ledger, "source", "archive/", Lane.BACKLOG, None)
    other = progress.create_backlog(ledger, "source", "other/", Lane.BACKLOG, None)
    with ledger.work() as work:
        work.run(
            """
            WITH n AS (
                SELECT gen_random_uuid() AS image, gen_random_uuid() AS study FROM generate_series(1, :count)
            ), s AS (INSERT INTO studies (id, lane_rank, state) SELECT study, 2, 'received' FROM n
            ), i AS (INSERT INTO images (id, study_id, state) SELECT image, study, 'received' FROM n
            ), k AS (INSERT INTO object_keys (image_id, bucket, key, etag) SELECT image, 'b', image::text, 'e' FROM n
            ), j AS (
                INSERT INTO jobs (id, kind, subject, key, lane_rank, max_attempts, not_before)
                SELECT gen_random_uuid(), 'ingest', image, image::text, 2, 5, timestamptz 'infinity' FROM n
                UNION ALL SELECT gen_random_uuid(), 'settle', study, concat(study, chr(58), 0), 2, 5, 'infinity' FROM n
            ), t AS (
                INSERT INTO timeline (study_id, image_id, what, who) SELECT study, image, 'registered', 'backlog' FROM n
            )
            INSERT INTO backlog_images (backlog_id, image_id)
            SELECT :id, image FROM n UNION ALL SELECT :other, gen_random_uuid() FROM n
            """,
            {"id": backlog_id, "other": other, "count": IMAGES},
        )
        if request.param == "believed to be empty":
            count(ledger, *TABLES)  # by another, who does not see what is not committed
        for table in TABLES:
            if request.param in ("known to the planner", f"{table} known"):
                work.run(f"ANALYZE {table}")
    return backlog_id


def count(ledger: Ledger, *tables: str) -> None:
    """As PostgreSQL does by itself from time to time."""
    with ledger.work() as work:
        for table in tables:
            work.run(f"ANALYZE {table}")


@pytest.mark.parametrize(
    "statement", ["PAUSE_WINDOW", "RESUME_PAUSED_WINDOW", "CANCEL_WINDOW", "LOCK_WINDOW_JOBS", "LOCK_WINDOW_STUDIES"]
)
def test_a_window_of_a_backlog_is_changed_without_a_walk_through_the_rest(
    ledger: Ledger, long_backlog: UUID, statement: str
) -> None:
    found = plan_of_window(ledger, getattr(change_statements, statement), long_backlog)
    assert "ix_jobs_subject" in found or statement == "LOCK_WINDOW_STUDIES"
    assert "uq_jobs_kind_key" not in found


@pytest.mark.parametrize("counted_since", ["nothing", "images", "studies", "jobs"])
def test_a_window_of_a_cancelled_backlog_is_taken_back_without_a_walk_through_the_rest(
    ledger: Ledger, long_backlog: UUID, counted_since: str
) -> None:
    change.change_backlog(ledger, long_backlog, "cancel")
    if counted_since != "nothing":
        count(ledger, counted_since)
    found = plan_of_window(ledger, change_statements.RESUME_CANCELLED_WINDOW, long_backlog)
    assert "uq_jobs_kind" in found


def plan_of_window(ledger: Ledger, sql: str, backlog_id: UUID) -> str:
    """How the first images of a backlog are changed; of nothing is more looked at than belongs to them."""
    small = sql.replace("10000", str(SMALL_WINDOW))
    found = plan(ledger, small, {"id": backlog_id, "after": UUID(int=0)}, by_index=True)
    taken = [float(count) for count in re.findall(r"actual time=\S+ rows=([\d.]+)", found)]
    removed = [float(count) for count in re.findall(r"Rows Removed by (?:Join )?Filter: (\d+)", found)]
    assert max([*taken, *removed]) <= A_FEW * SMALL_WINDOW, found
    assert not re.search(r"Seq Scan on (jobs|timeline|images|studies|backlog_images)", found), found
    return found

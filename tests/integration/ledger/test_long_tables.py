"""Full tables slow nobody down: whoever looks for one study, or for a few among many, does not walk past the others."""

import re
from typing import Any
from uuid import UUID

import pytest

from tests.support.ledger_tools import do, one, rows
from xraygpt_core.ledger.jobs import outcomes, replay
from xraygpt_core.ledger.operations import waits
from xraygpt_core.ledger.studies import purge, read, resummarise
from xraygpt_core.ledger.transaction import Ledger

MANY, A_FEW = 4_000, 20  # an index counts what was deleted a moment ago, too
SMALL_WINDOW = 100
NOBODY = UUID(int=0)
BELIEFS = ("just_filled", "believed_empty", "believed_bare", "full")

# Ids are in the order of time, as ours are: an index of them is read from the table's beginning to its end.
FILL = """
    WITH n AS MATERIALIZED (
        SELECT n, gen_random_uuid() AS image, CAST(lpad(to_hex(n), 32, '0') AS uuid) AS study,
               CAST('1' || lpad(to_hex(n), 31, '0') AS uuid) AS dead, gen_random_uuid() AS job
        FROM generate_series(1, :count) AS n
    ), s AS (
        INSERT INTO studies (id, lane_rank, state, revision, chosen_image, received_at, purged_at)
        SELECT study, 2, 'summarised', 1, image, clock_timestamp() - make_interval(days => 100, mins => :count - n),
               CASE WHEN n <= :count / 2 THEN clock_timestamp() END FROM n
    ), i AS (
        INSERT INTO images (id, study_id, state, normalised_sha256, normalised_key, preview_key)
        SELECT image, study, 'accepted', 'sha' || n, 'n/' || n, 'p/' || n FROM n
    ), j AS (
        INSERT INTO jobs (id, kind, subject, key, lane_rank, state, attempts, max_attempts, last_error, finished_at)
        SELECT dead, 'ingest', image, image::text, 2, 'dead', 5, 5, 'no', clock_timestamp() FROM n
        UNION ALL
        SELECT job, 'summarise', study, study || ':1:demo', 2, 'done', 1, 5, NULL, clock_timestamp() FROM n
    ), m AS (
        INSERT INTO summaries (id, study_id, image_id, revision, job_id, lease_epoch, bundle, bundle_sha256, summary,
                               provenance, tokens, batch_size)
        SELECT gen_random_uuid(), study, image, 1, job, 1, 'demo', 'f', 'clear', '{}', 1, 1 FROM n
    )
    INSERT INTO timeline (study_id, image_id, what, who)
    SELECT study, image, w, 'test' FROM n CROSS JOIN (VALUES ('registered'), ('summarised')) v (w)
"""


TABLES = ("studies", "images", "jobs", "summaries", "timeline")


@pytest.fixture
def untouched(ledger: Ledger) -> Ledger:
    """Tables as a migration makes them. What other tests deleted and what the planner learned of it is gone."""
    do(ledger, f"TRUNCATE {', '.join(TABLES)} CASCADE")
    forget = "SELECT pg_clear_attribute_stats(schemaname, tablename, attname, inherited)"
    do(ledger, f"{forget} FROM pg_stats WHERE tablename = ANY (:tables)", tables=list(TABLES))
    return ledger


@pytest.fixture
def just_filled(untouched: Ledger) -> Ledger:
    """Four thousand summarised studies, half of them purged, each with a job that died beside it."""
    do(untouched, FILL, count=MANY)
    return untouched


@pytest.fixture
def believed_empty(untouched: Ledger) -> Ledger:
    """The same, of which the planner believes what was true before: that there is nothing."""
    for table in TABLES:
        do(untouched, f"ANALYZE {table}")
    do(untouched, FILL, count=MANY)
    return untouched


@pytest.fixture
def believed_bare(untouched: Ledger) -> Ledger:
    """The same, of which the planner believes that its pages hold nothing: it looked just before it was committed."""
    with untouched.work() as work:
        work.run(FILL, {"count": MANY})
        for table in TABLES:
            do(untouched, f"ANALYZE {table}")
    return untouched


@pytest.fixture
def full(just_filled: Ledger) -> Ledger:
    """The same, known to the planner."""
    for table in TABLES:
        do(just_filled, f"ANALYZE {table}")
    return just_filled


def plan(ledger: Ledger, sql: str, values: dict[str, Any], *, by_index: bool = False) -> str:
    """How it is done. What it changes, stays as it was."""

    def look() -> None:
        with ledger.work() as work:
            if by_index:
                work.by_index()
            raise _Undo("\n".join(str(row["QUERY PLAN"]) for row in work.rows(f"EXPLAIN (ANALYZE) {sql}", values)))

    with pytest.raises(_Undo) as undone:
        look()
    return str(undone.value)


class _Undo(Exception):  # it carries a plan out of a transaction
    pass


def walked(found: str) -> int:
    """The most rows that any part of a plan looked at: those it took and those it passed over."""
    taken = [int(float(count)) for count in re.findall(r"actual time=\S+ rows=([\d.]+)", found)]
    removed = [int(count) for count in re.findall(r"Rows Removed by (?:Join )?Filter: (\d+)", found)]
    return max([*taken, *removed])


@pytest.mark.parametrize("filled", BELIEFS)
def test_what_comes_before_a_job_is_counted_without_a_walk_through_what_ended(
    filled: str, request: pytest.FixtureRequest
) -> None:
    ledger: Ledger = request.getfixturevalue(filled)
    mine = {"kind": "summarise", "rank": 2, "place": 2**62, "id": NOBODY}
    assert walked(plan(ledger, waits._AHEAD, mine, by_index=True)) <= A_FEW


@pytest.mark.parametrize(
    "sql",
    [
        pytest.param(outcomes._CANCEL, id="cancel"),
        pytest.param(purge._FORGET_STORY, id="purge the timeline"),
        pytest.param(purge._DERIVED, id="what a purge may delete"),
    ],
)
@pytest.mark.parametrize("filled", BELIEFS)
def test_what_belongs_to_one_study_is_changed_without_a_walk_through_the_others(
    filled: str, sql: str, request: pytest.FixtureRequest
) -> None:
    ledger: Ledger = request.getfixturevalue(filled)
    assert walked(plan(ledger, sql, {"id": some_study(ledger)}, by_index=True)) <= A_FEW


@pytest.mark.parametrize("filled", BELIEFS)
def test_a_timeline_is_read_without_a_walk_through_the_others(filled: str, request: pytest.FixtureRequest) -> None:
    ledger: Ledger = request.getfixturevalue(filled)
    assert walked(plan(ledger, read._TIMELINE, {"id": some_study(ledger)}, by_index=True)) <= A_FEW


def some_study(ledger: Ledger) -> UUID:
    (study,) = rows(ledger, "SELECT id FROM studies WHERE purged_at IS NULL ORDER BY id DESC OFFSET 7 LIMIT 1")
    return UUID(str(study["id"]))


def test_the_oldest_studies_are_found_without_a_walk_through_the_purged_ones(full: Ledger) -> None:
    found = plan(full, purge._EXPIRED, {"days": 30, "limit": 100})
    assert walked(found) <= 100 + A_FEW
    assert "ix_studies_kept" in found


@pytest.mark.parametrize("after", [None, "the middle"])
def test_a_page_of_dead_jobs_costs_a_page_wherever_it_is(full: Ledger, after: str | None) -> None:
    middle = one(full, "SELECT id FROM jobs WHERE state = 'dead' ORDER BY id OFFSET 2000 LIMIT 1") if after else None
    found = plan(full, read._DEAD, {"reason": None, "after": middle, "limit": 100})
    assert walked(found) <= 100 + A_FEW
    assert "ix_jobs_dead" in found


def test_a_window_of_dead_jobs_is_replayed_without_a_walk_through_the_rest(full: Ledger) -> None:
    small = replay._REPLAY.format(which="true").replace("10000", str(SMALL_WINDOW))
    assert walked(plan(full, small, {"after": NOBODY, "who": "replay", "by": None})) <= SMALL_WINDOW + A_FEW


def test_a_window_of_studies_is_summarised_again_without_a_walk_through_the_rest(full: Ledger) -> None:
    small = resummarise._WINDOW_CANDIDATES.replace("10000", str(SMALL_WINDOW))
    anything = dict.fromkeys(("from_bundle", "since", "until", "view"))
    assert walked(plan(full, small, anything | {"bundle": "better", "after": NOBODY})) <= SMALL_WINDOW + A_FEW

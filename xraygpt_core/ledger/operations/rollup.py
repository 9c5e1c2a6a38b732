"""The rollups: what came and what ended in each five minutes, counted from the jobs themselves.

A round counts the last buckets anew, so a row that was committed late, a restart and a second control process change
nothing. It finds its jobs by ranges of two indexes: of their ids, which sort by time, and of the time they ended. So a
round costs what happened lately, and not what ever happened.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from xraygpt_core.ids import first_id
from xraygpt_core.ledger.transaction import Ledger, Work

BUCKET = timedelta(minutes=5)
KEPT_DAYS = 90

_BEGINNING = timedelta(days=7)  # of what was there before the rollups
_AGAIN = 2  # buckets before the last one that are counted anew
_STEP = timedelta(hours=1)  # in one transaction
_SKEW = timedelta(minutes=10)  # between the clocks that make ids and the database's
# Any constant that nothing else in this database uses: "XROL" in ASCII.
_ONE_AT_A_TIME = 0x58524F4C

_BIN = "date_bin('5 minutes', {time}, '2000-01-01T00:00:00Z')"
_COUNTS = ("arrived", "done", "dead", "cancelled", "retried", "tokens")
_SECONDS = ("waited_seconds", "waited_max", "ran_seconds", "ran_max")
_COLUMNS = (*_COUNTS, *_SECONDS)

_LAST = "SELECT max(bucket) AS last, clock_timestamp() AS now FROM work_rollup"
_FIRST = """
    SELECT LEAST(
        (SELECT created_at FROM jobs WHERE id >= :first ORDER BY id LIMIT 1),
        (SELECT finished_at FROM jobs WHERE finished_at >= :since ORDER BY finished_at LIMIT 1)) AS first
"""
_LEAD = "SELECT pg_try_advisory_xact_lock(:key) AS mine"

# What the former count found and this one does not, because it was replayed or purged, counts no more.
_FORGET = f"""
    UPDATE work_rollup SET {", ".join(f"{name} = 0" for name in _COLUMNS)}
    WHERE bucket >= :since AND bucket < :until
"""
_FORGET_WORKERS = "DELETE FROM worker_rollup WHERE bucket >= :since AND bucket < :until"

# A job's wait ends with its last attempt, whose worker is the one that counts.
_FILL = f"""
    WITH ended AS MATERIALIZED (
        SELECT {_BIN.format(time="j.finished_at")} AS bucket, j.kind, j.lane_rank, j.state, j.claimed_by,
               GREATEST(j.attempts - 1, 0) AS retried, s.tokens, s.bundle,
               CASE WHEN j.state <> 'cancelled'
                    THEN GREATEST(extract(epoch FROM j.started_at - j.created_at), 0) END AS waited,
               CASE WHEN j.state <> 'cancelled'
                    THEN GREATEST(extract(epoch FROM j.finished_at - j.started_at), 0) END AS ran
        FROM jobs j LEFT JOIN summaries s ON s.job_id = j.id
        WHERE j.finished_at >= :since AND j.finished_at < :until
    ), parts AS (
        SELECT bucket, kind, lane_rank, 0 AS arrived,
               count(*) FILTER (WHERE state = 'done') AS done, count(*) FILTER (WHERE state = 'dead') AS dead,
               count(*) FILTER (WHERE state = 'cancelled') AS cancelled, sum(retried) AS retried,
               sum(tokens) AS tokens, sum(waited) AS waited_seconds, max(waited) AS waited_max,
               sum(ran) AS ran_seconds, max(ran) AS ran_max
        FROM ended GROUP BY 1, 2, 3
        UNION ALL
        SELECT {_BIN.format(time="created_at")}, kind, lane_rank, count(*), 0, 0, 0, 0, 0, 0, 0, 0, 0
        FROM jobs WHERE id >= :first AND id < :beyond AND created_at >= :since AND created_at < :until GROUP BY 1, 2, 3
    ), by_worker AS (
        INSERT INTO worker_rollup (bucket, worker, kind, jobs, busy_seconds, tokens, bundle)
        SELECT bucket, claimed_by, kind, count(*), COALESCE(sum(ran), 0), COALESCE(sum(tokens), 0), max(bundle)
        FROM ended WHERE state IN ('done', 'dead') AND claimed_by IS NOT NULL GROUP BY 1, 2, 3
    )
    INSERT INTO work_rollup (bucket, kind, lane_rank, {", ".join(_COLUMNS)})
    SELECT bucket, kind, lane_rank,
           {", ".join(f"COALESCE({'max' if name.endswith('_max') else 'sum'}({name}), 0)" for name in _COLUMNS)}
    FROM parts GROUP BY 1, 2, 3
    ON CONFLICT (bucket, kind, lane_rank) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in _COLUMNS)}
"""

_OLD = ("work_rollup", "worker_rollup", "backlog_rollup")


@dataclass(frozen=True)
class RolledUp:
    """The result of a round: how far the rollups reach, and whether that is the present."""

    until: datetime
    present: bool


def bucket_of(moment: datetime) -> datetime:
    """The beginning of the five minutes that a moment lies in."""
    since = moment.astimezone(UTC) - datetime(2000, 1, 1, tzinfo=UTC)
    return datetime(2000, 1, 1, tzinfo=UTC) + since // BUCKET * BUCKET


def roll_up(ledger: Ledger, since: datetime | None = None) -> RolledUp | None:
    """Count what is new, an hour at most, and the last buckets anew. None: another process is doing it.

    Args:
        since: how far a former round of this process came; None goes on where the rollups end, or, where there are
            none, with the first job of the last week.

    Raises:
        Unavailable: PostgreSQL does not answer; the next round does the work.
    """
    with ledger.work() as work:
        if not work.found(_LEAD, {"key": _ONE_AT_A_TIME}, "")["mine"]:
            return None
        row = work.found(_LAST, {}, "")
        now: datetime = row["now"]
        known = max((one for one in (since, row["last"]) if one), default=None) or _first(work, now)
        begin = bucket_of(known) - _AGAIN * BUCKET
        until = min(bucket_of(now) + BUCKET, begin + _AGAIN * BUCKET + _STEP)
        _count(work, begin, until)
        return RolledUp(min(until, now), until > now)


def _first(work: Work, now: datetime) -> datetime:
    """When the first job of the last week came or ended."""
    work.by_index()
    since = now - _BEGINNING
    found = work.found(_FIRST, {"first": first_id(since), "since": since}, "")["first"]
    return now if found is None else max(found, since)


def _count(work: Work, since: datetime, until: datetime) -> None:
    work.by_index()
    values = {"since": since, "until": until}
    work.run(_FORGET, values)
    work.run(_FORGET_WORKERS, values)
    ids = {"first": first_id(since - _SKEW), "beyond": first_id(until + _SKEW)}
    work.run(_FILL, values | ids)


def forget_old(ledger: Ledger) -> None:
    """Remove what is older than :data:`KEPT_DAYS`, and what nobody could read a month ago."""
    with ledger.work() as work:
        for table in _OLD:
            sql = f"DELETE FROM {table} WHERE bucket < clock_timestamp() - make_interval(days => :days)"
            work.run(sql, {"days": KEPT_DAYS})
        work.run("DELETE FROM unreadable_events WHERE last_at < clock_timestamp() - interval '30 days'")

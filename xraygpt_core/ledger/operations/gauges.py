"""What is so at this moment, written beside the rollups: how much waits and for how long, and how far backlogs are."""

from typing import Any

from xraygpt_core.ledger.backlogs.progress import Backlog, backlog
from xraygpt_core.ledger.operations.rollup import bucket_of
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import JobState, Lane

_NOW = "SELECT clock_timestamp() AS now"

# Of several looks in five minutes the worst one stays.
_NOTE = """
    INSERT INTO work_rollup (bucket, kind, lane_rank, waiting_max, oldest_seconds)
    VALUES (:bucket, :kind, :lane_rank, :jobs, :oldest)
    ON CONFLICT (bucket, kind, lane_rank) DO UPDATE SET
        waiting_max = GREATEST(work_rollup.waiting_max, excluded.waiting_max),
        oldest_seconds = GREATEST(work_rollup.oldest_seconds, excluded.oldest_seconds)
"""

# A backlog that ended is looked at once more.
_OPEN_BACKLOGS = """
    SELECT b.id FROM backlogs b WHERE b.state IN ('listing', 'listed', 'paused')
    UNION ALL
    SELECT b.id FROM backlogs b
    WHERE b.state IN ('done', 'cancelled') AND b.finished_at > clock_timestamp() - interval '7 days'
      AND NOT EXISTS (SELECT FROM backlog_rollup r WHERE r.backlog_id = b.id AND r.at > b.finished_at)
    LIMIT 100
"""
_FIGURES = ("listed", "registered", "summarised", "rejected", "dead", "cancelled", "open")
_NOTE_BACKLOG = f"""
    INSERT INTO backlog_rollup (backlog_id, bucket, {", ".join(_FIGURES)}, at)
    VALUES (:backlog_id, :bucket, {", ".join(f":{name}" for name in _FIGURES)}, clock_timestamp())
    ON CONFLICT (backlog_id, bucket) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in _FIGURES)},
        at = excluded.at
"""


def note_queues(ledger: Ledger, counts: list[dict[str, Any]]) -> None:
    """Note the depth and the age of each queue.

    Args:
        counts: rows of :func:`xraygpt_core.ledger.jobs.status.status_counts`.
    """
    with ledger.work() as work:
        bucket = bucket_of(work.found(_NOW, {}, "")["now"])
        queued = sorted((one for one in counts if one["state"] == JobState.QUEUED), key=_place)
        values = [
            {
                "bucket": bucket,
                "kind": one["kind"],
                "lane_rank": Lane(one["lane"]).rank,
                "jobs": one["jobs"],
                "oldest": one["oldest_seconds"] or 0.0,
            }
            for one in queued
        ]
        if values:
            work.run(_NOTE, values)


def note_backlogs(ledger: Ledger) -> int:
    """Note how far each open backlog is; one whose last image ended is closed by that. Returns how many."""
    with ledger.work() as work:
        ids = [row["id"] for row in work.rows(_OPEN_BACKLOGS)]
    for backlog_id in ids:
        _note(ledger, backlog(ledger, backlog_id))
    return len(ids)


def _note(ledger: Ledger, one: Backlog) -> None:
    with ledger.work() as work:
        bucket = bucket_of(work.found(_NOW, {}, "")["now"])
        work.run(
            _NOTE_BACKLOG,
            {"backlog_id": one.backlog_id, "bucket": bucket} | {name: getattr(one, name) for name in _FIGURES},
        )


def _place(count: dict[str, Any]) -> tuple[str, int]:
    return count["kind"], Lane(count["lane"]).rank

"""How far runs are, in figures: the pairs of one run by phase, and what the metrics say of all of them."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from xraygpt_core.ledger.transaction import Ledger


@dataclass(frozen=True)
class Phases:
    """The pairs of a run that was planned.

    Attributes:
        planned: in its sets. prepared: whose film is normalised. dropped: whose film cannot be trained on.
        encoded: whose features are made and kept.
    """

    planned: int
    prepared: int
    dropped: int
    encoded: int


_PHASES = """
    SELECT r.pairs AS planned, count(i.sha256) AS prepared, count(i.dropped) AS dropped,
           count(i.sha256) FILTER (WHERE f.encoded_at IS NOT NULL) AS encoded
    FROM training_runs r
    JOIN training_run_shards s ON s.run_id = r.id
    JOIN training_images i ON i.shard_id = s.shard_id
    LEFT JOIN training_features f ON f.shard_id = s.shard_id AND f.encoder = r.encoder
    WHERE r.id = :id AND r.pairs IS NOT NULL GROUP BY r.id
"""
_RUNS = """
    SELECT stage, CASE WHEN paused_at IS NOT NULL AND NOT EXISTS (
               SELECT FROM jobs j WHERE j.subject = r.id AND j.kind = 'train' AND j.state = 'running')
           THEN 'paused' ELSE state END AS state,
           count(*) AS runs, max(loss) AS loss, max(held_out) AS held_out, sum(samples_per_s) AS samples_per_s
    FROM training_runs r WHERE state NOT IN ('done', 'dead', 'cancelled') GROUP BY 1, 2 ORDER BY 1, 2
"""


def phases(ledger: Ledger, run_id: UUID) -> Phases | None:
    """The pairs of a run by phase; None if it draws all its films itself, or is not planned yet."""
    with ledger.work() as work:
        row = work.row(_PHASES, {"id": run_id})
    return None if row is None else Phases(**row)


def open_runs(ledger: Ledger) -> list[dict[str, Any]]:
    """The runs that are not over, by stage and state: how many, the highest losses, and their samples/s together."""
    with ledger.work() as work:
        return [dict(row) for row in work.rows(_RUNS)]

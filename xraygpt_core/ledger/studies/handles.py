"""From the last digits of an id to the id: what people name, and may copy by eye, is short."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from xraygpt_core.ledger.audit.record import record
from xraygpt_core.ledger.card.study_state import STUDY_STATE
from xraygpt_core.ledger.transaction import Ledger

SHORTEST = 5  # digits; as many stand in the indexes
MOST = 10  # ids in an answer


class Named(StrEnum):
    """What people name by its id."""

    STUDY = "study"
    SUMMARY = "summary"
    JOB = "job"  # a dead one: no other is named by anybody
    BACKLOG = "backlog"
    RUN = "run"
    TURN = "turn"
    COMPARISON = "comparison"


@dataclass(frozen=True)
class Candidate:
    """One id that ends so: when it was made, and its state, so that people know which of several they mean."""

    id: UUID
    state: str
    at: datetime


# A provisional id leads to its study, as everywhere; two that lead to one study are one candidate.
_STUDIES = f"""
    SELECT DISTINCT s.id, {STUDY_STATE} AS state, s.received_at AS at
    FROM studies n JOIN studies s ON s.id = COALESCE(n.alias_of, n.id)
    WHERE right(CAST(n.id AS text), 5) = right(:ends, 5) AND replace(CAST(n.id AS text), '-', '') LIKE '%' || :ends
    ORDER BY at DESC, id LIMIT {MOST}
"""
_SUMMARIES = f"""
    SELECT id, CASE WHEN superseded_at IS NULL THEN review_state ELSE 'superseded' END AS state, summarised_at AS at
    FROM summaries
    WHERE right(CAST(id AS text), 5) = right(:ends, 5) AND replace(CAST(id AS text), '-', '') LIKE '%' || :ends
    ORDER BY at DESC, id LIMIT {MOST}
"""
_TURNS = f"""
    SELECT id, state, asked_at AS at FROM chat_turns
    WHERE right(CAST(id AS text), 5) = right(:ends, 5) AND replace(CAST(id AS text), '-', '') LIKE '%' || :ends
    ORDER BY at DESC, id LIMIT {MOST}
"""
_JOBS = f"""
    SELECT id, state, created_at AS at FROM jobs
    WHERE right(CAST(id AS text), 5) = right(:ends, 5) AND state = 'dead'
      AND replace(CAST(id AS text), '-', '') LIKE '%' || :ends
    ORDER BY at DESC, id LIMIT {MOST}
"""
_BACKLOGS = f"""
    SELECT id, state, created_at AS at FROM backlogs WHERE replace(CAST(id AS text), '-', '') LIKE '%' || :ends
    ORDER BY at DESC, id LIMIT {MOST}
"""
_RUNS = f"""
    SELECT id, state, created_at AS at FROM training_runs WHERE replace(CAST(id AS text), '-', '') LIKE '%' || :ends
    ORDER BY at DESC, id LIMIT {MOST}
"""
_COMPARISONS = f"""
    SELECT id, first_bundle || ' and ' || second_bundle AS state, begun_at AS at FROM comparisons
    WHERE replace(CAST(id AS text), '-', '') LIKE '%' || :ends
    ORDER BY at DESC, id LIMIT {MOST}
"""
_STATEMENTS = {
    Named.STUDY: _STUDIES,
    Named.SUMMARY: _SUMMARIES,
    Named.TURN: _TURNS,
    Named.JOB: _JOBS,
    Named.BACKLOG: _BACKLOGS,
    Named.RUN: _RUNS,
    Named.COMPARISON: _COMPARISONS,
}
# Each is something of a study: that it was looked up is kept.
_OF_STUDIES = frozenset({Named.STUDY, Named.SUMMARY, Named.TURN})


def ending_in(ledger: Ledger, kind: Named, ends: str) -> list[Candidate]:
    """What of this kind has an id that ends in these digits, the newest first, at most ten.

    Args:
        ends: five to 32 small hex digits, without hyphens.
    """
    with ledger.work() as work:
        rows = work.rows(_STATEMENTS[kind], {"ends": ends})
        if kind in _OF_STUDIES:
            studies = [row["id"] for row in rows] if kind is Named.STUDY else None
            record(work, "handle looked up", studies=studies, detail={"kind": str(kind), "hits": len(rows)})
    return [Candidate(**row) for row in rows]

"""Dead jobs by the cause of their death: errors that differ in a number or an id are one cause."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from xraygpt_core.ledger.transaction import Work

MOST = 10_000  # dead jobs that are looked at, the newest
_ERRORS = 2000  # different ones among them: the expression costs some thirty microseconds each
_GROUPS = 50

_ID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_VALUE = rf"{_ID}|[0-9a-f]{{16,}}|[0-9]+(\.[0-9]+)*"
_LONGEST = 500  # letters of an error that tell its cause


def cause_sql(error: str) -> str:
    """The SQL expression of an error's cause: its beginning, with ``…`` for each id, hash and number."""
    beginning = f"left(COALESCE({error}, 'it left no error'), {_LONGEST})"
    return f"regexp_replace({beginning}, '{_VALUE}', '…', 'gi')"


@dataclass(frozen=True)
class DeadGroup:
    """Dead jobs of a kind and a cause; ``latest`` is the one that died last, with its own ``error``."""

    kind: str
    cause: str
    jobs: int
    first_at: datetime | None
    last_at: datetime | None
    latest: UUID
    error: str | None


# Errors that are equal to the letter are put together first: the expression is worked out once for each.
_BY_CAUSE = f"""
    SELECT kind, {cause_sql("last_error")} AS cause, sum(jobs)::bigint AS jobs, min(first_at) AS first_at,
           max(last_at) AS last_at, (array_agg(latest ORDER BY last_at DESC NULLS LAST, latest DESC))[1] AS latest,
           (array_agg(last_error ORDER BY last_at DESC NULLS LAST, latest DESC))[1] AS error
    FROM (
        SELECT kind, last_error, count(*) AS jobs, min(finished_at) AS first_at, max(finished_at) AS last_at,
               (array_agg(id ORDER BY finished_at DESC NULLS LAST, id DESC))[1] AS latest
        FROM (SELECT id, kind, last_error, finished_at FROM jobs WHERE state = 'dead' ORDER BY id DESC LIMIT {MOST}) j
        GROUP BY kind, last_error ORDER BY jobs DESC, last_at DESC NULLS LAST LIMIT {_ERRORS}
    ) AS alike
    GROUP BY 1, 2 ORDER BY jobs DESC, last_at DESC NULLS LAST LIMIT {_GROUPS}
"""


def dead_in(work: Work) -> list[DeadGroup]:
    """The newest :data:`MOST` dead jobs by kind and cause, the largest group first; fifty groups at most.

    Of more than two thousand different errors the rarest are left out.
    """
    return [DeadGroup(**row) for row in work.rows(_BY_CAUSE)]

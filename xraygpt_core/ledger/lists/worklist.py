"""Lists of studies for people: what waits for review, what was signed, what arrived; and how many there are of what."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from xraygpt_core.errors import InvalidRequest
from xraygpt_core.ledger.audit.record import record, recorded
from xraygpt_core.ledger.lists.filters import Filters
from xraygpt_core.ledger.lists.orders import ORDERS, Cursor, Sorting, WorklistView, own_sorting
from xraygpt_core.ledger.lists.rows import WorklistRow, rows_of
from xraygpt_core.ledger.lists.search import Found, prepare
from xraygpt_core.ledger.transaction import Ledger, Work
from xraygpt_core.states import Lane

# More are not counted: that would cost more than the page.
MOST_COUNTED = 100


@dataclass(frozen=True)
class Page:
    """Rows in the order of their list; ``after`` is None at its end. ``awaiting`` counts drafts per lane, up to 100."""

    rows: list[WorklistRow]
    after: Cursor | None
    awaiting: dict[Lane, int]


@dataclass(frozen=True)
class Counts:
    """How many rows of a filtered list there are, and how many of them have which value.

    Attributes:
        total: of the rows that were counted.
        whole: whether that is all of them; otherwise there are at least so many.
        by: counts by facet and value, for example ``by["view"]["PA"]``, each up to 100.
    """

    total: int
    whole: bool
    by: dict[str, dict[str, int]]


_PAGE = (
    "SELECT k.rank, k.at, k.id, s.id AS study_id FROM {rows} ORDER BY {ranked}k.at {along}, k.id {along} LIMIT :limit"
)

# The last row that was looked at, and how many were: more may follow if that is all that one page may look at.
_END = """
    SELECT rank, at, id, count(*) OVER () AS seen FROM ({walk}) r ORDER BY rank DESC, at {back}, id {back} LIMIT 1
"""

_DRAFTS = """
    SELECT l.rank, (SELECT count(*) FROM (
        SELECT FROM summaries m WHERE m.superseded_at IS NULL AND m.review_state = 'draft' AND m.lane_rank = l.rank
        LIMIT :most) AS c) AS drafts
    FROM unnest(CAST(:ranks AS int[])) AS l (rank) ORDER BY l.rank
"""

# A row has one value of the first five, and several of the others.
_COUNTS = """
    WITH hits AS MATERIALIZED (
        SELECT s.lane_rank, s.view, m.bundle, CASE WHEN m.review_state <> 'draft' THEN m.reviewed_by END AS reviewer,
               m.review_state, m.asserted, m.uncertain, s.flags || COALESCE(m.flags, '{}') AS flags
        FROM {rows}
    )
    SELECT 'total' AS facet, NULL AS value, count(*) AS found FROM hits
    UNION ALL
    SELECT v.facet, v.value, count(*) FROM hits h CROSS JOIN LATERAL (
        VALUES ('lane', CAST(h.lane_rank AS text)), ('view', h.view), ('bundle', h.bundle), ('reviewer', h.reviewer),
               ('review', h.review_state)
        UNION SELECT 'finding', unnest(h.asserted)
        UNION SELECT 'uncertain', unnest(h.uncertain)
        UNION SELECT 'flag', unnest(h.flags)) v (facet, value)
    WHERE v.value IS NOT NULL GROUP BY v.facet, v.value ORDER BY 1, 3 DESC, 2 LIMIT 500
"""
_FACETS = ("lane", "view", "bundle", "reviewer", "review", "finding", "uncertain", "flag")


def worklist(
    ledger: Ledger,
    listing: WorklistView,
    *,
    limit: int,
    after: Cursor | None = None,
    filters: Filters = Filters(),  # noqa: B008  # it is frozen
    sorting: Sorting | None = None,
) -> Page:
    """A page of a list, and how many drafts wait in each lane.

    Args:
        after: where the page before ended; None begins.
        sorting: None is the list's own order.

    Raises:
        InvalidRequest: the list has no such order.
    """
    sorting = _sorting(listing, sorting)
    start = after or sorting.start
    lanes: dict[str, Any] = {"most": MOST_COUNTED, "ranks": [one.rank for one in Lane]}
    detail = {"list": listing} | ({"filtered": True} if filters != Filters() else {})
    with ledger.work() as work:
        found = prepare(work, listing, filters, sorting, start)
        sql = sorting.written(_PAGE.replace("{rows}", found.rows))
        places = work.rows(sql, found.values | {"limit": limit + 1})
        shown = [row["study_id"] for row in places[:limit]]
        counted = recorded(work, _DRAFTS, lanes, "worklist read", studies=shown, detail=detail)
        rows = rows_of(work, shown)
        last = places[limit - 1] if len(places) > limit else None
        end = _end(work, found, sorting) if last is None else Cursor(last["rank"], last["at"], last["id"])
    drafts = {lane: int(row["drafts"]) for lane, row in zip(Lane, counted, strict=True)}
    return Page(rows, end, drafts)


def count(
    ledger: Ledger,
    listing: WorklistView,
    *,
    filters: Filters = Filters(),  # noqa: B008  # it is frozen
    sorting: Sorting | None = None,
) -> Counts:
    """How many studies a filtered list has, and how many of each value that it could be filtered by.

    Where :mod:`xraygpt_core.ledger.lists.search` walks, those of the walk are counted: at least so many there are.
    """
    sorting = _sorting(listing, sorting)
    with ledger.work() as work:
        found = prepare(work, listing, filters, sorting, sorting.start, whole_rows=True)
        rows = work.rows(_COUNTS.replace("{rows}", found.rows), found.values)
        whole = _end(work, found, sorting) is None
        record(work, "worklist counted", detail={"list": listing})
    by: dict[str, dict[str, int]] = {facet: {} for facet in _FACETS}
    total = 0
    for row in rows:
        if row["facet"] == "total":
            total = min(row["found"], MOST_COUNTED)
            continue
        value = Lane.of_rank(int(row["value"])) if row["facet"] == "lane" else row["value"]
        by[row["facet"]][value] = min(row["found"], MOST_COUNTED)
    return Counts(total, whole, by)


def exported(ledger: Ledger, study_ids: Sequence[UUID]) -> list[WorklistRow]:
    """These studies as their list shows them, for a file that leaves the system."""
    with ledger.work() as work:
        rows = rows_of(work, list(dict.fromkeys(study_ids)))
        record(work, "studies exported", studies=[row.study_id for row in rows])
    return rows


def _sorting(listing: WorklistView, wanted: Sorting | None) -> Sorting:
    sorting = wanted or own_sorting(listing)
    if sorting.order not in ORDERS[listing]:
        raise InvalidRequest(f"the list {listing} is ordered by {', '.join(ORDERS[listing])}")
    return sorting


def _end(work: Work, found: Found, sorting: Sorting) -> Cursor | None:
    """Where the page behind a short one begins: behind the last row that was looked at, if not all were."""
    if found.walk is None:
        return None
    row = work.row(sorting.written(_END.replace("{walk}", found.walk)), found.values)
    return (
        Cursor(row["rank"], row["at"], row["id"]) if row is not None and row["seen"] == found.values["reach"] else None
    )

"""How the rows of a filtered list are found, so that no page costs more than a bound, however many studies there are.

Where a source finds at most :data:`MOST_PICKED` rows, these are all looked at and sorted: the page is exact. A filter
that leaves more lets through every fiftieth of 200 000 studies, or more of them: then the list's order is walked, and
what the filters leave out is passed over. A walk ends after :data:`REACH` rows: its page may be short, and says where
the next one begins.
"""

import re
from dataclasses import dataclass
from typing import Any

from xraygpt_core.ledger.lists.filters import Filters, Source
from xraygpt_core.ledger.lists.orders import BEHIND, KEYS, WALKED_ACQUIRED, WALKS, Cursor, Order, Sorting, WorklistView
from xraygpt_core.ledger.transaction import Work

MOST_PICKED = 4000
# Of an index that gives all rows of a value at once, so many are looked at for what it does not know.
MOST_LOOKED = 8000
# A value that the planner believes to be this common is not asked for at all.
MOST_EXPECTED = 16_000
# How many rows one page looks at: of studies alone, with their texts' columns, and with the texts themselves.
REACH = 6000
REACH_TEXT = 2000
REACH_WORDS = 600
# A source this small is taken at once.
_FEW = 1500

# An index that gives all rows of a value at once is used by a bitmap only. The planner, which knows nothing of a rare
# word, would otherwise go through all texts in search of it.
_PLANS = """
    SELECT set_config(name, value, true) FROM (VALUES
        ('enable_seqscan', 'off'), ('enable_hashjoin', 'off'), ('enable_mergejoin', 'off'),
        ('enable_bitmapscan', :bitmaps), ('enable_indexscan', :rows), ('enable_indexonlyscan', :rows)
    ) AS p (name, value)
"""
_BITMAPS, _BY_ROW = {"bitmaps": "on", "rows": "off"}, {"bitmaps": "off", "rows": "on"}

# LIMIT 1 says nothing about the rows. Without it the planner may go through all studies in search of what a filter asks
# for, where the rows that were reached are to be looked at one by one.
_STUDY = "CROSS JOIN LATERAL (SELECT * FROM studies WHERE id = r.study_id LIMIT 1) s"
_JOINS = {
    "m": """
    LEFT JOIN LATERAL (SELECT * FROM summaries WHERE study_id = s.id AND superseded_at IS NULL LIMIT 1) m ON true""",
    "i": """
    LEFT JOIN LATERAL (SELECT id, acquired_on FROM images WHERE id = s.chosen_image LIMIT 1) i ON true""",
    "a": """
    LEFT JOIN LATERAL (SELECT name FROM assignments WHERE study_id = s.id LIMIT 1) a ON true""",
}


@dataclass(frozen=True)
class Found:
    """How rows are found: a relation with ``place`` and what must hold of it, and the names' values.

    Attributes:
        walk: the order's walk; None if the rows were picked by a source, and so are all there are.
    """

    rows: str
    values: dict[str, Any]
    walk: str | None


def prepare(
    work: Work,
    listing: WorklistView,
    filters: Filters,
    sorting: Sorting,
    after: Cursor,
    *,
    whole_rows: bool = False,
) -> Found:
    """Choose what drives a search, by how many rows each source finds.

    Args:
        whole_rows: join the summary, whatever the filters need, and look at half as many: all of these are shown.
    """
    values = filters.values(sorting) | {"rank": after.rank, "at": after.at, "id": after.id}
    ids = _picked(work, listing, filters, sorting, values)
    work.rows(_PLANS, _BY_ROW)
    conditions = filters.conditions(listing)
    needed = f"{conditions} {KEYS[sorting.order]}{' m.' * whole_rows}"
    joins = "".join(join for name, join in _JOINS.items() if re.search(rf"\b{name}\.", needed))
    if ids is not None:
        place = f"CROSS JOIN LATERAL (SELECT {KEYS[sorting.order]}) k"
        rows = f"unnest(CAST(:picked AS uuid[])) r (study_id) {_STUDY}{joins} {place}"
        return Found(f"{rows} WHERE {conditions} AND {sorting.written(BEHIND)}", values | {"picked": ids}, None)
    walk = sorting.written(WALKS[sorting.order])
    if sorting.order is Order.ACQUIRED:
        conditions += f" AND {WALKED_ACQUIRED}"
    reach = (REACH_WORDS if filters.words else REACH_TEXT if joins else REACH) // (1 + whole_rows)
    rows = f"({walk}) r {_STUDY}{joins} CROSS JOIN LATERAL (SELECT r.rank, r.at, r.id) k WHERE {conditions}"
    return Found(rows, values | {"reach": reach}, walk)


def _picked(
    work: Work, listing: WorklistView, filters: Filters, sorting: Sorting, values: dict[str, Any]
) -> str | None:
    """The ids of the smallest source, as an array's text, if it is small enough."""
    best: tuple[int, str] | None = None
    plans = None
    for source in sorted(filters.sources(listing, sorting), key=lambda one: one.gin):
        if best is not None and best[0] <= _FEW:
            break
        if plans is not (wanted := _BITMAPS if source.gin else _BY_ROW):
            work.rows(_PLANS, wanted)
            plans = wanted
        if source.gin and _expected(work, source, values) > MOST_EXPECTED:
            continue
        most = MOST_LOOKED if source.gin else MOST_PICKED
        row = work.row(_IDS.format(source=source.sql, fits=source.fits), values | {"most": most + 1})
        if row is None or row["looked"] > most or row["found"] > MOST_PICKED:
            continue
        if best is None or row["found"] < best[0]:
            best = row["found"], row["ids"]
    return None if best is None else best[1]


def _expected(work: Work, source: Source, values: dict[str, Any]) -> float:
    """How many rows the planner believes an index of all rows at once to have: to read a common word's takes long."""
    row = work.row(f"EXPLAIN (FORMAT JSON) {source.sql}", values)
    plan = None if row is None else row["QUERY PLAN"]
    return float(plan[0]["Plan"]["Plan Rows"]) if plan else 0.0


# The ids go back as they came, so that nothing is read twice.
_IDS = """
    SELECT count(*) AS looked, count(*) FILTER (WHERE {fits}) AS found,
           CAST(COALESCE(array_agg(DISTINCT m.study_id) FILTER (WHERE {fits}), '{{}}') AS text) AS ids
    FROM ({source} LIMIT :most) m
"""

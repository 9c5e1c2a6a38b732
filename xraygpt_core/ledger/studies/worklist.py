"""Lists of studies for people: what waits for review, what was signed, what arrived. Pages by key, never by OFFSET.

What waits and what was signed stand in indexes of their own (``ix_summaries_awaiting``, ``ix_summaries_signed``).
Filters that no index knows are applied to the next :data:`REACH` rows of a list: a page may then be short or empty and
still say where the next one begins. So no page costs more than that, however many studies there are.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from xraygpt_core.ledger.audit.record import recorded
from xraygpt_core.ledger.studies.read import STUDY_STATE
from xraygpt_core.ledger.transaction import Ledger, Values, Work
from xraygpt_core.states import TERMINAL_STUDY_STATES, Flag, Lane, ReviewState, StudyState

# How many rows one page looks at.
REACH = 2000
# More are not counted: that would cost more than the page.
MOST_COUNTED = 100
# Characters of the impression that a list shows.
_OPENING = 240


class WorklistView(StrEnum):
    """Which list, and so in which order."""

    AWAITING = "awaiting"  # drafts without a review: stat, routine, backlog; in each the oldest draft first
    SIGNED = "signed"  # accepted, corrected or rejected summaries, the last review first
    ALL = "all"  # every study, the last arrival first


@dataclass(frozen=True)
class Cursor:
    """The last row of a page: the next page begins after it.

    Attributes:
        rank: of the lane; counts in the list of what waits only.
        at: summarised_at, reviewed_at or received_at, by which the list is ordered.
        id: of the summary, or of the study in the list of all.
    """

    rank: int
    at: datetime
    id: UUID


@dataclass(frozen=True)
class WorklistRow:
    """A study as a list shows it; what comes after ``received_at`` is None without a summary.

    Attributes:
        flags: of the film and of the text, but for the one below.
        opening: how the impression begins, or the text where there is none.
        supersedes_reviewed: a newer draft beside a reviewed summary.
    """

    study_id: UUID
    lane: str
    state: str
    reason_code: str | None
    view: str | None
    flags: list[str]
    received_at: datetime
    summary_id: UUID | None
    summarised_at: datetime | None
    review_state: str | None
    reviewed_by: str | None
    reviewed_at: datetime | None
    opening: str | None
    supersedes_reviewed: bool


@dataclass(frozen=True)
class Page:
    """Rows in the order of their list; ``after`` is None at its end. ``awaiting`` counts drafts per lane, up to 100."""

    rows: list[WorklistRow]
    after: Cursor | None
    awaiting: dict[Lane, int]


_NIL, _LAST = UUID(int=0), UUID(int=(1 << 128) - 1)
_LATEST = Cursor(0, datetime(9999, 12, 31, tzinfo=UTC), _LAST)


class _List(NamedTuple):
    """One list.

    Attributes:
        start: where its first page begins.
        rows: the query of the next :data:`REACH` rows, in the list's order.
        summary: the condition by which a row's summary is found; ``s`` is the row's study.
        order, reverse: the list's order, and the other way round.
    """

    start: Cursor
    rows: str
    summary: str
    order: str
    reverse: str


_LISTS = {
    WorklistView.AWAITING: _List(
        start=Cursor(-1, datetime(1, 1, 1, tzinfo=UTC), _NIL),
        rows="""
        SELECT m.lane_rank AS rank, m.summarised_at AS at, m.id, m.lane_rank, m.id AS summary_id, m.study_id
        FROM summaries m
        WHERE m.superseded_at IS NULL AND m.review_state = 'draft' AND m.lane_rank BETWEEN :low AND :high
          AND (m.lane_rank, m.summarised_at, m.id) > (:rank, :at, :id)
        ORDER BY m.lane_rank, m.summarised_at, m.id LIMIT :reach
        """,
        summary="id = r.summary_id",
        order="r.rank, r.at, r.id",
        reverse="rank DESC, at DESC, id DESC",
    ),
    WorklistView.SIGNED: _List(
        start=_LATEST,
        rows="""
        SELECT 0 AS rank, m.reviewed_at AS at, m.id, m.lane_rank, m.id AS summary_id, m.study_id FROM summaries m
        WHERE m.superseded_at IS NULL AND m.review_state <> 'draft' AND (m.reviewed_at, m.id) < (:at, :id)
        ORDER BY m.reviewed_at DESC, m.id DESC LIMIT :reach
        """,
        summary="id = r.summary_id",
        order="r.at DESC, r.id DESC",
        reverse="at, id",
    ),
    WorklistView.ALL: _List(
        start=_LATEST,
        rows="""
        SELECT 0 AS rank, s.received_at AS at, s.id, s.lane_rank, NULL::uuid AS summary_id, s.id AS study_id
        FROM studies s
        WHERE (s.received_at, s.id) < (:at, :id)
        ORDER BY s.received_at DESC, s.id DESC LIMIT :reach
        """,
        summary="study_id = s.id AND superseded_at IS NULL",
        order="r.at DESC, r.id DESC",
        reverse="at, id",
    ),
}

# A row of a page; r is the list's row, s the study, m the summary.
_COLUMNS = f"""r.rank AS place_rank, r.at AS place_at, r.id AS place_id, s.id AS study_id, s.lane_rank,
           {STUDY_STATE} AS state,
           s.reason_code, s.view, s.flags || COALESCE(m.flags, '{{}}') AS flags, s.received_at, m.id AS summary_id,
           m.summarised_at, m.review_state, m.reviewed_by, m.reviewed_at,
           left(btrim(COALESCE(m.edited_summary, m.impression, m.summary)), {_OPENING}) AS opening,
           COALESCE('{Flag.SUPERSEDES_REVIEWED}' = ANY(m.flags), false) AS supersedes_reviewed"""
# The filters that no index knows.
_SHOWN = f"""s.alias_of IS NULL AND s.purged_at IS NULL AND r.lane_rank BETWEEN :low AND :high
      AND (CAST(:reviews AS text[]) IS NULL OR m.review_state = ANY(CAST(:reviews AS text[])))
      AND (CAST(:states AS text[]) IS NULL OR {STUDY_STATE} = ANY(CAST(:states AS text[])))"""

# LIMIT 1 says nothing about the rows. Without it the planner may go through all studies in search of what a filter asks
# for, where the rows that were reached are to be looked at one by one.
_PAGES = {
    view: f"""
    SELECT {_COLUMNS} FROM ({one.rows}) r
    CROSS JOIN LATERAL (SELECT * FROM studies WHERE id = r.study_id LIMIT 1) s
    LEFT JOIN LATERAL (SELECT * FROM summaries WHERE {one.summary} LIMIT 1) m ON true
    WHERE {_SHOWN} ORDER BY {one.order} LIMIT :limit
    """
    for view, one in _LISTS.items()
}

# The last row that was looked at, and how many were: more may follow if that is all that one page may look at.
_ENDS = {
    view: f"SELECT rank, at, id, count(*) OVER () AS seen FROM ({one.rows}) r ORDER BY {one.reverse} LIMIT 1"
    for view, one in _LISTS.items()
}

_DRAFTS = """
    SELECT l.rank, (SELECT count(*) FROM (
        SELECT FROM summaries m WHERE m.superseded_at IS NULL AND m.review_state = 'draft' AND m.lane_rank = l.rank
        LIMIT :most) AS c) AS drafts
    FROM unnest(CAST(:ranks AS int[])) AS l (rank) ORDER BY l.rank
"""

# A draft that was written before its study was raised to a more urgent lane moves up in the list too.
_RAISE = """
    UPDATE summaries SET lane_rank = :rank
    WHERE study_id = ANY(CAST(:studies AS uuid[])) AND superseded_at IS NULL AND lane_rank > :rank
"""


def worklist(
    ledger: Ledger,
    listing: WorklistView,
    *,
    limit: int,
    after: Cursor | None = None,
    lane: Lane | None = None,
    states: Collection[StudyState] | None = None,
    reviews: Collection[ReviewState] | None = None,
) -> Page:
    """A page of a list, and how many drafts wait in each lane.

    Args:
        after: where the page before ended; None begins.
        lane, states, reviews: show only these; None shows all.
    """
    start = after or _LISTS[listing].start
    values: dict[str, Any] = {
        "rank": start.rank,
        "at": start.at,
        "id": start.id,
        "low": 0 if lane is None else lane.rank,
        "high": len(Lane) - 1 if lane is None else lane.rank,
        "states": None if states is None else list(states),
        "reviews": None if reviews is None else list(reviews),
        "reach": REACH,
        "limit": limit + 1,
    }
    lanes: dict[str, Any] = {"most": MOST_COUNTED, "ranks": [one.rank for one in Lane]}
    with ledger.work() as work:
        found = [dict(row) for row in work.rows(_PAGES[listing], values)]
        shown = found[:limit]
        read = [row["study_id"] for row in shown]
        counted = recorded(work, _DRAFTS, lanes, "worklist read", studies=read, detail={"list": listing})
        end = _end(work, listing, values, shown[-1] if len(found) > limit else None)
    drafts = {lane: int(row["drafts"]) for lane, row in zip(Lane, counted, strict=True)}
    return Page([_row(row) for row in shown], end, drafts)


def raise_drafts(work: Work, study_ids: Sequence[UUID], rank: int) -> None:
    """Move the current summaries of these studies to a more urgent lane, never to a less urgent one.

    In a statement after the one that raised the studies: a summary that was written meanwhile is seen by this one.
    """
    work.run(_RAISE, {"studies": list(study_ids), "rank": rank})


def _end(work: Work, listing: WorklistView, values: Values, last: dict[str, Any] | None) -> Cursor | None:
    """Where the next page begins: behind the last row of a full page, else behind the last one that was looked at."""
    if last is not None:
        return Cursor(last["place_rank"], last["place_at"], last["place_id"])
    row = work.row(_ENDS[listing], values)
    return Cursor(row["rank"], row["at"], row["id"]) if row is not None and row["seen"] == REACH else None


def _row(row: dict[str, Any]) -> WorklistRow:
    shown = {name: value for name, value in row.items() if name != "lane_rank" and not name.startswith("place_")}
    # The one flag with a column of its own stands there alone, as it always did.
    shown["flags"] = [flag for flag in dict.fromkeys(shown["flags"]) if flag != Flag.SUPERSEDES_REVIEWED]
    if shown["state"] not in TERMINAL_STUDY_STATES:
        shown["reason_code"] = None
    return WorklistRow(**shown, lane=Lane.of_rank(row["lane_rank"]))

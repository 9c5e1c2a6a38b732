"""The lists, the orders they can be shown in, and where a page begins. Pages go by key, never by OFFSET.

Each order has an index that a page is read from row by row (its walk), and a key by which rows that were found in
another way are sorted. Both say the same place of a row, so a page may be read in one way and the next in the other.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

_NIL, _LAST = UUID(int=0), UUID(int=(1 << 128) - 1)
_FIRST_DAY, _LAST_DAY = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)


class WorklistView(StrEnum):
    """Which list."""

    AWAITING = "awaiting"  # drafts without a review
    SIGNED = "signed"  # accepted, corrected or rejected summaries
    ALL = "all"  # every study


class Order(StrEnum):
    """By what a list is ordered."""

    URGENCY = "urgency"  # stat, routine, backlog; in each the oldest draft first
    RECEIVED = "received"  # by arrival
    ACQUIRED = "acquired"  # by the day the film was taken; studies without one come last
    SIGNED = "signed"  # by the last review


# The first is the list's own order.
ORDERS = {
    WorklistView.AWAITING: (Order.URGENCY, Order.RECEIVED, Order.ACQUIRED),
    WorklistView.SIGNED: (Order.SIGNED, Order.RECEIVED, Order.ACQUIRED),
    WorklistView.ALL: (Order.RECEIVED, Order.ACQUIRED),
}


@dataclass(frozen=True)
class Sorting:
    """An order and its direction. Urgency has one direction only."""

    order: Order
    descending: bool

    @property
    def start(self) -> "Cursor":
        """Where the first page begins."""
        if self.order is Order.URGENCY:
            return Cursor(-1, _FIRST_DAY, _NIL)
        return Cursor(0, _LAST_DAY, _LAST) if self.descending else Cursor(0, _FIRST_DAY, _NIL)

    def written(self, sql: str) -> str:
        """A statement below in this direction."""
        behind, along, back = ("<", "DESC", "ASC") if self.descending else (">", "ASC", "DESC")
        # Where every rank is 0, the planner would sort what an index has in order.
        ranked = "k.rank, " if self.order in (Order.URGENCY, Order.ACQUIRED) else ""
        words = {"behind": behind, "along": along, "back": back, "ranked": ranked}
        for word, way in words.items():
            sql = sql.replace(f"{{{word}}}", way)
        return sql


def own_sorting(listing: WorklistView) -> Sorting:
    """How a list is sorted unless somebody asks for another order: the newest first, but for what waits."""
    order = ORDERS[listing][0]
    return Sorting(order, order is not Order.URGENCY)


@dataclass(frozen=True)
class Cursor:
    """The last row of a page: the next page begins after it.

    Attributes:
        rank: of the lane; in the order of acquisition, 1 for studies without a day.
        at: summarised_at, received_at, acquired_on or reviewed_at, by which the list is ordered.
        id: of the summary, study or image that has that moment.
    """

    rank: int
    at: datetime
    id: UUID


# The next rows of an order behind the cursor, at most :reach: rank, at, id and study.
WALKS = {
    Order.URGENCY: """
        SELECT m.lane_rank AS rank, m.summarised_at AS at, m.id, m.study_id FROM summaries m
        WHERE m.superseded_at IS NULL AND m.review_state = 'draft' AND m.lane_rank BETWEEN :low AND :high
          AND (m.lane_rank, m.summarised_at, m.id) > (:rank, :at, :id)
        ORDER BY m.lane_rank, m.summarised_at, m.id LIMIT :reach
    """,
    Order.SIGNED: """
        SELECT 0 AS rank, m.reviewed_at AS at, m.id, m.study_id FROM summaries m
        WHERE m.superseded_at IS NULL AND m.review_state <> 'draft' AND (m.reviewed_at, m.id) {behind} (:at, :id)
        ORDER BY m.reviewed_at {along}, m.id {along} LIMIT :reach
    """,
    Order.RECEIVED: """
        SELECT 0 AS rank, s.received_at AS at, s.id, s.id AS study_id FROM studies s
        WHERE (s.received_at, s.id) {behind} (:at, :id)
          AND s.received_at >= CAST(:received_from AS timestamptz)
          AND s.received_at < CAST(:received_until AS timestamptz)
        ORDER BY s.received_at {along}, s.id {along} LIMIT :reach
    """,
    Order.ACQUIRED: """
        SELECT * FROM (
            (SELECT 0 AS rank, CAST(i.acquired_on AS timestamp) AT TIME ZONE 'UTC' AS at, i.id, i.study_id FROM images i
             WHERE i.acquired_on IS NOT NULL AND :rank = 0
               AND (i.acquired_on, i.id) {behind} (CAST(CAST(:at AS timestamptz) AT TIME ZONE 'UTC' AS date), :id)
             ORDER BY i.acquired_on {along}, i.id {along} LIMIT :reach)
            UNION ALL
            (SELECT 1, CAST('0001-01-01 00:00:00+00' AS timestamptz), s.id, s.id FROM studies s
             WHERE s.id {behind} CASE WHEN :rank = 1 THEN CAST(:id AS uuid) ELSE CAST(:start_id AS uuid) END
             ORDER BY s.id {along} LIMIT :reach)
        ) days ORDER BY rank, at {along}, id {along} LIMIT :reach
    """,
}
# The same place of a row, from its study s, its summary m and its chosen image i.
KEYS = {
    Order.URGENCY: "CAST(m.lane_rank AS int) AS rank, m.summarised_at AS at, m.id AS id",
    Order.SIGNED: "0 AS rank, m.reviewed_at AS at, m.id AS id",
    Order.RECEIVED: "0 AS rank, s.received_at AS at, s.id AS id",
    Order.ACQUIRED: """CASE WHEN i.acquired_on IS NULL THEN 1 ELSE 0 END AS rank,
        COALESCE(CAST(i.acquired_on AS timestamp) AT TIME ZONE 'UTC',
                 CAST('0001-01-01 00:00:00+00' AS timestamptz)) AS at,
        CASE WHEN i.acquired_on IS NULL THEN s.id ELSE i.id END AS id""",
}
# A row of the walk that stands for its study: not for another image of it.
WALKED_ACQUIRED = "CASE r.rank WHEN 0 THEN r.id = i.id ELSE i.acquired_on IS NULL END"
BEHIND = "(k.rank > :rank OR k.rank = :rank AND (k.at, k.id) {behind} (:at, :id))"
